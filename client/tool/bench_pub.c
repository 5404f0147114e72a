/* bench_pub.c - `tributary bench pub`: publishes single events, and measures how fast that is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/tool/bench_bounds.h"
#include "client/tool/bench_publisher.h"
#include "client/tool/bench_report.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/table.h"
#include "client/tool/verbs.h"

#define MAX_PREFIX 200u
#define NOT_CHOSEN UINT32_MAX
#define DEFAULT_WINDOW 262144u /* events of one publisher that wait for their confirmation */
#define DEFAULT_TIME_NS (10 * NS_PER_S)
#define FLUSH_STEP_NS (100 * NS_PER_MS)
#define FLUSH_IDLE_NS (10 * NS_PER_S)     /* give up after so long without a confirmation */
#define FLUSH_SIGNALLED_NS (5 * NS_PER_S) /* the longest flush after a signal */

struct settings {
    struct common common;
    struct report_params report;
    uint64_t publishers, events, size, rate, window, batch;
    unsigned confirm; /* NOT_CHOSEN: not given */
    int64_t max_ns;   /* counted from when all are connected */
    const char *prefix, *topic, *key;
};

struct bench {
    const struct settings *settings;
    struct stop stop;
    struct bench_plan plan;
    struct bench_publisher *publishers;
    int64_t cpu_began_ns, published_ns, flushed_ns;
    int64_t cpu_ns;
    int64_t server_cpu_ns; /* -1: not known */
    uint32_t server_pid;   /* 0: not known */
    struct histogram latency;
    bool signalled; /* a signal ended it */
};

static int check_settings(const struct verb *verb, const struct settings *settings)
{
    const struct tributary_event event = {.topic = tributary_text(settings->topic),
                                          .key = tributary_text(settings->key)};

    if (strlen(settings->prefix) > MAX_PREFIX)
        return cli_wrong(verb, "--producer-prefix: %zu bytes are over %u", strlen(settings->prefix),
                         MAX_PREFIX);
    if (tributary_event_fault(&event)[0] != '\0')
        return cli_wrong(verb, "--%s", tributary_event_fault(&event));
    return EXITS_OK;
}

static uint64_t published(const struct bench *bench)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < bench->plan.publishers; i++)
        sum += atomic_load_explicit(&bench->publishers[i].published, memory_order_relaxed);
    return sum;
}

static struct tributary_publisher_stats stats(const struct bench *bench)
{
    struct tributary_publisher_stats sum = {0};
    struct tributary_publisher_stats one;

    for (uint32_t i = 0; i < bench->plan.publishers; i++) {
        if (!bench->publishers[i].publisher)
            continue;
        tributary_publisher_stats(bench->publishers[i].publisher, &one);
        sum.accepted += one.accepted;
        sum.confirmed += one.confirmed;
        sum.refused += one.refused;
        sum.messages += one.messages;
        sum.reconnects += one.reconnects;
    }
    return sum;
}

/* Waits until every publisher is done. */
static void publish_all(struct bench *bench)
{
    struct progress progress;

    progress_begin(&progress, &bench->settings->report, "published");
    while (atomic_load(&bench->plan.running) > 0) {
        stop_wait(&bench->stop, -1, progress_left_ns(&progress));
        if (stop_requested(&bench->stop))
            atomic_store(&bench->plan.stopping, true);

        const uint64_t events = published(bench);

        progress_report(&progress, events, events * bench->plan.size, NULL);
    }
    bench->signalled = bench->stop.signals > 0;
}

/* Waits until every event is confirmed or refused. Gives up after FLUSH_IDLE_NS without progress,
 * at FLUSH_SIGNALLED_NS after a signal, or at a further signal. */
static void flush_all(struct bench *bench)
{
    const unsigned signals = bench->stop.signals;
    const int64_t until_ns = bench->signalled ? clock_mono_ns() + FLUSH_SIGNALLED_NS : INT64_MAX;
    int64_t moved_ns = clock_mono_ns();
    uint64_t resolved = 0;

    for (uint32_t i = 0; i < bench->plan.publishers;) {
        const int64_t now_ns = clock_mono_ns();
        const struct tributary_publisher_stats sum = stats(bench);

        if (sum.confirmed + sum.refused > resolved)
            moved_ns = now_ns;
        resolved = sum.confirmed + sum.refused;
        stop_wait(&bench->stop, -1, 0);
        if (bench->stop.signals > signals || now_ns >= until_ns || now_ns - moved_ns >= FLUSH_IDLE_NS)
            return;
        if (tributary_publisher_flush(bench->publishers[i].publisher, FLUSH_STEP_NS) == TRIBUTARY_OK)
            i++;
    }
}

static json_t *publishers_json(const struct bench *bench)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < bench->plan.publishers; i++) {
        struct tributary_publisher_stats one;
        json_t *object = json_object();

        tributary_publisher_stats(bench->publishers[i].publisher, &one);
        table_put_number(object, "accepted", one.accepted);
        table_put_number(object, "confirmed", one.confirmed);
        table_put_number(object, "refused", one.refused);
        table_put_number(object, "messages", one.messages);
        table_put_number(object, "reconnects", one.reconnects);
        json_array_append_new(array, object);
    }
    return array;
}

static void summarize(const struct bench *bench, const struct tributary_publisher_stats *sum)
{
    const int64_t flush_ns = bench->flushed_ns - bench->published_ns;
    const uint64_t left = sum->accepted - sum->confirmed - sum->refused;
    const struct throughput throughput = {.events = sum->confirmed,
                                          .bytes = sum->confirmed * bench->plan.size,
                                          .messages = sum->messages,
                                          .took_ns = bench->flushed_ns - bench->plan.began_ns,
                                          .cpu_ns = bench->cpu_ns};

    if (bench->settings->report.json) {
        json_t *object = json_object();

        table_put_text(object, "bench", "pub");
        table_put_number(object, "publishers", bench->plan.publishers);
        table_put_number(object, "size", bench->plan.size);
        throughput_put_json(object, &throughput);
        table_put_number(object, "accepted", sum->accepted);
        table_put_number(object, "confirmed", sum->confirmed);
        table_put_number(object, "refused", sum->refused);
        table_put_number(object, "not_confirmed", left);
        table_put_number(object, "reconnects", sum->reconnects);
        report_put_real(object, "flush_seconds", (double)flush_ns / 1e9);
        if (bench->server_cpu_ns >= 0)
            report_put_real(object, "server_cpu_seconds", (double)bench->server_cpu_ns / 1e9);
        if (bench->plan.window > 0)
            report_put_quantiles(object, "confirmed_after_us", &bench->latency, false);
        json_object_set_new(object, "per_publisher", publishers_json(bench));
        table_print_json(object, stdout);
        return;
    }
    printf("publishers     %u, %u bytes of payload\n", bench->plan.publishers, bench->plan.size);
    printf("events         %" PRIu64 " accepted, %" PRIu64 " confirmed, %" PRIu64 " refused, %" PRIu64
           " not confirmed\n",
           sum->accepted, sum->confirmed, sum->refused, left);
    throughput_print(&throughput);
    printf("flush          %.3f s, from the last event to its confirmation\n", (double)flush_ns / 1e9);
    if (bench->server_cpu_ns >= 0 && sum->confirmed > 0)
        printf("server         %.3f s of processor time, %.3f for a million events\n",
               (double)bench->server_cpu_ns / 1e9,
               (double)bench->server_cpu_ns / 1e3 / (double)sum->confirmed);
    if (bench->plan.window > 0)
        report_print_quantiles("confirmed", &bench->latency);
}

static int verdict(const struct bench *bench, const struct tributary_publisher_stats *sum)
{
    for (uint32_t i = 0; i < bench->plan.publishers; i++) {
        const struct bench_publisher *publisher = &bench->publishers[i];
        const int refused = atomic_load(&publisher->refused_code);

        if (refused == TRIBUTARY_UNAVAILABLE)
            return EXITS_UNAVAILABLE;
        if (publisher->failed != TRIBUTARY_OK && refused == 0)
            return link_exit_code(publisher->failed);
    }
    if (sum->confirmed < sum->accepted)
        return EXITS_ERROR;
    if (!bench->signalled && bench->plan.events > sum->accepted)
        return EXITS_DEADLINE;
    return EXITS_OK;
}

static int measure(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    struct bench_plan *plan = &bench->plan;
    const int64_t max_ns = settings->max_ns > 0   ? settings->max_ns
                           : settings->events > 0 ? 0
                                                  : DEFAULT_TIME_NS;
    const int64_t server_ns = bench_server_cpu_ns(bench->server_pid);
    bool started = true;

    bench->cpu_began_ns = report_cpu_ns();
    plan->began_ns = clock_mono_ns();
    plan->until_ns = max_ns > 0 && max_ns < INT64_MAX - plan->began_ns ? plan->began_ns + max_ns : INT64_MAX;
    for (uint32_t i = 0; i < plan->publishers && started; i++)
        started = bench_publisher_start(&bench->publishers[i]);
    atomic_store(&plan->stopping, !started);
    publish_all(bench);
    bench->published_ns = plan->began_ns;
    for (uint32_t i = 0; i < plan->publishers; i++) {
        bench_publisher_join(&bench->publishers[i]);
        bench->published_ns = MAX_OF(bench->published_ns, bench->publishers[i].done_ns);
    }
    flush_all(bench);
    bench->flushed_ns = clock_mono_ns();
    bench->cpu_ns = report_cpu_ns() - bench->cpu_began_ns;
    bench->server_cpu_ns = server_ns < 0 ? -1 : bench_server_cpu_ns(bench->server_pid) - server_ns;
    for (uint32_t i = 0; i < plan->publishers; i++)
        histogram_merge(&bench->latency, &bench->publishers[i].acks.latency);

    const struct tributary_publisher_stats sum = stats(bench);

    summarize(bench, &sum);
    if (!started)
        fprintf(stderr, "tributary: no memory or no thread for a publisher\n");
    return started ? verdict(bench, &sum) : EXITS_ERROR;
}

static int open_all(const struct verb *verb, struct bench *bench)
{
    const struct settings *settings = bench->settings;
    int result = EXITS_OK;

    for (uint32_t i = 0; i < bench->plan.publishers && result == EXITS_OK; i++) {
        struct bench_publisher *publisher = &bench->publishers[i];
        struct tributary *client = NULL;
        char name[MAX_PREFIX + 16];

        snprintf(name, sizeof(name), "%s%u", settings->prefix, i);
        publisher->plan = &bench->plan;
        publisher->number = i;
        result = link_open(verb, &settings->common, &client);
        if (result == EXITS_OK)
            result = link_exit_code(bench_publisher_open(publisher, client, name));
        if (i == 0 && result == EXITS_OK)
            bench->server_pid = bench_server_pid(publisher->client);
    }
    return result;
}

/* Confirmations are timed where they are asked for. */
static uint32_t window_of(const struct settings *settings)
{
    if (settings->window > 0)
        return (uint32_t)settings->window;
    return settings->confirm == NOT_CHOSEN ? 0 : DEFAULT_WINDOW;
}

static int run_bench(const struct verb *verb, const struct settings *settings)
{
    struct bench bench = {
        .settings = settings,
        .plan = {.publishers = (uint32_t)settings->publishers,
                 .events = settings->events,
                 .rate = settings->rate,
                 .size = (uint32_t)settings->size,
                 .confirm = settings->confirm == NOT_CHOSEN
                                ? TRIBUTARY_CONFIRM_DEFAULT
                                : (enum tributary_confirm)(settings->confirm + TRIBUTARY_CONFIRM_RECEIVED),
                 .window = window_of(settings),
                 .batch = (uint32_t)settings->batch,
                 .run = mark_run(),
                 .event = {.topic = tributary_text(settings->topic), .key = tributary_text(settings->key)},
                 .quiet = settings->report.quiet,
                 .stop = &bench.stop},
    };
    int result = EXITS_ERROR;

    bench.publishers = calloc(bench.plan.publishers, sizeof(*bench.publishers));
    if (stop_init(&bench.stop, 0) && bench.publishers) {
        result = open_all(verb, &bench);
        if (result == EXITS_OK)
            result = measure(&bench);
        for (uint32_t i = 0; i < bench.plan.publishers; i++)
            bench_publisher_close(&bench.publishers[i]);
    }
    stop_fini(&bench.stop);
    free(bench.publishers);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.publishers = 4, .size = 128, .prefix = "bench-", .confirm = NOT_CHOSEN};
    struct text_list arguments = {0};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        result = check_settings(verb, &settings);
        if (result == EXITS_OK)
            result = run_bench(verb, &settings);
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {0, "publishers", OPTION_COUNT, "N", OFFSET(publishers),
     "publishers, each with a connection and a thread of its own (default: 4)"},
    {'n', "events", OPTION_COUNT, "N", OFFSET(events),
     "events of all publishers together, such as 10M (default: no end)"},
    {0, "max-time", OPTION_DURATION, "DURATION", OFFSET(max_ns),
     "publish for at most this long; exit code 6 where --events were not reached (default: 10s without "
     "--events)"},
    {0, "size", OPTION_BYTES, "BYTES", OFFSET(size),
     "bytes of payload of each event, at least 32 (default: 128)"},
    {0, "rate", OPTION_COUNT, "N", OFFSET(rate),
     "events per second of all publishers together (default: 0, as fast as it goes)"},
    {0, "producer-prefix", OPTION_TEXT, "TEXT", OFFSET(prefix),
     "producers are called by this and a number (default: bench-)"},
    {'t', "topic", OPTION_TEXT, "TOPIC", OFFSET(topic), "what the events are about"},
    {'k', "key", OPTION_TEXT, "KEY", OFFSET(key), "what groups them"},
    {0, "confirm", OPTION_CHOICE, "received|stored", OFFSET(confirm),
     "when events count as confirmed, and report how long that takes: stored is for events of stored topics "
     "(default: the server's choice)"},
    {0, "window", OPTION_COUNT, "N", OFFSET(window),
     "events of each publisher that may wait for their confirmation (default: 262144)"},
    {0, "batch", OPTION_COUNT, "N", OFFSET(batch),
     "at most this many events in a message; with --rate they are due together (default: 4096, and each "
     "event is due by itself)"},
    REPORT_OPTIONS(OFFSET(report)),
};

static const struct example examples[] = {
    {"tributary bench pub", "how fast four publishers are, in ten seconds"},
    {"tributary bench sub -n 10M & tributary bench pub -n 10M",
     "and a subscriber that gets all of it (see 'help bench sub')"},
    {"tributary bench pub --publishers 100 --rate 20k --size 1KiB --max-time 1m", "an even load"},
    {"tributary bench pub --topic orders --confirm stored --batch 64 --window 4096",
     "how fast events of a stored topic reach the disk, and how long it takes"},
    {"tributary bench pub --json | jq .events_per_second", "for another program"},
};

const struct verb verb_bench_pub = {
    .name = "bench pub",
    .arguments = "",
    .summary = "publish as fast as it goes, and measure it",
    .text = "Each publisher has a connection of its own and publishes single events through the C library, "
            "which packs them into messages.\n"
            "The first 32 bytes of each payload are a mark: run, producer, number and time, which 'bench "
            "sub' checks. The time is that of\n"
            "CLOCK_MONOTONIC, read once in 16 events, and for each event with a --window below 16; with "
            "--rate, when the event was due.\n"
            "The rate counts confirmed events, from the start to the last confirmation. A server confirms an "
            "event when it took it, whether\n"
            "or not anybody subscribes; a subscriber that blocks holds publishers back. SIGINT, SIGTERM "
            "and SIGHUP end it, with the summary.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .bounds = bench_pub_bounds,
    .bound_count = BENCH_PUB_BOUNDS,
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
