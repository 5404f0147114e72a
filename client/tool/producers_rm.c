/* producers_rm.c - `tributary producers rm` and `tributary producers drain`. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/named.h"
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

/* How to remove a producer, and what to do with the answer. */
struct removing {
    const struct settings *settings;
    bool wait; /* until it is gone, and print what became of its calls */
};

static int64_t drain_of(const struct settings *settings)
{
    return settings->drain_ns == NOT_GIVEN ? DEFAULT_DRAIN_NS : settings->drain_ns;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* Prints what became of a producer. */
static void on_removed(void *ctx, const struct tributary_producer *producer)
{
    const struct removing *removing = ctx;
    const uint64_t aborted = producer->aborted_calls;
    char within[32];

    if (!removing->wait)
        return;
    duration_text(drain_of(removing->settings), within, sizeof(within));
    printf("%s is removed: %" PRIu64 " event%s published", producer->name, producer->published.events,
           plural(producer->published.events));
    if (producer->ended_calls + aborted > 0)
        printf("; %" PRIu64 " call%s ended", producer->ended_calls, plural(producer->ended_calls));
    if (aborted > 0)
        printf(", %" PRIu64 " did not end within %s and %s aborted", aborted, within,
               aborted == 1 ? "was" : "were");
    for (size_t i = 0; i < producer->aborted_subscription_count; i++)
        printf("%s%s", i == 0 ? ", of " : " ", producer->aborted_subscriptions[i]);
    if (producer->aborted_subscription_count > 0 && producer->aborted_subscription_count < aborted)
        printf(" and others");
    putchar('\n');
}

static int remove_one(const struct verb *verb, void *ctx, struct tributary *client, const char *name)
{
    const struct settings *settings = ctx;
    struct removing removing = {.settings = settings, .wait = verb == &verb_producers_drain};
    const bool cancel = settings->cancel || drain_of(settings) == 0;
    const int64_t left_ns = link_left_ns(&settings->common);
    const struct tributary_removal removal = {
        .name = name,
        .cancel = cancel,
        .drain_ns = cancel ? 0 : drain_of(settings),
        .wait = removing.wait,
        .timeout_ns = left_ns > 0 ? left_ns : drain_of(settings) + ANSWER_NS,
        .each = on_removed,
        .ctx = &removing,
    };
    struct tributary_status status;

    if (tributary_producer_remove(client, &removal, &status) != TRIBUTARY_OK)
        return link_failed(name, &status);
    return EXITS_OK;
}

static int check(const struct verb *verb, const void *ctx, size_t names)
{
    const struct settings *settings = ctx;

    (void)names;
    if (settings->cancel && settings->drain_ns != NOT_GIVEN)
        return cli_wrong(verb, "--drain and --cancel exclude each other");
    return EXITS_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.drain_ns = NOT_GIVEN};
    const struct named_job job = {.verb = verb,
                                  .settings = &settings,
                                  .common = &settings.common,
                                  .missing = "the producer's name is missing",
                                  .check = check,
                                  .each = remove_one};

    return named_run(&job, argc, argv);
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
    .summary = "remove producers gently, and say what became of their calls",
    .text = "As 'producers rm --drain', and waits until the producer is gone. It says how many of its calls "
            "(activations, upstream calls) ended by\n"
            "themselves, and which were aborted at the end of that time: their consumers get a notice. A "
            "signal to this command does not stop\n"
            "the removal.",
    .options = drain_options,
    .option_count = sizeof(drain_options) / sizeof(drain_options[0]),
    .examples = drain_examples,
    .example_count = sizeof(drain_examples) / sizeof(drain_examples[0]),
    .run = run,
};
