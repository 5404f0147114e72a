/* batch_work.c - `tributary batch work`: a worker of keyed batches that hands each batch to a
 * command, and keeps resources and results in a file. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/batch_worker.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/stop.h"
#include "client/tool/verbs.h"

#define DEFAULT_JOBS 4
#define DEFAULT_TIMEOUT_NS (30 * NS_PER_S)
#define DEFAULT_WINDOW_NS (100 * NS_PER_MS)
#define DEFAULT_DRAIN_NS (30 * NS_PER_S)
#define DEFAULT_KEPT_NS (24 * 3600 * NS_PER_S)
#define DEFAULT_RELOADS 10
#define MAX_RELOADS 1000
#define STOP_NS (100 * NS_PER_MS) /* after --drain: until commands are stopped */
#define MAX_KEPT_NS (INT64_C(365) * 24 * 3600 * NS_PER_S)
#define MAX_TIME_NS (3600 * NS_PER_S)

struct settings {
    struct common common;
    const char *store, *command, *worker;
    bool keep, adaptive, retry_load, quiet, no_reconnect;
    uint64_t jobs, max_batches, max_reloads, max_operations;
    int64_t window_ns, timeout_ns, drain_ns, results_kept_ns, for_ns;
};

struct work_run {
    const struct settings *settings;
    struct batch_worker worker;
    struct stop stop;
    _Atomic bool store_has_failed;
    bool is_finishing; /* for as long as --drain says */
    bool is_late;      /* --drain has passed */
    _Atomic bool has_ended;
    struct tributary_status ended; /* set before has_ended */
};

/* ---- callbacks ---- */

static struct work_run *run_of(void *worker)
{
    return container_of(worker, struct work_run, worker);
}

static void on_welcomed(void *ctx, const char *worker)
{
    const struct work_run *run = run_of(ctx);

    if (!run->settings->quiet)
        fprintf(stderr, "tributary: working for %s as %s\n", run->worker.processor, worker);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    const struct work_run *run = run_of(ctx);

    if (!run->settings->quiet)
        link_interrupted("the connection was lost", status, retry_ns);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct work_run *run = run_of(ctx);

    run->ended = *status;
    atomic_store(&run->has_ended, true);
    stop_wake(&run->stop);
}

static void on_store_failed(void *ctx)
{
    struct work_run *run = ctx;

    atomic_store(&run->store_has_failed, true);
    stop_wake(&run->stop);
}

/* ---- the run ---- */

/* Commands are stopped. Nothing that they answer is saved. */
static void abandon(struct work_run *run)
{
    run->is_late = true;
    atomic_store(&run->worker.is_abandoned, true);
}

/* Waits for the end of the worker. The first signal, and the end of --for, let it finish its
 * batches, for as long as --drain says; the second signal ends it at once. */
static void wait_for_end(struct work_run *run, struct tributary_worker *worker)
{
    const int64_t drain_ns = run->settings->drain_ns;
    int64_t late_ns = INT64_MAX; /* when it should have finished */
    bool is_cancelled = false;

    while (!atomic_load(&run->has_ended)) {
        const int64_t now_ns = clock_mono_ns();

        (void)stop_wait(&run->stop, -1, late_ns == INT64_MAX ? INT64_MAX : MAX_OF(late_ns - now_ns, 0));
        const bool has_failed = atomic_load(&run->store_has_failed);
        if (!is_cancelled && (run->stop.signals > 1 || has_failed)) {
            is_cancelled = true;
            atomic_store(&run->worker.is_abandoned, true);
            tributary_worker_cancel(worker);
        } else if (late_ns == INT64_MAX && !is_cancelled && !run->is_late && stop_requested(&run->stop)) {
            run->is_finishing = true;
            late_ns = clock_from_now_ns(drain_ns + STOP_NS);
            tributary_worker_finish(worker, drain_ns > 0 ? drain_ns : TRIBUTARY_NONE);
        } else if (clock_mono_ns() >= late_ns) {
            late_ns = INT64_MAX;
            abandon(run);
        }
    }
}

static int result_of(const struct work_run *run)
{
    const enum tributary_code code = run->ended.code;

    if (atomic_load(&run->store_has_failed)) {
        fprintf(stderr, "tributary: %s cannot be written any more; the worker has ended\n",
                run->settings->store);
        return EXITS_ERROR;
    }
    if (run->is_late || (run->is_finishing && code == TRIBUTARY_DEADLINE_EXCEEDED)) {
        fprintf(stderr, "tributary: batches were not finished within --drain\n");
        return EXITS_ERROR;
    }
    if (code == TRIBUTARY_OK || code == TRIBUTARY_CANCELLED)
        return run->stop.signals > 1 ? EXITS_ERROR : EXITS_OK;
    return link_failed("working", &run->ended);
}

static struct tributary_worker_options options_of(struct work_run *run)
{
    const struct settings *settings = run->settings;

    return (struct tributary_worker_options){
        .processor = run->worker.processor,
        .worker = settings->worker,
        .policy = {.window = settings->adaptive ? TRIBUTARY_BATCH_ADAPTIVE : TRIBUTARY_BATCH_FIXED,
                   .window_ns = settings->window_ns,
                   .deadline_ns = settings->window_ns + settings->timeout_ns,
                   .retry_load = settings->retry_load,
                   .max_reloads = (uint32_t)settings->max_reloads,
                   .max_operations = settings->max_operations},
        .max_batches = (uint32_t)settings->max_batches,
        .threads = (uint32_t)settings->jobs,
        .no_reconnect = settings->no_reconnect,
        .load = batch_worker_load,
        .save = batch_worker_save,
        .free = batch_worker_free_resource,
        .welcomed = on_welcomed,
        .interrupted = on_interrupted,
        .ended = on_ended,
        .ctx = &run->worker,
    };
}

static int work(struct work_run *run, struct tributary *client)
{
    const struct tributary_worker_options options = options_of(run);
    struct tributary_worker_stats stats;
    struct tributary_worker *worker = NULL;
    struct tributary_status status;

    if (tributary_worker_new(client, &options, &worker, &status) != TRIBUTARY_OK)
        return link_failed("working", &status);
    wait_for_end(run, worker);
    tributary_worker_stats(worker, &stats);
    tributary_worker_free(worker);
    if (!run->settings->quiet)
        fprintf(stderr, "saved %" PRIu64 " batch%s with %" PRIu64 " operation%s; %" PRIu64 " failed\n",
                stats.saved, stats.saved == 1 ? "" : "es", stats.operations, stats.operations == 1 ? "" : "s",
                stats.failed);
    return result_of(run);
}

static int open_all(struct work_run *run, const struct settings *settings)
{
    struct refusal refusal;

    if (keyed_store_open(settings->store, settings->results_kept_ns, &run->worker.store, &refusal) !=
        ERR_OK) {
        fprintf(stderr, "tributary: %s\n", refusal.text);
        return EXITS_ERROR;
    }
    run->worker.commands = batch_commands_new(settings->command, settings->keep, (unsigned)settings->jobs);
    if (run->worker.commands && stop_init(&run->stop, link_limit_ns(&settings->common, settings->for_ns)))
        return EXITS_OK;
    fprintf(stderr, "tributary: out of memory or descriptors\n");
    return EXITS_ERROR;
}

static int work_with(const struct verb *verb, const struct settings *settings, const char *processor)
{
    struct work_run run = {.settings = settings, .stop = {.signal_fd = -1, .wakeup_fd = -1}};
    struct tributary *client = NULL;

    run.worker.processor = processor;
    run.worker.quiet = settings->quiet;
    run.worker.store_failed = on_store_failed;
    run.worker.ctx = &run;
    int result = open_all(&run, settings);
    if (result == EXITS_OK && (result = link_open(verb, &settings->common, &client)) == EXITS_OK) {
        if (settings->common.wait) /* what was waited for does not count */
            stop_begin(&run.stop, link_limit_ns(&settings->common, settings->for_ns));
        result = work(&run, client);
    }
    tributary_free(client);
    batch_commands_free(run.worker.commands);
    keyed_store_close(run.worker.store);
    stop_fini(&run.stop);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.jobs = DEFAULT_JOBS,
                                .max_reloads = DEFAULT_RELOADS,
                                .window_ns = DEFAULT_WINDOW_NS,
                                .timeout_ns = DEFAULT_TIMEOUT_NS,
                                .drain_ns = DEFAULT_DRAIN_NS,
                                .results_kept_ns = DEFAULT_KEPT_NS};
    struct text_list arguments = {0};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        if (arguments.count == 0)
            result = cli_wrong(verb, "the processor's name is missing");
        else if (!settings.store || !settings.command)
            result = cli_wrong(verb, "--store and --exec are needed");
        else
            result = work_with(verb, &settings, arguments.items[0]);
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {0, "store", OPTION_TEXT, "FILE", OFFSET(store),
     "the SQLite file with resources and results; it is made if it is not there (needed)"},
    {'e', "exec", OPTION_TEXT, "COMMAND", OFFSET(command), "what handles a batch, with /bin/sh (needed)"},
    {0, "keep", OPTION_FLAG, "", OFFSET(keep),
     "keep the command running: it reads a line for each batch, and answers with a line"},
    {'j', "jobs", OPTION_NUMBER, "N", OFFSET(jobs), "commands at a time (default: 4)"},
    {0, "timeout", OPTION_DURATION, "DURATION", OFFSET(timeout_ns),
     "how long load, command and save may take, besides the window (default: 30s)"},
    {0, "window", OPTION_DURATION, "DURATION", OFFSET(window_ns),
     "operations that come within it are one batch (default: 100ms)"},
    {0, "adaptive", OPTION_FLAG, "", OFFSET(adaptive),
     "end a batch as soon as no operation of its key waits"},
    {0, "max-operations", OPTION_COUNT, "N", OFFSET(max_operations),
     "operations in one batch (default: 10000)"},
    {0, "max-batches", OPTION_NUMBER, "N", OFFSET(max_batches),
     "batches that have begun, at a time (default: 64)"},
    {0, "max-reloads", OPTION_NUMBER, "N", OFFSET(max_reloads),
     "load and run again, so often, where another worker has saved meanwhile (default: 10)"},
    {0, "retry-load", OPTION_FLAG, "", OFFSET(retry_load),
     "try a load that failed again, until the batch is late"},
    {0, "results-for", OPTION_DURATION, "DURATION", OFFSET(results_kept_ns),
     "how long the result of an operation with an id is kept (default: 24h)"},
    {0, "worker", OPTION_TEXT, "NAME", OFFSET(worker),
     "the worker's name: one that comes back under it gets its keys back (default: the server makes one)"},
    {0, "drain", OPTION_DURATION, "DURATION", OFFSET(drain_ns),
     "how long batches may take to finish at the end (default: 30s)"},
    {0, "for", OPTION_DURATION, "DURATION", OFFSET(for_ns), "stop after this long, such as 10s"},
    {0, "no-reconnect", OPTION_FLAG, "", OFFSET(no_reconnect), "end when the connection is lost"},
    {'q', "quiet", OPTION_FLAG, "", OFFSET(quiet), "no notices on standard error"},
};

static const struct option_bounds bounds[] = {
    {"jobs", 1, MAX_COMMANDS},
    {"timeout", (uint64_t)NS_PER_MS, (uint64_t)MAX_TIME_NS},
    {"window", (uint64_t)NS_PER_MS, (uint64_t)MAX_TIME_NS},
    {"max-operations", 1, 10000},
    {"max-batches", 1, 10000},
    {"max-reloads", 0, MAX_RELOADS},
    {"drain", 0, (uint64_t)MAX_TIME_NS},
    {"results-for", (uint64_t)NS_PER_S, (uint64_t)MAX_KEPT_NS},
};

static const struct example examples[] = {
    {"tributary batch work visits --store visits.db --exec ./visits.py", "a script is a processor"},
    {"tributary batch work visits --store visits.db --exec ./visits-lines.py --keep --adaptive",
     "one that stays, and handles many batches in a second"},
    {"tributary batch run visits alice", "and a caller"},
};

const struct verb verb_batch_work = {
    .name = "batch work",
    .arguments = "PROCESSOR",
    .max_arguments = 1,
    .summary = "work for keyed batches with a command",
    .text =
        "Works for a processor. Callers ('batch run') send operations on keys. The server brings the "
        "operations of a key together into\n"
        "a batch. The command gets each batch on its standard input, as one JSON object with the key, its "
        "resource (null: none yet) and\n"
        "the operations:\n"
        "  {\"processor\": \"visits\", \"key\": \"alice\", \"resource\": \"41\",\n"
        "   \"operations\": [{\"id\": \"7\", \"data\": \"\"}]}\n"
        "It answers on its standard output with the new resource and a result for each operation, in their "
        "order:\n"
        "  {\"resource\":\"42\",\"results\":[{\"data\":\"42\"}]}\n"
        "or {\"error\": {\"code\": \"FAILED_PRECONDITION\", \"message\": \"...\"}} for one that fails alone. "
        "Without \"resource\" it stays as it is,\n"
        "and null removes it. Bytes that are not UTF-8 are base64: \"data_base64\". A command whose exit "
        "code is not 0, or whose answer\n"
        "is odd, fails the batch, and nothing is saved.\n"
        "Resource and results are saved together. An operation with an id that comes again gets its first "
        "result, and the command does\n"
        "not see it. Several workers may use one store. SIGTERM, SIGINT and SIGHUP let it finish its "
        "batches; a second one ends it at once.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .bounds = bounds,
    .bound_count = sizeof(bounds) / sizeof(bounds[0]),
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
