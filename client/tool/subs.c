/* subs.c - `tributary subs ls` and `tributary subs kick`. */
#include <inttypes.h>
#include <string.h>

#include "client/tool/exits.h"
#include "client/tool/cli.h"
#include "client/tool/link.h"
#include "client/tool/table.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

enum { FORM_TEXT, FORM_JSON };

struct list_settings {
    struct common common;
    unsigned output;
    bool sources;
};

struct kick_settings {
    struct common common;
    const char *reason;
    bool drain;
    int64_t deadline_ns; /* -1: not given */
};

struct listing {
    const struct list_settings *settings;
    uint64_t count;
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
    return object;
}

static void print_json(const struct tributary_subscription *subscription)
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
    table_print_json(object);
}

static const char *condition(const struct tributary_subscription *subscription)
{
    return subscription->draining          ? "draining"
           : subscription->fallback_active ? "fallback active"
           : subscription->blocked         ? "blocked"
                                           : "flowing";
}

static void print_share(const char *name, const struct tributary_source_totals *share)
{
    printf("  from %-48s %21" PRIu64 " %12" PRIu64 " %10" PRIu64 " %8" PRIu64 "\n", name,
           share->accepted.events, share->delivered.events, share->dropped.events, share->queued.events);
}

static void on_row(void *ctx, const struct tributary_subscription *subscription)
{
    struct listing *listing = ctx;

    if (listing->settings->output == FORM_JSON) {
        print_json(subscription);
        return;
    }
    if (listing->count++ == 0)
        printf("%-24s %-16s %-11s %-15s %12s %12s %10s %8s  %s\n", "subscription", "name", "overflow",
               "state", "accepted", "delivered", "dropped", "queued", "peer");
    printf("%-24s %-16s %-11s %-15s %12" PRIu64 " %12" PRIu64 " %10" PRIu64 " %8" PRIu64 "  %s\n",
           subscription->id, subscription->name[0] != '\0' ? subscription->name : "-",
           tributary_overflow_name((int)subscription->settings.overflow), condition(subscription),
           subscription->accepted.events, subscription->delivered.events, subscription->dropped.events,
           subscription->queued.events, subscription->peer);
    for (size_t i = 0; i < subscription->loss_count; i++)
        printf("  lost %" PRIu64 " by %s\n", subscription->losses[i].lost.events,
               tributary_loss_name(subscription->losses[i].reason));
    for (size_t i = 0; i < subscription->source_count; i++)
        print_share(subscription->sources[i].source, &subscription->sources[i]);
    if (subscription->others.accepted.events > 0)
        print_share("(idle producers)", &subscription->others);
}

static int run_list(const struct verb *verb, int argc, char **argv)
{
    struct list_settings settings = {.output = FORM_TEXT};
    struct listing listing = {.settings = &settings};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    struct tributary_status status;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result) &&
        (result = link_open(verb, &settings.common, &client)) == EXITS_OK) {
        const struct tributary_subscriptions_query query = {.sources = settings.sources,
                                                            .timeout_ns = link_left_ns(&settings.common),
                                                            .each = on_row,
                                                            .ctx = &listing};

        if (tributary_subscriptions(client, &query, &status) != TRIBUTARY_OK)
            result = link_failed("listing subscriptions", &status);
        else if (listing.count == 0 && settings.output == FORM_TEXT)
            fprintf(stderr, "no subscriptions\n");
    }
    tributary_free(client);
    cli_free(verb, &settings, &arguments);
    return result;
}

static int run_kick(const struct verb *verb, int argc, char **argv)
{
    struct kick_settings settings = {.deadline_ns = -1};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    struct tributary_status status;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        if (arguments.count == 0)
            result = cli_wrong(verb, "the subscription's id is missing: see 'tributary subs ls'");
        else
            result = link_open(verb, &settings.common, &client);
    }
    for (size_t i = 0; i < arguments.count && result == EXITS_OK && client; i++) {
        const struct tributary_kick kick = {
            .subscription_id = arguments.items[i],
            .reason = settings.reason,
            .drain = settings.drain,
            .drain_ns = settings.deadline_ns < 0    ? 0
                        : settings.deadline_ns == 0 ? TRIBUTARY_NONE
                                                    : settings.deadline_ns,
            .timeout_ns = link_left_ns(&settings.common),
        };

        if (tributary_kick(client, &kick, &status) != TRIBUTARY_OK)
            result = link_failed(arguments.items[i], &status);
    }
    tributary_free(client);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define LIST_OFFSET(member) offsetof(struct list_settings, member)
static const struct option list_options[] = {
    {'o', "output", OPTION_CHOICE, "text|json", LIST_OFFSET(output),
     "a table, or one JSON object per line (default: text)"},
    {0, "sources", OPTION_FLAG, "", LIST_OFFSET(sources),
     "with the totals of every producer that is not idle"},
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
    .text = "In the order of their beginning. At all times accepted = delivered + dropped + queued.",
    .options = list_options,
    .option_count = 2,
    .examples = list_examples,
    .example_count = 2,
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
