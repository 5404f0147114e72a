/* topics_edit.c - `tributary topics create`, `topics update` and `topics rm`. */
#include <stdio.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/named.h"
#include "client/tool/topics_show.h"
#include "client/tool/verbs.h"

#define MAX_NAMES 64
#define MAX_AGE_NS (INT64_C(876000) * 3600 * NS_PER_S)
#define MAX_WINDOW_NS (INT64_C(7) * 24 * 3600 * NS_PER_S)
#define NOT_GIVEN_NS INT64_C(-1)
#define NOT_GIVEN UINT64_MAX

enum { EDIT_TEXT, EDIT_JSON }; /* --output */

struct settings {
    struct common common;
    unsigned output;
    int64_t max_age_ns, id_window_ns;               /* NOT_GIVEN_NS */
    uint64_t max_bytes, max_events, max_ids, epoch; /* NOT_GIVEN */
};

static const struct settings nothing_given = {.max_age_ns = NOT_GIVEN_NS,
                                              .id_window_ns = NOT_GIVEN_NS,
                                              .max_bytes = NOT_GIVEN,
                                              .max_events = NOT_GIVEN,
                                              .max_ids = NOT_GIVEN,
                                              .epoch = NOT_GIVEN};

/* Replaces what was given. */
static void apply(const struct settings *settings, struct tributary_topic_settings *topic)
{
    if (settings->max_age_ns != NOT_GIVEN_NS)
        topic->max_age_ns = settings->max_age_ns;
    if (settings->id_window_ns != NOT_GIVEN_NS)
        topic->id_window_ns = settings->id_window_ns;
    if (settings->max_bytes != NOT_GIVEN)
        topic->max_bytes = settings->max_bytes;
    if (settings->max_events != NOT_GIVEN)
        topic->max_events = settings->max_events;
    if (settings->max_ids != NOT_GIVEN)
        topic->max_ids = (uint32_t)settings->max_ids;
}

static void on_json(void *ctx, const struct tributary_topic *topic)
{
    const struct settings *settings = ctx;

    if (settings->output == EDIT_JSON)
        topic_show_json(topic);
}

static struct tributary_topic_answer answer_of(struct settings *settings)
{
    return (struct tributary_topic_answer){
        .timeout_ns = link_left_ns(&settings->common), .each = on_json, .ctx = settings};
}

static enum tributary_code create(struct settings *settings, struct tributary *client, const char *name,
                                  struct tributary_status *status)
{
    const struct tributary_topic_answer answer = answer_of(settings);
    struct tributary_topic_settings topic = {0};

    apply(settings, &topic);
    return tributary_topic_create(client, name, &topic, &answer, status);
}

static void on_present(void *ctx, const struct tributary_topic *topic)
{
    struct tributary_topic_settings *present = ctx;

    *present = topic->settings;
}

/* The server replaces all settings. */
static enum tributary_code update(struct settings *settings, struct tributary *client, const char *name,
                                  struct tributary_status *status)
{
    const struct tributary_topic_answer answer = answer_of(settings);
    struct tributary_topic_settings topic = {0};
    const struct tributary_topic_answer present = {
        .timeout_ns = answer.timeout_ns, .each = on_present, .ctx = &topic};

    if (tributary_topic_get(client, name, &present, status) != TRIBUTARY_OK)
        return status->code;
    apply(settings, &topic);
    return tributary_topic_update(client, name, &topic, &answer, status);
}

static enum tributary_code delete_one(struct settings *settings, struct tributary *client, const char *name,
                                      struct tributary_status *status)
{
    const struct tributary_topic_answer answer = answer_of(settings);

    return tributary_topic_delete(client, name, settings->epoch == NOT_GIVEN ? 0 : settings->epoch, &answer,
                                  status);
}

static int edit(const struct verb *verb, void *ctx, struct tributary *client, const char *name)
{
    struct settings *settings = ctx;
    struct tributary_status status;
    enum tributary_code code;

    if (verb == &verb_topics_create)
        code = create(settings, client, name, &status);
    else if (verb == &verb_topics_update)
        code = update(settings, client, name, &status);
    else
        code = delete_one(settings, client, name, &status);
    return code == TRIBUTARY_OK ? EXITS_OK : link_failed(name, &status);
}

static bool changes_nothing(const struct settings *settings)
{
    return settings->max_age_ns == NOT_GIVEN_NS && settings->id_window_ns == NOT_GIVEN_NS &&
           settings->max_bytes == NOT_GIVEN && settings->max_events == NOT_GIVEN &&
           settings->max_ids == NOT_GIVEN;
}

static int check(const struct verb *verb, const void *ctx, size_t names)
{
    const struct settings *settings = ctx;

    if (settings->epoch != NOT_GIVEN && names > 1)
        return cli_wrong(verb, "--epoch is of one topic");
    if (verb == &verb_topics_update && changes_nothing(settings))
        return cli_wrong(verb, "nothing to change: give at least one setting");
    return EXITS_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = nothing_given;
    const struct named_job job = {.verb = verb,
                                  .settings = &settings,
                                  .common = &settings.common,
                                  .missing = "the topic's name is missing",
                                  .check = check,
                                  .each = edit};

    return named_run(&job, argc, argv);
}

#define OFFSET(member) offsetof(struct settings, member)
#define OUTPUT_OPTION                                                                                        \
    {                                                                                                        \
        'o', "output", OPTION_CHOICE, "text|json", OFFSET(output),                                           \
            "nothing, or one JSON object for each topic (default: text)"                                     \
    }
#define SETTINGS_OPTIONS                                                                                     \
    {                                                                                                        \
        0,          "max-age",          OPTION_DURATION,                                                     \
        "DURATION", OFFSET(max_age_ns), "keep an event for so long; 0: no bound"},                           \
        {0, "max-bytes", OPTION_BYTES, "BYTES", OFFSET(max_bytes), "keep so much; 0: no bound"},             \
        {0, "max-events", OPTION_COUNT, "N", OFFSET(max_events), "keep so many events; 0: no bound"},        \
        {0,                                                                                                  \
         "id-window",                                                                                        \
         OPTION_DURATION,                                                                                    \
         "DURATION",                                                                                         \
         OFFSET(id_window_ns),                                                                               \
         "an event whose id came within this time is a duplicate; 0: ids are not looked at"},                \
    {                                                                                                        \
        0, "max-ids", OPTION_NUMBER, "N", OFFSET(max_ids), "remember so many ids at most; 0: 100 000"        \
    }

static const struct option edit_options[] = {OUTPUT_OPTION, SETTINGS_OPTIONS};

static const struct option rm_options[] = {
    OUTPUT_OPTION,
    {0, "epoch", OPTION_NUMBER, "N", OFFSET(epoch), "delete it only if it has this epoch ('topics info')"},
};

static const struct option_bounds bounds[] = {
    {"max-age", 0, MAX_AGE_NS}, {"id-window", 0, MAX_WINDOW_NS}, {"max-ids", 0, 1000000}};

static const struct example create_examples[] = {
    {"tributary topics create orders", "keep every event, until the disk is full"},
    {"tributary topics create orders --max-age 168h --max-bytes 10GiB", "a week, and at most 10 GiB"},
};

static const struct example update_examples[] = {
    {"tributary topics update orders --max-age 24h", "the other settings stay"},
    {"tributary topics update orders --max-bytes 0", "no bound for its size any more"},
};

static const struct example rm_examples[] = {{"tributary topics rm orders", "all that it keeps is gone"}};

const struct verb verb_topics_create = {
    .name = "topics create",
    .arguments = "TOPIC...",
    .max_arguments = MAX_NAMES,
    .summary = "create topics that the server keeps on the disk",
    .text = "From then on, events of this topic are kept, and can be read again from any point. The server "
            "needs --state-dir. A topic that is\n"
            "there with the same settings is as good; other settings are an error. Events leave in the order "
            "in which they came, when one of\n"
            "the bounds says so.",
    .options = edit_options,
    .option_count = ARRAY_LEN(edit_options),
    .bounds = bounds,
    .bound_count = ARRAY_LEN(bounds),
    .examples = create_examples,
    .example_count = ARRAY_LEN(create_examples),
    .run = run,
};

const struct verb verb_topics_update = {
    .name = "topics update",
    .arguments = "TOPIC...",
    .max_arguments = MAX_NAMES,
    .summary = "change how long stored topics keep their events",
    .text = "Settings that are not given stay as they are. A smaller bound acts on what is kept already.",
    .options = edit_options,
    .option_count = ARRAY_LEN(edit_options),
    .bounds = bounds,
    .bound_count = ARRAY_LEN(bounds),
    .examples = update_examples,
    .example_count = ARRAY_LEN(update_examples),
    .run = run,
};

const struct verb verb_topics_rm = {
    .name = "topics rm",
    .arguments = "TOPIC...",
    .max_arguments = MAX_NAMES,
    .summary = "delete stored topics and all that they keep",
    .text = "Consumers get what waits for them, and are told what they miss. A topic that is created again "
            "under the name begins anew: it has a\n"
            "higher epoch, and its sequences begin at 1.",
    .options = rm_options,
    .option_count = ARRAY_LEN(rm_options),
    .examples = rm_examples,
    .example_count = ARRAY_LEN(rm_examples),
    .run = run,
};
