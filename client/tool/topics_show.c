/* topics_show.c - prints what the server knows of a stored topic. */
#include "client/tool/topics_show.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/base.h"
#include "client/tool/printer.h"
#include "client/tool/value.h"

#define SETTINGS_CAPACITY 160

/* ---- JSON ---- */

/* An epoch has more digits than other programs' numbers. */
static void put_digits(json_t *object, const char *name, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    table_put_text(object, name, text);
}

static json_t *settings_json(const struct tributary_topic_settings *settings)
{
    json_t *object = json_object();

    table_put_number(object, "max_age_ns", (uint64_t)settings->max_age_ns);
    table_put_number(object, "max_bytes", settings->max_bytes);
    table_put_number(object, "max_events", settings->max_events);
    table_put_number(object, "id_window_ns", (uint64_t)settings->id_window_ns);
    table_put_number(object, "max_ids", settings->max_ids);
    return object;
}

static json_t *topic_json(const struct tributary_topic *topic)
{
    json_t *object = json_object();

    table_put_text(object, "name", topic->name);
    put_digits(object, "epoch", topic->epoch);
    json_object_set_new(object, "settings", settings_json(&topic->settings));
    table_put_number(object, "first_sequence", topic->first_sequence);
    table_put_number(object, "next_sequence", topic->next_sequence);
    table_put_number(object, "bytes", topic->bytes);
    table_put_moment(object, "created", topic->created_unix_nano);
    table_put_number(object, "subscriptions", topic->subscriptions);
    table_put_number(object, "subscriptions_behind", topic->subscriptions_behind);
    table_put_number(object, "delayed_events", topic->delayed_events);
    table_put_number(object, "ids_forgotten_early", topic->ids_forgotten_early);
    return object;
}

void topic_show_json(const struct tributary_topic *topic)
{
    table_print_json(topic_json(topic), stdout);
}

/* ---- text ---- */

static const struct text_column columns[] = {
    {"topic", COLUMN_FLEXIBLE},
    {"events", COLUMN_RIGHT},
    {"size", COLUMN_RIGHT},
    {"first", COLUMN_RIGHT},
    {"next", COLUMN_RIGHT},
    {"subs", COLUMN_RIGHT},
    {"behind", COLUMN_RIGHT},
    {"keeps", 0},
    {"delayed", COLUMN_RIGHT | COLUMN_WIDE},
    {"epoch", COLUMN_RIGHT | COLUMN_WIDE},
    {"created", COLUMN_WIDE},
};

void topic_show_table(struct text_table *table, enum list_form form)
{
    list_init(table, columns, ARRAY_LEN(columns), form);
}

static uint64_t kept(const struct tributary_topic *topic)
{
    return topic->next_sequence - topic->first_sequence;
}

/* "7 d, 1.0 GiB, 1000000 events", or "all". */
static void settings_text(const struct tributary_topic_settings *settings, char text[SETTINGS_CAPACITY])
{
    char age[40] = "", size[40] = "", events[40] = "";

    if (settings->max_age_ns > 0)
        duration_text(settings->max_age_ns, age, sizeof(age));
    if (settings->max_bytes > 0)
        bytes_text(settings->max_bytes, size, sizeof(size));
    if (settings->max_events > 0)
        snprintf(events, sizeof(events), "%" PRIu64 " events", settings->max_events);
    snprintf(text, SETTINGS_CAPACITY, "%s%s%s%s%s", age,
             age[0] != '\0' && (size[0] != '\0' || events[0] != '\0') ? ", " : "", size,
             size[0] != '\0' && events[0] != '\0' ? ", " : "", events);
    if (text[0] == '\0')
        snprintf(text, SETTINGS_CAPACITY, "all");
}

static void put_cells(struct text_table *table, const struct tributary_topic *topic)
{
    char settings[SETTINGS_CAPACITY];
    char size[32];
    char age[40];

    settings_text(&topic->settings, settings);
    bytes_text(topic->bytes, size, sizeof(size));
    table_age(topic->created_unix_nano, age, sizeof(age));
    text_table_cell(table, topic->name);
    text_table_format(table, "%" PRIu64, kept(topic));
    text_table_cell(table, size);
    text_table_format(table, "%" PRIu64, topic->first_sequence);
    text_table_format(table, "%" PRIu64, topic->next_sequence);
    text_table_format(table, "%" PRIu32, topic->subscriptions);
    text_table_format(table, "%" PRIu32, topic->subscriptions_behind);
    text_table_cell(table, settings);
    text_table_format(table, "%" PRIu64, topic->delayed_events);
    text_table_format(table, "%" PRIu64, topic->epoch);
    text_table_cell(table, age);
}

void topic_show_row(struct text_table *table, const struct tributary_topic *topic, enum list_form form)
{
    text_table_row(table, "", 0); /* the server lists by name */
    if (form == LIST_JSON)
        list_json_cell(table, topic_json(topic));
    else
        put_cells(table, topic);
}

static void show_window(const struct tributary_topic *topic)
{
    char window[40];

    if (topic->settings.id_window_ns == 0)
        return;
    duration_text(topic->settings.id_window_ns, window, sizeof(window));
    printf("ids            of the latest %s", window);
    if (topic->settings.max_ids > 0)
        printf(", at most %" PRIu32, topic->settings.max_ids);
    printf("; %" PRIu64 " forgotten early\n", topic->ids_forgotten_early);
}

void topic_show_whole(const struct tributary_topic *topic)
{
    char settings[SETTINGS_CAPACITY];
    char created[MOMENT_CAPACITY];
    struct buf name = {0};
    char size[32];

    settings_text(&topic->settings, settings);
    bytes_text(topic->bytes, size, sizeof(size));
    moment_text(topic->created_unix_nano, created);
    escape_text(&name, tributary_text(topic->name));
    printf("name           %.*s\nepoch          %" PRIu64 "\nkeeps          %s\n", (int)name.size,
           name.size > 0 ? (const char *)name.data : "", topic->epoch, settings);
    printf("events         %" PRIu64 ", %s\n", kept(topic), size);
    if (kept(topic) > 0)
        printf("sequences      %" PRIu64 " to %" PRIu64 "\n", topic->first_sequence,
               topic->next_sequence - 1);
    printf("next sequence  %" PRIu64 "\n", topic->next_sequence);
    printf("subscriptions  %" PRIu32 ", of which %" PRIu32 " read from the disk\n", topic->subscriptions,
           topic->subscriptions_behind);
    if (topic->delayed_events > 0)
        printf("delayed        %" PRIu64 " events\n", topic->delayed_events);
    show_window(topic);
    printf("created        %s\n", created);
    buf_fini(&name);
}
