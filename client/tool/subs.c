/* subs.c - `tributary subs ls` and `tributary subs kick`. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/named.h"
#include "client/tool/repeat.h"
#include "client/tool/table.h"
#include "client/tool/verbs.h"

/* What a list is sorted by. All but the moment of the start and the name: the largest first. */
enum order { BY_START, BY_NAME, BY_DELIVERED, BY_DROPPED, BY_QUEUED };
#define ORDER_WORDS "started|name|delivered|dropped|queued"

struct list_settings {
    struct common common;
    unsigned output, order;
    bool sources;
    struct repeat repeat;
};

struct kick_settings {
    struct common common;
    const char *reason;
    bool drain;
    int64_t deadline_ns; /* -1: not given */
};

struct listing {
    const struct list_settings *settings;
    struct text_table table;
};

static json_t *stats(struct tributary_totals accepted, struct tributary_totals delivered,
                     struct tributary_totals dropped, struct tributary_totals queued)
{
    json_t *object = json_object();

    table_put_totals(object, "accepted", accepted);
    table_put_totals(object, "delivered", delivered);
    table_put_totals(object, "dropped", dropped);
    table_put_totals(object, "queued", queued);
    return object;
}

static json_t *settings_of(const struct tributary_settings *settings)
{
    json_t *object = json_object();

    table_put_number(object, "max_events", settings->max_events);
    table_put_number(object, "max_bytes", settings->max_bytes);
    table_put_number(object, "max_age_ns", (uint64_t)settings->max_age_ns);
    table_put_text(object, "overflow", tributary_overflow_name((int)settings->overflow));
    table_put_number(object, "block_timeout_ns", (uint64_t)settings->block_timeout_ns);
    table_put_text(object, "fallback", tributary_overflow_name((int)settings->fallback));
    table_put_number(object, "linger_ns", (uint64_t)settings->linger_ns);
    table_put_number(object, "max_batch_events", settings->max_batch_events);
    table_put_number(object, "max_batch_bytes", settings->max_batch_bytes);
    table_put_number(object, "heartbeat_ns", (uint64_t)settings->heartbeat_ns);
    table_put_number(object, "sort_window_ns", (uint64_t)settings->sort_window_ns);
    table_put_number(object, "sort_events", settings->sort_events);
    return object;
}

static json_t *json_of(const struct tributary_subscription *subscription)
{
    json_t *object = json_object();
    json_t *losses = json_object();
    json_t *sources = json_array();

    table_put_text(object, "id", subscription->id);
    table_put_text(object, "name", subscription->name);
    table_put_text(object, "peer", subscription->peer);
    table_put_moment(object, "started", subscription->started_unix_nano);
    json_object_set_new(object, "settings", settings_of(&subscription->settings));
    json_object_set_new(
        object, "totals",
        stats(subscription->accepted, subscription->delivered, subscription->dropped, subscription->queued));
    for (size_t i = 0; i < subscription->loss_count; i++)
        table_put_totals(losses, tributary_loss_name(subscription->losses[i].reason),
                         subscription->losses[i].lost);
    json_object_set_new(object, "losses", losses);
    for (size_t i = 0; i < subscription->source_count; i++) {
        const struct tributary_source_totals *share = &subscription->sources[i];
        json_t *source = stats(share->accepted, share->delivered, share->dropped, share->queued);

        table_put_text(source, "source", share->source);
        json_array_append_new(sources, source);
    }
    json_object_set_new(object, "sources", sources);
    if (subscription->others.accepted.events > 0)
        json_object_set_new(object, "others",
                            stats(subscription->others.accepted, subscription->others.delivered,
                                  subscription->others.dropped, subscription->others.queued));
    table_put_number(object, "producers_matched", subscription->producers_matched);
    json_object_set_new(object, "blocked", json_boolean(subscription->blocked));
    json_object_set_new(object, "fallback_active", json_boolean(subscription->fallback_active));
    json_object_set_new(object, "draining", json_boolean(subscription->draining));
    table_put_number(object, "sorted_late", subscription->sorted_late);
    table_put_number(object, "sort_full", subscription->sort_full);
    return object;
}

static const char *condition(const struct tributary_subscription *subscription)
{
    return subscription->draining          ? "draining"
           : subscription->fallback_active ? "fallback active"
           : subscription->blocked         ? "blocked"
                                           : "flowing";
}

static const struct text_column columns[] = {
    {"subscription", 0},
    {"name", COLUMN_FLEXIBLE},
    {"overflow", COLUMN_WIDE},
    {"state", 0},
    {"accepted", COLUMN_RIGHT | COLUMN_WIDE},
    {"delivered", COLUMN_RIGHT},
    {"dropped", COLUMN_RIGHT},
    {"queued", COLUMN_RIGHT},
    {"producers", COLUMN_RIGHT | COLUMN_WIDE},
    {"started", COLUMN_WIDE},
    {"peer", COLUMN_WIDE},
};

static void put_count(struct text_table *table, uint64_t count)
{
    text_table_format(table, "%" PRIu64, count);
}

static void put_counts(struct text_table *table, struct tributary_totals accepted,
                       struct tributary_totals delivered, struct tributary_totals dropped,
                       struct tributary_totals queued)
{
    put_count(table, accepted.events);
    put_count(table, delivered.events);
    put_count(table, dropped.events);
    put_count(table, queued.events);
}

/* Puts a row below the subscription: the losses by one reason. */
static void put_loss(struct text_table *table, const struct tributary_loss_totals *loss)
{
    text_table_child(table);
    text_table_cell(table, "  lost by");
    text_table_cell(table, tributary_loss_name(loss->reason));
    for (unsigned i = 0; i < 4; i++) /* overflow, state, accepted, delivered */
        text_table_cell(table, "");
    put_count(table, loss->lost.events);
}

/* Puts a row below the subscription: what it got of one source. */
static void put_share(struct text_table *table, const char *name, const struct tributary_source_totals *share)
{
    text_table_child(table);
    text_table_cell(table, "  from");
    text_table_cell(table, name);
    text_table_cell(table, "");
    text_table_cell(table, "");
    put_counts(table, share->accepted, share->delivered, share->dropped, share->queued);
}

static void put_rows(struct text_table *table, const struct tributary_subscription *subscription)
{
    char age[40];

    table_age(subscription->started_unix_nano, age, sizeof(age));
    text_table_cell(table, subscription->id);
    text_table_cell(table, subscription->name[0] != '\0' ? subscription->name : "-");
    text_table_cell(table, tributary_overflow_name((int)subscription->settings.overflow));
    text_table_cell(table, condition(subscription));
    put_counts(table, subscription->accepted, subscription->delivered, subscription->dropped,
               subscription->queued);
    text_table_format(table, "%u", subscription->producers_matched);
    text_table_cell(table, age);
    text_table_cell(table, subscription->peer);
    for (size_t i = 0; i < subscription->loss_count; i++)
        put_loss(table, &subscription->losses[i]);
    for (size_t i = 0; i < subscription->source_count; i++)
        put_share(table, subscription->sources[i].source, &subscription->sources[i]);
    if (subscription->others.accepted.events > 0)
        put_share(table, "(idle producers)", &subscription->others);
}

static uint64_t rank(const struct tributary_subscription *subscription, enum order order)
{
    switch (order) {
    case BY_START:
    case BY_NAME:
        return 0; /* the server lists by the moment of the start */
    case BY_DELIVERED:
        return subscription->delivered.events;
    case BY_DROPPED:
        return subscription->dropped.events;
    case BY_QUEUED:
        return subscription->queued.events;
    }
    return 0;
}

static void on_row(void *ctx, const struct tributary_subscription *subscription)
{
    struct listing *listing = ctx;
    const enum order order = (enum order)listing->settings->order;

    text_table_row(&listing->table, order == BY_NAME ? subscription->name : "", rank(subscription, order));
    if (listing->settings->output == LIST_JSON)
        list_json_cell(&listing->table, json_of(subscription));
    else
        put_rows(&listing->table, subscription);
}

static int list(void *ctx, struct tributary *client, FILE *out, struct display_size size)
{
    const struct list_settings *settings = ctx;
    struct listing listing = {.settings = settings};
    const struct tributary_subscriptions_query query = {.sources = settings->sources,
                                                        .timeout_ns = link_left_ns(&settings->common),
                                                        .each = on_row,
                                                        .ctx = &listing};
    struct tributary_status status;
    int result = EXITS_OK;

    list_init(&listing.table, columns, ARRAY_LEN(columns), (enum list_form)settings->output);
    if (tributary_subscriptions(client, &query, &status) != TRIBUTARY_OK)
        result = link_failed("listing subscriptions", &status);
    else
        result = list_print(&listing.table, out, size, "no subscriptions");
    text_table_fini(&listing.table);
    return result;
}

static int run_list(const struct verb *verb, int argc, char **argv)
{
    struct list_settings settings = {.output = LIST_TEXT};
    const struct repeat_job job = {.verb = verb,
                                   .settings = &settings,
                                   .common = &settings.common,
                                   .options = &settings.repeat,
                                   .output = &settings.output,
                                   .json = LIST_JSON,
                                   .list = list};

    return repeat_run(&job, argc, argv);
}

static int kick(const struct verb *verb, void *ctx, struct tributary *client, const char *id)
{
    const struct kick_settings *settings = ctx;
    const struct tributary_kick order = {
        .subscription_id = id,
        .reason = settings->reason,
        .drain = settings->drain,
        .drain_ns = settings->deadline_ns < 0    ? 0
                    : settings->deadline_ns == 0 ? TRIBUTARY_NONE
                                                 : settings->deadline_ns,
        .timeout_ns = link_left_ns(&settings->common),
    };
    struct tributary_status status;

    (void)verb;
    if (tributary_kick(client, &order, &status) != TRIBUTARY_OK)
        return link_failed(id, &status);
    return EXITS_OK;
}

static int run_kick(const struct verb *verb, int argc, char **argv)
{
    struct kick_settings settings = {.deadline_ns = -1};
    const struct named_job job = {.verb = verb,
                                  .settings = &settings,
                                  .common = &settings.common,
                                  .missing = "the subscription's id is missing: see 'tributary subs ls'",
                                  .each = kick};

    return named_run(&job, argc, argv);
}

#define LIST_OFFSET(member) offsetof(struct list_settings, member)
static const struct option list_options[] = {
    {'o', "output", OPTION_CHOICE, LIST_FORM_WORDS, LIST_OFFSET(output), LIST_FORM_HELP},
    {0, "sort", OPTION_CHOICE, ORDER_WORDS, LIST_OFFSET(order),
     "what comes first: the oldest (default), by name, or the largest"},
    {0, "sources", OPTION_FLAG, "", LIST_OFFSET(sources),
     "with the totals of every producer that is not idle"},
    REPEAT_OPTIONS(LIST_OFFSET(repeat)),
};

#define KICK_OFFSET(member) offsetof(struct kick_settings, member)
static const struct option kick_options[] = {
    {'r', "reason", OPTION_TEXT, "TEXT", KICK_OFFSET(reason), "the reason that its consumer gets"},
    {0, "drain", OPTION_FLAG, "", KICK_OFFSET(drain), "deliver what waits first"},
    {0, "deadline", OPTION_DURATION, "DURATION", KICK_OFFSET(deadline_ns),
     "with --drain: for at most this long (default: 5s)"},
};

static const struct example list_examples[] = {
    {"tributary subs ls", "who listens, and what they lost"},
    {"tributary subs ls --sort dropped --watch", "who loses most, again every 2 s"},
    {"tributary subs ls --sources -o json", "everything about them"},
};

static const struct example kick_examples[] = {
    {"tributary subs kick SUBSCRIPTION --reason 'too slow'", "end it now; exit code 4 where there is none"},
    {"tributary subs kick SUBSCRIPTION --drain --deadline 30s", "end it when it has what waits for it"},
};

const struct verb verb_subs_ls = {
    .name = "subs ls",
    .arguments = "",
    .summary = "list subscriptions",
    .text =
        "At all times accepted = delivered + dropped + queued; -o wide shows all four. A terminal gets the "
        "columns that fit.",
    .options = list_options,
    .option_count = ARRAY_LEN(list_options),
    .examples = list_examples,
    .example_count = ARRAY_LEN(list_examples),
    .run = run_list,
};

const struct verb verb_subs_kick = {
    .name = "subs kick",
    .arguments = "SUBSCRIPTION...",
    .max_arguments = 100,
    .summary = "end subscriptions",
    .text = "",
    .options = kick_options,
    .option_count = 3,
    .examples = kick_examples,
    .example_count = 2,
    .run = run_kick,
};
