/* producers_show.c - prints what the server knows of a producer. */
#include "client/tool/producers_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/tool/endpoint_show.h"
#include "client/tool/printer.h"
#include "client/tool/value.h"

static bool is_session(const struct tributary_producer *producer)
{
    return producer->kind == TRIBUTARY_PRODUCER_SESSION;
}

const char *producer_kind_name(const struct tributary_producer *producer)
{
    switch (producer->kind) {
    case TRIBUTARY_PRODUCER_TRANSIENT:
        return "transient";
    case TRIBUTARY_PRODUCER_SESSION:
        return "session";
    case TRIBUTARY_PRODUCER_ENDPOINT:
        return "endpoint";
    case TRIBUTARY_PRODUCER_RELAYED:
        return "relayed";
    case TRIBUTARY_PRODUCER_TOPIC:
        return "topic";
    }
    return "unknown"; /* to this version */
}

static const char *mode_of(const struct tributary_producer *producer)
{
    return producer->per_consumer ? "per-consumer" : "shared";
}

static const char *peer_of(const struct tributary_producer *producer)
{
    return producer->peer[0] == '\0' && producer->endpoint ? producer->endpoint->address : producer->peer;
}

/* Appends the labels as "a=b, c=d", escaped. */
static void put_labels(struct buf *buf, const struct tributary_producer *producer)
{
    for (size_t i = 0; i < producer->label_count; i++) {
        buf_text(buf, i > 0 ? ", " : "");
        escape_text(buf, tributary_text(producer->labels[i].name));
        buf_text(buf, "=");
        escape_text(buf, tributary_text(producer->labels[i].value));
    }
}

static json_t *session_of(const struct tributary_producer *producer)
{
    json_t *object = json_object();
    json_t *labels = json_object();
    json_t *topics = json_array();

    table_put_text(object, "mode", mode_of(producer));
    for (size_t i = 0; i < producer->label_count; i++)
        table_put_text(labels, producer->labels[i].name, producer->labels[i].value);
    for (size_t i = 0; i < producer->topic_count; i++)
        json_array_append_new(topics, json_string(producer->topics[i]));
    json_object_set_new(object, "labels", labels);
    json_object_set_new(object, "topics", topics);
    table_put_number(object, "activations", producer->activations);
    table_put_number(object, "paused_activations", producer->paused_activations);
    table_put_number(object, "expired_activations", producer->expired_activations);
    return object;
}

json_t *producer_json(const struct tributary_producer *producer)
{
    json_t *object = json_object();
    char epoch[24];

    snprintf(epoch, sizeof(epoch), "%" PRIu64, producer->epoch);
    table_put_text(object, "name", producer->name);
    table_put_text(object, "kind", producer_kind_name(producer));
    table_put_text(object, "state", tributary_state_name(producer->state));
    table_put_text(object, "epoch", epoch);
    table_put_number(object, "last_sequence", producer->last_sequence);
    table_put_totals(object, "published", producer->published);
    table_put_number(object, "open_calls", producer->open_calls);
    table_put_number(object, "blocked_calls", producer->blocked_calls);
    table_put_number(object, "subscriptions", producer->subscriptions);
    table_put_moment(object, "last_event", producer->last_event_unix_nano);
    table_put_text(object, "peer", peer_of(producer));
    if (is_session(producer))
        json_object_set_new(object, "session", session_of(producer));
    if (producer->kind == TRIBUTARY_PRODUCER_RELAYED || producer->endpoint)
        table_put_totals(object, "lost_upstream", producer->lost_upstream);
    if (!producer->endpoint)
        return object;
    json_object_set_new(object, "endpoint", endpoint_json(producer->endpoint));
    json_object_set_new(object, "kept", json_boolean(producer->kept));
    if (endpoint_not_kept_text(producer))
        table_put_text(object, "not_kept_reason", endpoint_not_kept_text(producer));
    table_put_number(object, "upstream_calls", producer->upstream_calls);
    if (producer->inner_sources > 0)
        table_put_number(object, "inner_sources", producer->inner_sources);
    table_put_number(object, "activations", producer->activations);
    table_put_number(object, "paused_activations", producer->paused_activations);
    table_put_number(object, "expired_activations", producer->expired_activations);
    if (producer->failure)
        json_object_set_new(object, "failure", endpoint_failure_json(producer->failure));
    endpoint_put_origin(object, producer);
    return object;
}

void producer_show_json(const struct tributary_producer *producer)
{
    table_print_json(producer_json(producer), stdout);
}

static const struct text_column columns[] = {
    {"producer", COLUMN_FLEXIBLE},
    {"kind", 0},
    {"state", 0},
    {"sequence", COLUMN_RIGHT},
    {"published", COLUMN_RIGHT | COLUMN_WIDE},
    {"calls", COLUMN_RIGHT | COLUMN_WIDE},
    {"blocked", COLUMN_RIGHT | COLUMN_WIDE},
    {"subs", COLUMN_RIGHT},
    {"activations", COLUMN_RIGHT | COLUMN_WIDE},
    {"last event", 0},
    {"failure", COLUMN_SPARE},
    {"peer", COLUMN_WIDE},
    {"labels", COLUMN_WIDE},
};

void producer_show_table(struct text_table *table, enum list_form form)
{
    list_init(table, columns, ARRAY_LEN(columns), form);
}

static uint64_t rank(const struct tributary_producer *producer, enum producer_order order)
{
    switch (order) {
    case BY_NAME:
        return 0; /* the server lists by name */
    case BY_SEQUENCE:
        return producer->last_sequence;
    case BY_PUBLISHED:
        return producer->published.bytes;
    case BY_SUBS:
        return producer->subscriptions;
    case BY_LAST_EVENT:
        return producer->last_event_unix_nano;
    }
    return 0;
}

static void put_cells(struct text_table *table, const struct tributary_producer *producer)
{
    struct buf labels = {0};
    struct buf failure = {0};
    char activations[40] = "-";
    char age[40];
    char size[32];

    endpoint_put_failure(&failure, producer);
    buf_byte(&failure, 0);
    if (producer->per_consumer)
        snprintf(activations, sizeof(activations), producer->paused_activations > 0 ? "%u (%u)" : "%u",
                 producer->activations, producer->paused_activations);
    table_age(producer->last_event_unix_nano, age, sizeof(age));
    bytes_text(producer->published.bytes, size, sizeof(size));
    put_labels(&labels, producer);
    buf_byte(&labels, 0);
    text_table_cell(table, producer->name);
    text_table_cell(table, is_session(producer) ? mode_of(producer) : producer_kind_name(producer));
    text_table_cell(table, tributary_state_name(producer->state));
    text_table_format(table, "%" PRIu64, producer->last_sequence);
    text_table_cell(table, size);
    text_table_format(table, "%u", producer->endpoint ? producer->upstream_calls : producer->open_calls);
    text_table_format(table, "%u", producer->blocked_calls);
    text_table_format(table, "%u", producer->subscriptions);
    text_table_cell(table, activations);
    text_table_cell(table, age);
    text_table_cell(table, failure.broken ? "" : (const char *)failure.data);
    text_table_cell(table, peer_of(producer));
    text_table_cell(table, labels.broken ? "" : (const char *)labels.data);
    buf_fini(&labels);
    buf_fini(&failure);
}

void producer_show_row(struct text_table *table, const struct tributary_producer *producer,
                       enum list_form form, enum producer_order order)
{
    text_table_row(table, "", rank(producer, order));
    if (form == LIST_JSON)
        list_json_cell(table, producer_json(producer));
    else
        put_cells(table, producer);
}

static void show_labels(const struct tributary_producer *producer)
{
    struct buf labels = {0};

    put_labels(&labels, producer);
    if (producer->label_count == 0)
        buf_text(&labels, "none");
    printf("labels         %.*s\n", (int)labels.size, labels.size > 0 ? (const char *)labels.data : "");
    buf_fini(&labels);
}

static void show_session(const struct tributary_producer *producer)
{
    printf("mode           %s\n", mode_of(producer));
    show_labels(producer);
    for (size_t i = 0; i < producer->topic_count; i++)
        printf("%s%s", i == 0 ? "topics         " : ", ", producer->topics[i]);
    printf("%s", producer->topic_count > 0 ? "\n" : "");
}

/* Of a cascade and of its inner sources. */
static void show_cascade(const struct tributary_producer *producer)
{
    char size[32];

    bytes_text(producer->lost_upstream.bytes, size, sizeof(size));
    if (producer->kind == TRIBUTARY_PRODUCER_RELAYED || producer->lost_upstream.events > 0)
        printf("lost upstream  %" PRIu64 " events, %s\n", producer->lost_upstream.events, size);
    if (producer->inner_sources > 0)
        printf("inner sources  %u\n", producer->inner_sources);
}

void producer_show_whole(const struct tributary_producer *producer)
{
    char age[40];
    char size[32];

    table_age(producer->last_event_unix_nano, age, sizeof(age));
    bytes_text(producer->published.bytes, size, sizeof(size));
    printf("name           %s\nkind           %s\nstate          %s\nepoch          %" PRIu64
           "\nlast sequence  %" PRIu64 "\n",
           producer->name, producer_kind_name(producer), tributary_state_name(producer->state),
           producer->epoch, producer->last_sequence);
    printf("published      %" PRIu64 " events, %s\n", producer->published.events, size);
    if (!producer->endpoint)
        printf("open calls     %u, of which %u blocked\n", producer->open_calls, producer->blocked_calls);
    printf("subscriptions  %u\nlast event     %s\npeer           %s\n", producer->subscriptions, age,
           peer_of(producer));
    if (is_session(producer))
        show_session(producer);
    if (producer->endpoint)
        show_labels(producer);
    if (producer->per_consumer)
        printf("activations    %u, of which %u paused; %" PRIu64 " expired\n", producer->activations,
               producer->paused_activations, producer->expired_activations);
    show_cascade(producer);
    if (producer->endpoint)
        endpoint_show_whole(producer);
}
