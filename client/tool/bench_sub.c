/* bench_sub.c - `tributary bench sub`: receives events, checks each, and measures how fast that
 * is. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/tool/bench_bounds.h"
#include "client/tool/bench_report.h"
#include "client/tool/bench_subscriber.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/table.h"
#include "client/tool/sub_start.h"
#include "client/tool/verbs.h"
#include "client/tool/selection.h"

#define DEFAULT_PRODUCERS "bench-*"

struct settings {
    struct common common;
    struct report_params report;
    struct selection_lists lists;
    uint64_t subscribers, events, buffer_events, buffer_bytes;
    int64_t block_timeout_ns, idle_ns;
    int64_t max_ns; /* counted from when all have subscribed */
    unsigned overflow;
    const char *ready_file, *from;
    bool until_caught_up;
};

struct bench {
    const struct settings *settings;
    struct stop stop;
    struct bench_group group;
    struct bench_subscriber *subscribers;
    int64_t cpu_ended_ns;
};

/* Why the run ended. */
enum reason { REACHED, SIGNALLED, IDLE, TIME_OVER, NOT_STARTED, NOT_ANNOUNCED };

/* True where a filter selects some of a producer's events: it makes holes in the sequences then. */
static bool filters_within(const struct selection_lists *lists)
{
    return lists->topics.count + lists->keys.count + lists->types.count + lists->headers.count +
               lists->exclude_topics.count + lists->exclude_keys.count + lists->exclude_types.count >
           0;
}

struct received {
    uint64_t events, bytes, faults;
};

static struct received count_received(const struct bench *bench)
{
    struct received received = {0};

    for (uint32_t i = 0; i < bench->group.count; i++) {
        const struct bench_subscriber *subscriber = &bench->subscribers[i];

        received.events += atomic_load_explicit(&subscriber->events, memory_order_relaxed);
        received.bytes += atomic_load_explicit(&subscriber->bytes, memory_order_relaxed);
        received.faults += atomic_load_explicit(&subscriber->faults, memory_order_relaxed);
    }
    return received;
}

/* Announces that all have subscribed, so that a script knows when it may publish. False: the file
 * could not be written. */
static bool write_ready_file(const struct bench *bench)
{
    const char *path = bench->settings->ready_file;
    FILE *file = NULL;
    bool written = false;

    if (!bench->settings->report.quiet)
        fprintf(stderr, "tributary: subscribed\n");
    if (!path)
        return true;
    file = fopen(path, "we");
    if (file) {
        written = fprintf(file, "subscribed %u\n", bench->group.count) > 0;
        written = fclose(file) == 0 && written;
    }
    if (!written)
        fprintf(stderr, "tributary: %s: %s\n", path, strerror(errno));
    return written;
}

static enum reason receive_all(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    struct progress progress;
    int64_t moved_ns = 0;
    uint64_t seen = 0;

    if (settings->max_ns > 0 && settings->max_ns < INT64_MAX - clock_mono_ns())
        bench->stop.until_ns = clock_mono_ns() + settings->max_ns;
    progress_begin(&progress, &settings->report, "received");
    for (;;) {
        const struct received received = count_received(bench);
        const int64_t now_ns = clock_mono_ns();
        char more[64] = "";

        if (received.events > seen)
            moved_ns = now_ns;
        seen = received.events;
        if (received.faults > 0)
            snprintf(more, sizeof(more), "  %" PRIu64 " faults", received.faults);
        progress_report(&progress, received.events, received.bytes, more);
        if (atomic_load(&bench->group.done) == bench->group.count || atomic_load(&bench->group.failed) > 0)
            return REACHED;
        if (stop_requested(&bench->stop))
            return bench->stop.signals > 0 ? SIGNALLED : TIME_OVER;
        if (settings->idle_ns > 0 && seen > 0 && now_ns - moved_ns >= settings->idle_ns)
            return IDLE;
        stop_wait(&bench->stop, -1,
                  MIN_OF(progress_left_ns(&progress),
                         settings->idle_ns > 0 ? settings->idle_ns / 4 + 1 : INT64_MAX));
    }
}

static struct throughput throughput_of(const struct bench_subscriber *subscriber)
{
    return (struct throughput){.events = subscriber->check.stats.events,
                               .bytes = subscriber->check.stats.bytes,
                               .messages = subscriber->messages,
                               .took_ns = subscriber->last_ns - subscriber->first_ns};
}

/* The throughput of all subscribers, from the first event that one of them got to the last. */
static struct throughput throughput_of_all(const struct bench *bench)
{
    struct throughput all = {.cpu_ns =
                                 bench->group.begun ? bench->cpu_ended_ns - bench->group.cpu_began_ns : 0};
    int64_t first_ns = INT64_MAX;
    int64_t last_ns = 0;

    for (uint32_t i = 0; i < bench->group.count; i++) {
        const struct bench_subscriber *subscriber = &bench->subscribers[i];
        const struct throughput one = throughput_of(subscriber);

        all.events += one.events;
        all.bytes += one.bytes;
        all.messages += one.messages;
        if (subscriber->first_ns != 0) {
            first_ns = MIN_OF(first_ns, subscriber->first_ns);
            last_ns = MAX_OF(last_ns, subscriber->last_ns);
        }
    }
    all.took_ns = MAX_OF(last_ns - first_ns, 0);
    return all;
}

static json_t *subscribers_json(const struct bench *bench)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < bench->group.count; i++) {
        const struct bench_subscriber *subscriber = &bench->subscribers[i];
        const struct throughput one = throughput_of(subscriber);
        json_t *object = json_object();

        throughput_put_rates(object, &one);
        report_put_stats(object, &subscriber->check.stats);
        table_put_number(object, "reconnects", atomic_load(&subscriber->reconnects));
        json_array_append_new(array, object);
    }
    return array;
}

static void print_json(const struct bench *bench, const struct check_stats *stats,
                       const struct histogram *latency)
{
    const struct throughput all = throughput_of_all(bench);
    json_t *object = json_object();
    uint64_t reconnects = 0;

    for (uint32_t i = 0; i < bench->group.count; i++)
        reconnects += atomic_load(&bench->subscribers[i].reconnects);
    table_put_text(object, "bench", "sub");
    table_put_number(object, "subscribers", bench->group.count);
    throughput_put_json(object, &all);
    report_put_stats(object, stats);
    table_put_number(object, "reconnects", reconnects);
    report_put_latency(object, latency, false);
    json_object_set_new(object, "per_subscriber", subscribers_json(bench));
    table_print_json(object, stdout);
}

static void print_text(const struct bench *bench, const struct check_stats *stats,
                       const struct histogram *latency)
{
    const struct throughput all = throughput_of_all(bench);

    printf("subscribers    %u\n", bench->group.count);
    printf("events         %" PRIu64 " received, of %" PRIu64 " producer%s\n", stats->events,
           stats->producers, stats->producers == 1 ? "" : "s");
    throughput_print(&all);
    for (uint32_t i = 0; i < bench->group.count && bench->group.count > 1; i++) {
        const struct throughput one = throughput_of(&bench->subscribers[i]);

        throughput_print_line(&one, i);
    }
    report_print_latency(latency);
    report_print_stats(stats);
}

static int verdict(const struct bench *bench, enum reason reason, const struct check_stats *stats)
{
    const int result = bench_group_verdict(&bench->group, bench->subscribers);

    if (result != EXITS_OK)
        return result;
    if (reason == NOT_ANNOUNCED)
        return EXITS_ERROR;
    if (check_failed_by(stats))
        return EXITS_LOSS;
    if ((reason == TIME_OVER || reason == IDLE) && stats->events < bench->group.goal * bench->group.count)
        return EXITS_DEADLINE;
    return EXITS_OK;
}

static int measure(struct bench *bench)
{
    struct check_stats stats = {0};
    struct histogram *latency = calloc(1, sizeof(*latency));
    enum reason reason = NOT_STARTED;
    int result = EXITS_ERROR;

    if (!latency)
        return EXITS_ERROR;
    if (bench_group_wait(&bench->group))
        reason = write_ready_file(bench) ? receive_all(bench) : NOT_ANNOUNCED;
    bench->cpu_ended_ns = report_cpu_ns();
    for (uint32_t i = 0; i < bench->group.count; i++) {
        bench_subscriber_end(&bench->subscribers[i]);
        check_stats_add(&stats, &bench->subscribers[i].check.stats);
        histogram_merge(latency, &bench->subscribers[i].check.latency);
    }
    if (bench->settings->report.json)
        print_json(bench, &stats, latency);
    else
        print_text(bench, &stats, latency);
    result = verdict(bench, reason, &stats);
    free(latency);
    return result;
}

static int open_all(const struct verb *verb, struct bench *bench, const struct selection *selection)
{
    const struct settings *settings = bench->settings;
    struct tributary_subscriber_options options = {
        .name = "bench",
        .selectors = selection->selectors,
        .selector_count = selection->selector_count,
        .exclude = selection->excludes,
        .exclude_count = selection->exclude_count,
        .max_events = (uint32_t)settings->buffer_events,
        .max_bytes = settings->buffer_bytes,
        .overflow = (enum tributary_overflow)(settings->overflow + 1),
        .block_timeout_ns = settings->block_timeout_ns == 0 ? TRIBUTARY_NONE : settings->block_timeout_ns,
        .no_statuses = true,
        .end_when_caught_up = settings->until_caught_up,
    };
    const char *fault =
        settings->from ? sub_start_read(settings->from, (uint64_t)clock_wall_ns(), &options) : NULL;
    int result = fault ? cli_wrong(verb, "--from '%s': %s", settings->from, fault) : EXITS_OK;

    for (uint32_t i = 0; i < bench->group.count && result == EXITS_OK; i++) {
        struct bench_subscriber *subscriber = &bench->subscribers[i];
        struct tributary *client = NULL;

        result = link_open(verb, &settings->common, &client);
        if (result != EXITS_OK)
            break;
        subscriber->group = &bench->group;
        subscriber->number = i;
        subscriber->check.no_sequences = filters_within(&settings->lists);
        result = link_exit_code(bench_subscriber_open(subscriber, client, &options));
    }
    return result;
}

static int run_bench(const struct verb *verb, const struct settings *settings,
                     const struct selection *selection)
{
    struct bench bench = {.settings = settings,
                          .group = {.count = (uint32_t)settings->subscribers,
                                    .goal = settings->events,
                                    .quiet = settings->report.quiet,
                                    .stop = &bench.stop}};
    int result = EXITS_ERROR;

    bench.subscribers = calloc(bench.group.count, sizeof(*bench.subscribers));
    if (stop_init(&bench.stop, 0) && bench.subscribers) {
        result = open_all(verb, &bench, selection);
        if (result == EXITS_OK)
            result = measure(&bench);
        for (uint32_t i = 0; i < bench.group.count; i++)
            bench_subscriber_close(&bench.subscribers[i]);
    }
    stop_fini(&bench.stop);
    free(bench.subscribers);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    static const char *defaults[] = {DEFAULT_PRODUCERS};
    struct settings settings = {.subscribers = 1,
                                .buffer_events = 65536,
                                .buffer_bytes = 64u << 20,
                                .block_timeout_ns = 10 * NS_PER_S};
    struct text_list arguments = {0};
    struct selection selection = {.selector_count = 0};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        const char *fault =
            selection_build_with(&selection, &settings.lists, arguments, (struct text_list){defaults, 1});

        result = fault ? cli_wrong(verb, "%s", fault) : run_bench(verb, &settings, &selection);
    }
    selection_fini(&selection);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {0, "subscribers", OPTION_COUNT, "N", OFFSET(subscribers),
     "subscribers, each with a connection of its own (default: 1)"},
    {'n', "events", OPTION_COUNT, "N", OFFSET(events),
     "end when every subscriber got so many, such as 10M (default: no end)"},
    {0, "max-time", OPTION_DURATION, "DURATION", OFFSET(max_ns),
     "end after this long, from when all have subscribed; exit code 6 where --events did not come"},
    {0, "idle", OPTION_DURATION, "DURATION", OFFSET(idle_ns),
     "end when nothing came for this long, once something came"},
    {0, "ready-file", OPTION_TEXT, "FILE", OFFSET(ready_file),
     "write a line there when all have subscribed: then is the time to publish"},
    SELECTION_OPTIONS(OFFSET(lists)),
    {0, "from", OPTION_TEXT, "WHERE", OFFSET(from),
     "where to begin with stored topics, as 'sub --from' has it: earliest, last:N, seq:N, a moment"},
    {0, "until-caught-up", OPTION_FLAG, "", OFFSET(until_caught_up),
     "end when everything was read that the stored topics had: how fast catching up is"},
    {0, "overflow", OPTION_CHOICE, "block|drop-oldest|drop-newest|disconnect|latest-per-key",
     OFFSET(overflow), "what a full channel does (default: block)"},
    {0, "block-timeout", OPTION_DURATION, "DURATION", OFFSET(block_timeout_ns),
     "with block: how long producers may be held back (default: 10s)"},
    {0, "buffer-events", OPTION_COUNT, "N", OFFSET(buffer_events),
     "events that may wait at the server (default: 65536)"},
    {0, "buffer-bytes", OPTION_BYTES, "BYTES", OFFSET(buffer_bytes),
     "bytes that may wait there (default: 64MiB)"},
    REPORT_OPTIONS(OFFSET(report)),
};

static const struct example examples[] = {
    {"tributary bench sub", "what 'bench pub' publishes, until Ctrl-C"},
    {"tributary bench sub -n 10M --ready-file ready & tributary bench pub -n 10M",
     "ten million events, each of them checked"},
    {"tributary bench sub --subscribers 8 --idle 2s",
     "eight connections, each of which gets all of it, until it is over"},
    {"tributary bench sub --topic orders --from earliest --until-caught-up",
     "how fast a stored topic is read from its first event on"},
    {"tributary bench sub --overflow drop-oldest --buffer-events 1024 --json",
     "how much a small channel loses"},
};

const struct verb verb_bench_sub = {
    .name = "bench sub",
    .arguments = "[PRODUCER...]",
    .max_arguments = MAX_SELECTION_SELECTORS,
    .summary = "receive what 'bench pub' publishes, check and measure it",
    .text = "Subscribes to the producers that match one of the patterns (default: " DEFAULT_PRODUCERS
            ") and checks the mark of every event: its number\n"
            "within its producer, its sequence, and the losses that the server reports. A hole, an event out "
            "of order or a loss is exit code "
            "5.\n"
            "With a filter by topic, key, type or header sequences have holes, so only numbers are checked.\n"
            "The rate counts from the first event to the last. Latencies are from a mark's time to the "
            "event's arrival here, of publishers on\n"
            "this machine only; without a --rate of the publisher they say how long queues are, not how fast "
            "the way is.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .bounds = bench_sub_bounds,
    .bound_count = BENCH_SUB_BOUNDS,
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
