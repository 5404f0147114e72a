/* bench_latency.c - `tributary bench latency`: measures how long an event takes from a publisher to
 * a subscriber, at a steady rate. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "client/tool/bench_bounds.h"
#include "client/tool/bench_publisher.h"
#include "client/tool/bench_report.h"
#include "client/tool/bench_subscriber.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/table.h"
#include "client/tool/verbs.h"

#define DEFAULT_TIME_NS (10 * NS_PER_S)
#define DEFAULT_WARMUP_NS NS_PER_S
#define STEP_NS (100 * NS_PER_MS)
#define WAIT_NS (5 * NS_PER_S) /* how long to wait for the last events while none comes */
#define BLOCK_NS (10 * NS_PER_S)

struct settings {
    struct common common;
    struct report_params report;
    uint64_t rate, size;
    int64_t warmup_ns;
    int64_t max_ns; /* counted from the end of the warm-up */
};

struct bench {
    const struct settings *settings;
    struct stop stop;
    struct bench_plan plan;
    struct bench_group group;
    struct bench_publisher publisher;
    struct bench_subscriber subscriber;
    int64_t cpu_ns;
};

/* Waits until publishing has ended, and then for the events that have not been received. */
static void exchange(struct bench *bench)
{
    const struct bench_publisher *publisher = &bench->publisher;
    struct progress progress;
    int64_t moved_ns = clock_mono_ns();
    uint64_t received = 0;

    progress_begin(&progress, &bench->settings->report, "received");
    for (;;) {
        const uint64_t now = atomic_load(&bench->subscriber.events);
        const bool published = atomic_load(&bench->plan.running) == 0;
        const int64_t now_ns = clock_mono_ns();

        if (now > received || !published)
            moved_ns = now_ns;
        received = now;
        progress_report(&progress, now, now * bench->plan.size, NULL);
        if (stop_requested(&bench->stop))
            atomic_store(&bench->plan.stopping, true);
        if (published && now >= atomic_load(&publisher->published))
            return;
        if (atomic_load(&bench->group.failed) > 0 || bench->stop.signals > 1 || now_ns - moved_ns >= WAIT_NS)
            return;
        stop_wait(&bench->stop, -1, MIN_OF(progress_left_ns(&progress), STEP_NS));
    }
}

static void print_json(const struct bench *bench, const struct throughput *throughput, uint64_t missing)
{
    const struct check *check = &bench->subscriber.check;
    json_t *object = json_object();

    table_put_text(object, "bench", "latency");
    table_put_number(object, "rate", bench->plan.rate);
    table_put_number(object, "size", bench->plan.size);
    throughput_put_json(object, throughput);
    table_put_number(object, "published", atomic_load(&bench->publisher.published));
    table_put_number(object, "not_received", missing);
    report_put_stats(object, &check->stats);
    report_put_latency(object, &check->latency, true);
    table_print_json(object, stdout);
}

static void print_text(const struct bench *bench, const struct throughput *throughput, uint64_t missing)
{
    const struct check *check = &bench->subscriber.check;

    printf("events         %" PRIu64 " published, %" PRIu64 " received, %" PRIu64 " after the warm-up\n",
           atomic_load(&bench->publisher.published), check->stats.events, check->latency.count);
    throughput_print(throughput);
    report_print_latency(&check->latency);
    report_print_stats(&check->stats);
    if (missing > 0)
        printf("MISSING        %" PRIu64 " events that were published and did not come\n", missing);
}

static int verdict(const struct bench *bench, uint64_t missing)
{
    const int result = bench_group_verdict(&bench->group, &bench->subscriber);

    if (result != EXITS_OK)
        return result;
    if (bench->publisher.failed != TRIBUTARY_OK)
        return link_exit_code(bench->publisher.failed);
    if (atomic_load(&bench->publisher.refused_code) != 0)
        return EXITS_ERROR;
    return missing > 0 || check_failed_by(&bench->subscriber.check.stats) ? EXITS_LOSS : EXITS_OK;
}

static int measure(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    struct bench_subscriber *subscriber = &bench->subscriber;
    const int64_t cpu_began_ns = report_cpu_ns();
    bool started = true;

    if (bench_group_wait(&bench->group)) {
        bench->plan.began_ns = clock_mono_ns();
        bench->plan.until_ns = bench->plan.began_ns + settings->warmup_ns + settings->max_ns;
        /* Safe: no event comes before the thread starts. */
        subscriber->check.latency_from_ns = bench->plan.began_ns + settings->warmup_ns;
        started = bench_publisher_start(&bench->publisher);
        exchange(bench);
        atomic_store(&bench->plan.stopping, true);
        bench_publisher_join(&bench->publisher);
    }
    bench->cpu_ns = report_cpu_ns() - cpu_began_ns;
    bench_subscriber_end(subscriber);

    const uint64_t published = atomic_load(&bench->publisher.published);
    const uint64_t missing = published - MIN_OF(published, subscriber->check.stats.events);
    const struct throughput throughput = {.events = subscriber->check.stats.events,
                                          .bytes = subscriber->check.stats.bytes,
                                          .messages = subscriber->messages,
                                          .took_ns = subscriber->last_ns - subscriber->first_ns,
                                          .cpu_ns = bench->cpu_ns};

    if (settings->report.json)
        print_json(bench, &throughput, missing);
    else
        print_text(bench, &throughput, missing);
    if (!started)
        fprintf(stderr, "tributary: no memory or no thread for the publisher\n");
    return started ? verdict(bench, missing) : EXITS_ERROR;
}

static int open_both(const struct verb *verb, struct bench *bench, const char *name)
{
    const struct tributary_selector selector = {.producer = name};
    const struct tributary_subscriber_options options = {
        .name = "bench latency",
        .selectors = &selector,
        .selector_count = 1,
        .overflow = TRIBUTARY_OVERFLOW_BLOCK,
        .block_timeout_ns = BLOCK_NS,
        .no_statuses = true,
    };
    struct tributary *client = NULL;
    int result = link_open(verb, &bench->settings->common, &client);

    bench->publisher.plan = &bench->plan;
    bench->subscriber.group = &bench->group;
    if (result == EXITS_OK)
        result = link_exit_code(bench_publisher_open(&bench->publisher, client, name));
    client = NULL;
    if (result == EXITS_OK)
        result = link_open(verb, &bench->settings->common, &client);
    if (result == EXITS_OK)
        result = link_exit_code(bench_subscriber_open(&bench->subscriber, client, &options));
    return result;
}

static int run_bench(const struct verb *verb, const struct settings *settings)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    char name[64];
    int result = EXITS_ERROR;

    if (!bench)
        return EXITS_ERROR;
    bench->settings = settings;
    bench->plan = (struct bench_plan){.publishers = 1,
                                      .rate = settings->rate,
                                      .size = (uint32_t)settings->size,
                                      .run = mark_run(),
                                      .quiet = settings->report.quiet,
                                      .stop = &bench->stop};
    bench->group = (struct bench_group){.count = 1, .quiet = settings->report.quiet, .stop = &bench->stop};
    /* A name of its own, so that several benches may run at once. */
    snprintf(name, sizeof(name), "bench-latency-%" PRIx64, bench->plan.run);
    if (stop_init(&bench->stop, 0)) {
        result = open_both(verb, bench, name);
        if (result == EXITS_OK)
            result = measure(bench);
        bench_subscriber_close(&bench->subscriber);
        bench_publisher_close(&bench->publisher);
    }
    stop_fini(&bench->stop);
    free(bench);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {
        .max_ns = DEFAULT_TIME_NS, .rate = 1000, .size = 128, .warmup_ns = DEFAULT_WARMUP_NS};
    struct text_list arguments = {0};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result))
        result = run_bench(verb, &settings);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {0, "rate", OPTION_COUNT, "N", OFFSET(rate), "events per second (default: 1000)"},
    {0, "max-time", OPTION_DURATION, "DURATION", OFFSET(max_ns), "how long to measure (default: 10s)"},
    {0, "warmup", OPTION_DURATION, "DURATION", OFFSET(warmup_ns),
     "how long to publish before that (default: 1s)"},
    {0, "size", OPTION_BYTES, "BYTES", OFFSET(size),
     "bytes of payload of each event, at least 32 (default: 128)"},
    REPORT_OPTIONS(OFFSET(report)),
};

static const struct example examples[] = {
    {"tributary bench latency", "a thousand events a second, for ten seconds"},
    {"tributary bench latency --rate 20k --max-time 1m --json | jq .latency_us.p99",
     "under more load, for another program"},
};

const struct verb verb_bench_latency = {
    .name = "bench latency",
    .arguments = "",
    .summary = "measure how long an event takes",
    .text = "Publishes single events at a steady rate on one connection and receives them on another, both "
            "in this process. Each event has a\n"
            "moment at which it is due, and its latency counts from there, so that whatever delays it "
            "counts, this machine's own scheduling\n"
            "included. Events of the warm-up are checked like the others, but not timed. With --json, "
            "\"histogram\" says how often each\n"
            "duration was seen, in slots of at most 1.6 %, in microseconds.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .bounds = bench_latency_bounds,
    .bound_count = BENCH_LATENCY_BOUNDS,
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
