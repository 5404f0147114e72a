/* bench_batch.c - `tributary bench batch`: runs operations of keyed batches through the server, and
 * measures how many and how fast. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/bench_bounds.h"
#include "client/tool/bench_report.h"
#include "client/tool/bench_runner.h"
#include "client/tool/bench_stamp.h"
#include "client/tool/bench_worker.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/table.h"
#include "client/tool/verbs.h"

#define DEFAULT_TIME_NS (10 * NS_PER_S)
#define DEFAULT_WINDOW_NS (100 * NS_PER_MS)
#define STEP_NS (100 * NS_PER_MS)
#define IDLE_NS (10 * NS_PER_S) /* give up after so long without an operation that ends */
#define MAX_DEFAULT_BATCHES 10000u
#define SLEEPING_THREADS 64u /* for callbacks that sleep in place of a save */

struct settings {
    struct common common;
    struct report_params report;
    uint64_t runners, keys, operations, rate, size, in_flight, threads, max_batches;
    int64_t max_ns, window_ns, save_delay_ns;
    bool adaptive, no_worker, no_ids;
    const char *processor;
};

struct bench {
    const struct settings *settings;
    struct stop stop;
    struct runner_plan plan;
    struct bench_runner *runners;
    struct bench_worker worker;
    int64_t cpu_ns, took_ns;
    bool signalled;
    struct tributary_runner_stats stats;
    struct tributary_worker_stats worker_stats;
    uint64_t may_have_run;
    const struct tributary_status *failure; /* NULL: none */
    struct histogram latency, over_window;
};

static uint64_t ended(const struct bench *bench)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < bench->plan.runners; i++)
        sum += atomic_load_explicit(&bench->runners[i].ended, memory_order_relaxed);
    return sum;
}

/* Waits until all operations have been submitted, and then for those that have not ended. */
static void exchange(struct bench *bench)
{
    struct progress progress;
    int64_t moved_ns = clock_mono_ns();
    uint64_t seen = 0;

    progress_begin(&progress, &bench->settings->report, "ended");
    for (;;) {
        const bool submitting = atomic_load(&bench->plan.running) > 0;
        const uint64_t now = ended(bench);
        const int64_t now_ns = clock_mono_ns();
        uint64_t submitted = 0;

        for (uint32_t i = 0; i < bench->plan.runners; i++)
            submitted += atomic_load(&bench->runners[i].submitted);
        if (now > seen || submitting)
            moved_ns = now_ns;
        seen = now;
        progress_report(&progress, now, now * bench->plan.size, NULL);
        if (stop_requested(&bench->stop) || atomic_load(&bench->worker.ended) > 0)
            atomic_store(&bench->plan.stopping, true);
        if (!submitting && (now >= submitted || now_ns - moved_ns >= IDLE_NS))
            break;
        if (bench->stop.signals > 1)
            break;
        stop_wait(&bench->stop, -1, MIN_OF(progress_left_ns(&progress), STEP_NS));
    }
    bench->signalled = bench->stop.signals > 0;
}

/* Ends the runners, and adds up what they have seen. */
static void collect(struct bench *bench)
{
    int64_t last_ns = bench->plan.began_ns;

    for (uint32_t i = 0; i < bench->plan.runners; i++)
        bench_runner_add_stats(&bench->runners[i], &bench->stats);
    for (uint32_t i = 0; i < bench->plan.runners; i++) {
        struct bench_runner *runner = &bench->runners[i];

        bench_runner_end(runner);
        histogram_merge(&bench->latency, &runner->latency);
        histogram_merge(&bench->over_window, &runner->over_window);
        bench->may_have_run += runner->may_have_run;
        last_ns = MAX_OF(last_ns, runner->last_ns);
        if (!bench->failure && runner->failure.code != TRIBUTARY_OK)
            bench->failure = &runner->failure;
    }
    bench->took_ns = last_ns - bench->plan.began_ns;
    if (bench->worker.worker)
        tributary_worker_stats(bench->worker.worker, &bench->worker_stats);
}

static void print_json(const struct bench *bench, const struct throughput *throughput)
{
    const struct tributary_runner_stats *stats = &bench->stats;
    json_t *object = json_object();

    table_put_text(object, "bench", "batch");
    table_put_number(object, "runners", bench->plan.runners);
    table_put_number(object, "keys", bench->plan.keys);
    table_put_number(object, "size", bench->plan.size);
    throughput_put_json(object, throughput);
    table_put_number(object, "submitted", stats->submitted);
    table_put_number(object, "ok", stats->ok);
    table_put_number(object, "failed", stats->failed);
    table_put_number(object, "not_ended", stats->in_flight);
    table_put_number(object, "may_have_run", bench->may_have_run);
    table_put_number(object, "sent_again", stats->sent_again);
    table_put_number(object, "reconnects", stats->reconnects);
    if (bench->failure) {
        table_put_text(object, "failure", bench->failure->reason);
        table_put_text(object, "failure_message", bench->failure->message);
    }
    if (bench->worker.worker) {
        table_put_number(object, "batches_saved", bench->worker_stats.saved);
        table_put_number(object, "batches_failed", bench->worker_stats.failed);
    }
    report_put_latency(object, &bench->latency, true);
    if (bench->over_window.count > 0)
        report_put_quantiles(object, "over_window_us", &bench->over_window, false);
    table_print_json(object, stdout);
}

static void print_text(const struct bench *bench, const struct throughput *throughput)
{
    const struct tributary_runner_stats *stats = &bench->stats;

    printf("operations     %" PRIu64 " submitted, %" PRIu64 " saved, %" PRIu64 " failed, %" PRIu32
           " not ended\n",
           stats->submitted, stats->ok, stats->failed, stats->in_flight);
    throughput_print(throughput);
    if (bench->worker_stats.saved > 0)
        printf("batches        %" PRIu64 " saved, of %.1f operations each\n", bench->worker_stats.saved,
               (double)bench->worker_stats.operations / (double)bench->worker_stats.saved);
    report_print_latency(&bench->latency);
    if (bench->over_window.count > 0)
        report_print_quantiles("over window", &bench->over_window);
    if (stats->sent_again > 0)
        printf("again          %" PRIu64 " operations were sent again\n", stats->sent_again);
    if (bench->failure)
        printf("FAILED         the first: %s, %s: %s\n", tributary_code_name(bench->failure->code),
               bench->failure->reason, bench->failure->message);
}

static int verdict(const struct bench *bench)
{
    const int worker_ended = atomic_load(&bench->worker.ended);

    if (worker_ended > 0)
        return link_exit_code((enum tributary_code)(worker_ended - 1));
    for (uint32_t i = 0; i < bench->plan.runners; i++)
        if (bench->runners[i].failed != TRIBUTARY_OK)
            return link_exit_code(bench->runners[i].failed);
    if (bench->failure)
        return link_exit_code(bench->failure->code);
    if (bench->stats.ok < bench->stats.submitted)
        return EXITS_ERROR;
    return !bench->signalled && bench->plan.operations > bench->stats.submitted ? EXITS_DEADLINE : EXITS_OK;
}

static int measure(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    struct runner_plan *plan = &bench->plan;
    const int64_t max_ns = settings->max_ns > 0       ? settings->max_ns
                           : settings->operations > 0 ? INT64_MAX
                                                      : DEFAULT_TIME_NS;
    const int64_t cpu_began_ns = report_cpu_ns();
    bool started = true;

    plan->began_ns = clock_mono_ns();
    plan->until_ns = clock_add_ns(plan->began_ns, max_ns);
    for (uint32_t i = 0; i < plan->runners && started; i++)
        started = bench_runner_start(&bench->runners[i]);
    atomic_store(&plan->stopping, !started);
    exchange(bench);
    atomic_store(&plan->stopping, true);
    for (uint32_t i = 0; i < plan->runners; i++)
        bench_runner_join(&bench->runners[i]);
    bench->cpu_ns = report_cpu_ns() - cpu_began_ns;
    collect(bench);

    const struct throughput throughput = {.events = bench->stats.ok,
                                          .bytes = bench->stats.ok * plan->size,
                                          .messages = bench->stats.messages,
                                          .took_ns = bench->took_ns,
                                          .cpu_ns = bench->cpu_ns};

    if (settings->report.json)
        print_json(bench, &throughput);
    else
        print_text(bench, &throughput);
    if (!started)
        fprintf(stderr, "tributary: no memory or no thread for a runner\n");
    return started ? verdict(bench) : EXITS_ERROR;
}

/* Works until a signal comes. */
static int work_only(struct bench *bench)
{
    if (bench->settings->max_ns > 0)
        stop_begin(&bench->stop, bench->settings->max_ns);
    while (!stop_requested(&bench->stop) && atomic_load(&bench->worker.ended) == 0)
        stop_wait(&bench->stop, -1, INT64_MAX);

    const int worker_ended = atomic_load(&bench->worker.ended);

    return worker_ended > 0 ? link_exit_code((enum tributary_code)(worker_ended - 1)) : EXITS_OK;
}

static int open_worker(const struct verb *verb, struct bench *bench)
{
    const struct settings *settings = bench->settings;
    const struct tributary_worker_options options = {
        .processor = settings->processor,
        .policy = {.window = settings->adaptive ? TRIBUTARY_BATCH_ADAPTIVE : TRIBUTARY_BATCH_FIXED,
                   .window_ns = settings->window_ns},
        .max_batches = settings->max_batches > 0 ? (uint32_t)settings->max_batches
                                                 : (uint32_t)MIN_OF(settings->keys, MAX_DEFAULT_BATCHES),
        .threads = settings->threads > 0         ? (uint32_t)settings->threads
                   : settings->save_delay_ns > 0 ? SLEEPING_THREADS
                                                 : 0,
    };
    struct tributary *client = NULL;
    int result = link_open(verb, &settings->common, &client);

    if (result == EXITS_OK)
        result = link_exit_code(bench_worker_open(&bench->worker, client, &options));
    if (result != EXITS_OK || bench_worker_wait(&bench->worker))
        return result;

    const int worker_ended = atomic_load(&bench->worker.ended);

    return worker_ended > 0 ? link_exit_code((enum tributary_code)(worker_ended - 1)) : EXITS_ERROR;
}

static int open_runners(const struct verb *verb, struct bench *bench)
{
    int result = EXITS_OK;

    for (uint32_t i = 0; i < bench->plan.runners && result == EXITS_OK; i++) {
        struct bench_runner *runner = &bench->runners[i];
        struct tributary *client = NULL;

        runner->plan = &bench->plan;
        runner->number = i;
        result = link_open(verb, &bench->settings->common, &client);
        if (result == EXITS_OK)
            result = link_exit_code(bench_runner_open(runner, client));
    }
    return result;
}

static int run_bench(const struct verb *verb, const struct settings *settings)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    int result = EXITS_ERROR;

    if (!bench)
        return EXITS_ERROR;
    bench->settings = settings;
    bench->plan = (struct runner_plan){.processor = settings->processor,
                                       .runners = (uint32_t)settings->runners,
                                       .keys = (uint32_t)settings->keys,
                                       .size = (uint32_t)settings->size,
                                       .in_flight = (uint32_t)settings->in_flight,
                                       .operations = settings->operations,
                                       .rate = settings->rate,
                                       .window_ns = settings->adaptive ? 0 : settings->window_ns,
                                       .with_ids = !settings->no_ids,
                                       .quiet = settings->report.quiet,
                                       .stop = &bench->stop};
    bench->worker = (struct bench_worker){
        .stop = &bench->stop, .save_delay_ns = settings->save_delay_ns, .quiet = settings->report.quiet};
    bench->runners = calloc(MAX_OF(bench->plan.runners, 1), sizeof(*bench->runners));
    if (stop_init(&bench->stop, 0) && bench->runners) {
        result = settings->no_worker ? EXITS_OK : open_worker(verb, bench);
        if (result == EXITS_OK)
            result = open_runners(verb, bench);
        if (result == EXITS_OK)
            result = settings->runners == 0 ? work_only(bench) : measure(bench);
        for (uint32_t i = 0; i < bench->plan.runners; i++)
            bench_runner_close(&bench->runners[i]);
        bench_worker_close(&bench->worker);
    }
    stop_fini(&bench->stop);
    free(bench->runners);
    free(bench);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.runners = 1,
                                .keys = 1000,
                                .size = 32,
                                .in_flight = 65536,
                                .window_ns = DEFAULT_WINDOW_NS,
                                .processor = "bench"};
    struct text_list arguments = {0};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        if (settings.runners == 0 && settings.no_worker)
            result = cli_wrong(verb, "--runners 0 with --no-worker: there is nothing to do");
        else
            result = run_bench(verb, &settings);
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {0, "processor", OPTION_TEXT, "NAME", OFFSET(processor), "the processor's name (default: bench)"},
    {0, "runners", OPTION_COUNT, "N", OFFSET(runners),
     "runners, each with a connection and a thread of its own; 0: only work (default: 1)"},
    {0, "keys", OPTION_COUNT, "N", OFFSET(keys), "keys, which operations have in turn (default: 1000)"},
    {'n', "operations", OPTION_COUNT, "N", OFFSET(operations),
     "operations of all runners together, such as 10M (default: no end)"},
    {0, "max-time", OPTION_DURATION, "DURATION", OFFSET(max_ns),
     "submit for at most this long (default: 10s without --operations; with --runners 0: no end)"},
    {0, "rate", OPTION_COUNT, "N", OFFSET(rate),
     "operations per second of all runners together (default: 0, as fast as it goes)"},
    {0, "size", OPTION_BYTES, "BYTES", OFFSET(size),
     "bytes of data of each operation, at least 16 (default: 32)"},
    {0, "in-flight", OPTION_COUNT, "N", OFFSET(in_flight),
     "operations of each runner that may be in flight (default: 65536)"},
    {0, "no-ids", OPTION_FLAG, "", OFFSET(no_ids), "operations without an id"},
    {0, "no-worker", OPTION_FLAG, "", OFFSET(no_worker), "another program works"},
    {0, "window", OPTION_DURATION, "DURATION", OFFSET(window_ns), "the window of a batch (default: 100ms)"},
    {0, "adaptive", OPTION_FLAG, "", OFFSET(adaptive), "batches end as soon as no operation waits"},
    {0, "save-delay", OPTION_DURATION, "DURATION", OFFSET(save_delay_ns),
     "how long a save takes (default: 0)"},
    {0, "threads", OPTION_COUNT, "N", OFFSET(threads),
     "threads of the worker (default: one for each processor; 64 with --save-delay)"},
    {0, "max-batches", OPTION_COUNT, "N", OFFSET(max_batches),
     "batches of the worker at a time (default: one for each key, at most 10000)"},
    REPORT_OPTIONS(OFFSET(report)),
};

static const struct example examples[] = {
    {"tributary bench batch", "how fast one runner and one worker are, in ten seconds"},
    {"tributary bench batch --rate 200k --keys 1000", "an even load, and the latency over the window"},
    {"tributary bench batch --adaptive --rate 100 --keys 1 --save-delay 2ms",
     "one key whose save takes 2 ms"},
    {"tributary bench batch --runners 0 & tributary bench batch --no-worker --runners 4",
     "worker and runners in processes of their own"},
};

const struct verb verb_bench_batch = {
    .name = "bench batch",
    .arguments = "",
    .summary = "run operations of keyed batches, and measure it",
    .text = "Runners send operations through the C library, and a worker in this process answers them; it "
            "saves nothing, but may take its time.\n"
            "The latency of an operation counts from when it was due: with --rate by the schedule, else "
            "when it was submitted. \"over window\"\n"
            "is what it took beyond its batch: from when the first operation of the batch was due, plus "
            "the window. It is measured where\n"
            "windows are fixed, and runners and worker are benches on one machine. SIGINT, SIGTERM and "
            "SIGHUP end it, with the summary.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .bounds = bench_batch_bounds,
    .bound_count = BENCH_BATCH_BOUNDS,
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
