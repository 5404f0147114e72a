/* producers_rm.c - `tributary producers rm` and `tributary producers drain`. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

#define MAX_NAMES 64
#define DEFAULT_DRAIN_NS (5 * NS_PER_S)
#define ANSWER_NS (10 * NS_PER_S)
#define NOT_GIVEN INT64_C(-1)

struct settings {
    struct common common;
    int64_t drain_ns;
    bool cancel;
};

/* The producer as it was before it was removed. */
struct seen {
    uint64_t events;
    uint32_t activations, upstream_calls;
    bool per_consumer, is_endpoint;
};

static void on_seen(void *ctx, const struct tributary_producer *producer)
{
    struct seen *seen = ctx;

    *seen = (struct seen){
        .events = producer->published.events,
        .activations = producer->activations,
        .upstream_calls = producer->upstream_calls,
        .per_consumer = producer->per_consumer,
        .is_endpoint = producer->kind == TRIBUTARY_PRODUCER_ENDPOINT,
    };
}

static int64_t drain_of(const struct settings *settings)
{
    return settings->drain_ns == NOT_GIVEN ? DEFAULT_DRAIN_NS : settings->drain_ns;
}

static int remove_one(const struct settings *settings, struct tributary *client, const char *name,
                      struct seen *before)
{
    const bool cancel = settings->cancel || drain_of(settings) == 0;
    const int64_t left_ns = link_left_ns(&settings->common);
    const struct tributary_removal removal = {
        .name = name,
        .cancel = cancel,
        .drain_ns = cancel ? 0 : drain_of(settings),
        .timeout_ns = left_ns > 0 ? left_ns : drain_of(settings) + ANSWER_NS,
        .each = on_seen,
        .ctx = before,
    };
    struct tributary_status status;

    if (tributary_producer_remove(client, &removal, &status) != TRIBUTARY_OK)
        return link_failed(name, &status);
    return EXITS_OK;
}

/* Removes a producer and prints what was asked to end. The name is free at once, so the end itself
 * cannot be queried. */
static int drain_one(const struct settings *settings, struct tributary *client, const char *name)
{
    struct seen before = {0};
    char within[32];
    int result = remove_one(settings, client, name, &before);

    if (result != EXITS_OK)
        return result;
    duration_text(drain_of(settings), within, sizeof(within));
    printf("%s is removed: %" PRIu64 " event%s published", name, before.events,
           before.events == 1 ? "" : "s");
    if (before.is_endpoint)
        printf("; %u upstream call%s ended", before.upstream_calls, before.upstream_calls == 1 ? "" : "s");
    else if (before.per_consumer)
        printf("; %u activation%s asked to end within %s, or expire", before.activations,
               before.activations == 1 ? "" : "s", within);
    putchar('\n');
    return EXITS_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    const bool reports = verb == &verb_producers_drain;
    struct settings settings = {.drain_ns = NOT_GIVEN};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        if (arguments.count == 0)
            result = cli_wrong(verb, "the producer's name is missing");
        else if (settings.cancel && settings.drain_ns != NOT_GIVEN)
            result = cli_wrong(verb, "--drain and --cancel exclude each other");
        else
            result = link_open(verb, &settings.common, &client);
    }
    for (size_t i = 0; client && i < arguments.count && result == EXITS_OK; i++) {
        struct seen before = {0};

        if (reports)
            result = drain_one(&settings, client, arguments.items[i]);
        else
            result = remove_one(&settings, client, arguments.items[i], &before);
    }
    tributary_free(client);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option rm_options[] = {
    {0, "drain", OPTION_DURATION, "DURATION", OFFSET(drain_ns),
     "how long it may take to end what it does (default: 5s)"},
    {0, "cancel", OPTION_FLAG, "", OFFSET(cancel), "at once: nothing more is taken from it"},
};

static const struct option drain_options[] = {
    {0, "drain", OPTION_DURATION, "DURATION", OFFSET(drain_ns),
     "how long it may take to end what it does (default: 5s)"},
};

static const struct example rm_examples[] = {
    {"tributary producers rm web", "its name is free at once; what it still sends within 5 s is delivered"},
    {"tributary producers rm --cancel web", "what is queued is delivered, nothing more is taken"},
};

static const struct example drain_examples[] = {
    {"tributary producers drain --drain 30s web", "half a minute to end gently"}};

const struct verb verb_producers_rm = {
    .name = "producers rm",
    .arguments = "NAME...",
    .max_arguments = MAX_NAMES,
    .summary = "remove producers",
    .text = "A session is asked to end; the program that registered it does not register again. A transient "
            "producer is forgotten, and comes\n"
            "back with its next call. Calls to an endpoint are cancelled; one that serves tributary's own "
            "Upstream/Produce is asked to end first.\n"
            "What was queued for consumers is still delivered.",
    .options = rm_options,
    .option_count = sizeof(rm_options) / sizeof(rm_options[0]),
    .examples = rm_examples,
    .example_count = sizeof(rm_examples) / sizeof(rm_examples[0]),
    .run = run,
};

const struct verb verb_producers_drain = {
    .name = "producers drain",
    .arguments = "NAME...",
    .max_arguments = MAX_NAMES,
    .summary = "remove producers gently, and say what was asked to end",
    .text = "As 'producers rm --drain', and says how many activations were asked to end. One that does not "
            "end in time expires: its consumer\n"
            "gets a notice, and the server logs activation.expired.",
    .options = drain_options,
    .option_count = sizeof(drain_options) / sizeof(drain_options[0]),
    .examples = drain_examples,
    .example_count = sizeof(drain_examples) / sizeof(drain_examples[0]),
    .run = run,
};
