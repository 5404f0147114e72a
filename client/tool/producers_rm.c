/* producers_rm.c - `tributary producers rm` and `tributary producers drain`. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/stop.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

#define NAMES_MOST 64
#define DRAIN_DEFAULT_NS (5 * NS_PER_S)
#define ANSWER_NS (10 * NS_PER_S)
#define LOOK_NS (50 * NS_PER_MS) /* between two looks whether it is gone */
#define NOT_GIVEN INT64_C(-1)

struct settings {
    struct common common;
    int64_t drain_ns;
    bool cancel;
};

/* The producer as it was seen last. */
struct seen {
    bool there;
    uint64_t epoch, events, cut;
    uint32_t activations;
    bool per_consumer;
};

static void on_seen(void *ctx, const struct tributary_producer *producer)
{
    struct seen *seen = ctx;

    *seen = (struct seen){
        .there = true,
        .epoch = producer->epoch,
        .events = producer->published.events,
        .cut = producer->cut_activations,
        .activations = producer->activations,
        .per_consumer = producer->per_consumer,
    };
}

static int64_t drain_of(const struct settings *settings)
{
    return settings->drain_ns == NOT_GIVEN ? DRAIN_DEFAULT_NS : settings->drain_ns;
}

static int remove_one(const struct settings *settings, struct tributary *client, const char *name, struct seen *before)
{
    const bool cancel = settings->cancel || drain_of(settings) == 0;
    const int64_t max_ns = settings->common.max_time_ns;
    const struct tributary_removal removal = {
        .name = name,
        .cancel = cancel,
        .drain_ns = cancel ? 0 : drain_of(settings),
        .timeout_ns = max_ns > 0 ? max_ns : drain_of(settings) + ANSWER_NS,
        .each = on_seen,
        .ctx = before,
    };
    struct tributary_status status;

    if (tributary_producer_remove(client, &removal, &status) != TRIBUTARY_OK)
        return link_failed(name, &status);
    return EXITS_OK;
}

/* The same life of it is still to be seen. */
static bool is_there(struct tributary *client, const char *name, const struct seen *before, struct seen *now)
{
    const struct tributary_producers_query query = {.pattern = name, .each = on_seen, .ctx = now};

    now->there = false;
    return tributary_producer_get(client, &query, NULL) == TRIBUTARY_OK && now->there && now->epoch == before->epoch;
}

static int drain_one(const struct settings *settings, struct tributary *client, const char *name, struct stop *stop)
{
    const int64_t began_ns = clock_mono_ns();
    const int64_t until_ns = began_ns + drain_of(settings) + ANSWER_NS;
    struct seen before = {.there = false};
    struct seen now = {.there = false};
    uint64_t cut = 0;
    char took[32];
    int result = remove_one(settings, client, name, &before);

    if (result != EXITS_OK)
        return result;
    cut = before.cut;
    while (!stop_asked(stop) && clock_mono_ns() < until_ns && is_there(client, name, &before, &now)) {
        cut = now.cut;
        stop_wait(stop, -1, LOOK_NS);
    }
    if (now.there && now.epoch == before.epoch) {
        fprintf(stderr, "tributary: %s is still there\n", name);
        return EXITS_DEADLINE;
    }
    duration_text(clock_mono_ns() - began_ns, took, sizeof(took));
    printf("%s is gone after %s: %" PRIu64 " event%s", name, took, before.events, before.events == 1 ? "" : "s");
    if (before.per_consumer)
        printf(", %u activation%s, %" PRIu64 " cut", before.activations, before.activations == 1 ? "" : "s", cut);
    putchar('\n');
    return EXITS_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    const bool waits = verb == &verb_producers_drain;
    struct settings settings = {.drain_ns = NOT_GIVEN};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    struct stop stop = {.signal_fd = -1, .bell_fd = -1};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        if (arguments.count == 0)
            result = cli_wrong(verb, "the producer's name is missing");
        else if (settings.cancel && settings.drain_ns != NOT_GIVEN)
            result = cli_wrong(verb, "--drain and --cancel exclude each other");
        else if (waits && !stop_init(&stop, 0))
            result = EXITS_ERROR;
        else
            result = link_open(verb, &settings.common, &client);
    }
    for (size_t i = 0; client != NULL && i < arguments.count && result == EXITS_OK; i++) {
        struct seen before = {.there = false};

        if (waits)
            result = drain_one(&settings, client, arguments.items[i], &stop);
        else
            result = remove_one(&settings, client, arguments.items[i], &before);
    }
    tributary_free(client);
    stop_fini(&stop);
    cli_forget(verb, &settings, &arguments);
    return result;
}

#define AT(member) offsetof(struct settings, member)
static const struct option rm_options[] = {
    {0, "drain", OPTION_DURATION, "DURATION", AT(drain_ns), "how long it may take to end what it does (default: 5s)"},
    {0, "cancel", OPTION_FLAG, "", AT(cancel), "at once: nothing more is taken from it"},
};

static const struct option drain_options[] = {
    {0, "drain", OPTION_DURATION, "DURATION", AT(drain_ns), "how long it may take to end what it does (default: 5s)"},
};

static const struct example rm_examples[] = {
    {"tributary producers rm web", "its name is free at once; what it still sends within 5 s is delivered"},
    {"tributary producers rm --cancel web", "what is queued is delivered, nothing more is taken"},
};

static const struct example drain_examples[] = {{"tributary producers drain --drain 30s web", "half a minute to end gently, and see"}};

const struct verb verb_producers_rm = {
    .name = "producers rm",
    .arguments = "NAME...",
    .arguments_most = NAMES_MOST,
    .summary = "remove producers",
    .text =
        "A session is told to end; the program that registered it does not register again. A transient producer is forgotten, and comes\n"
        "back with its next call. What was queued for consumers is still delivered.",
    .options = rm_options,
    .option_count = sizeof(rm_options) / sizeof(rm_options[0]),
    .examples = rm_examples,
    .example_count = sizeof(rm_examples) / sizeof(rm_examples[0]),
    .run = run,
};

const struct verb verb_producers_drain = {
    .name = "producers drain",
    .arguments = "NAME...",
    .arguments_most = NAMES_MOST,
    .summary = "remove producers gently and wait for their end",
    .text = "As 'producers rm --drain', and then waits until each of them is gone, and says how many activations had to be cut.",
    .options = drain_options,
    .option_count = sizeof(drain_options) / sizeof(drain_options[0]),
    .examples = drain_examples,
    .example_count = sizeof(drain_examples) / sizeof(drain_examples[0]),
    .run = run,
};
