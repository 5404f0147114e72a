/* batch_watch.c - `tributary batch watch`: a line for each batch that ends. The callbacks run on
 * the client thread, everything else on the main thread. */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/batch_json.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/printer.h"
#include "client/tool/stop.h"
#include "client/tool/table.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

enum { FORM_TEXT, FORM_JSONL };

struct settings {
    struct common common;
    unsigned output;
    bool no_reconnect, quiet;
    uint64_t count; /* 0: no end */
};

struct reading {
    const struct settings *settings;
    struct stop stop;
    struct printer printer;
    uint64_t printed;
    _Atomic bool is_done;
    /* Set before stop_end(). */
    bool has_ended;
    struct tributary_status status;
};

static const char *outcome_name(int outcome)
{
    static const char *const names[] = {[TRIBUTARY_OUTCOME_SAVED] = "saved",
                                        [TRIBUTARY_OUTCOME_LOAD_FAILED] = "load-failed",
                                        [TRIBUTARY_OUTCOME_SAVE_FAILED] = "save-failed",
                                        [TRIBUTARY_OUTCOME_WORKER_LOST] = "worker-lost"};

    return outcome > 0 && (size_t)outcome < ARRAY_LEN(names) ? names[outcome] : "unknown";
}

/* ---- JSON ---- */

static json_t *error_json(const struct tributary_processor_record *record)
{
    json_t *object = json_object();

    table_put_text(object, "code", tributary_code_name(record->code));
    table_put_text(object, "reason", record->reason);
    table_put_text(object, "message", record->message);
    json_object_set_new(object, "may_have_run", json_boolean(record->may_have_run));
    return object;
}

static void put_json(struct buf *out, const struct tributary_processor_record *record)
{
    json_t *object = json_object();

    if (record->lost > 0)
        table_put_number(object, "lost", record->lost);
    if (record->processor[0] != '\0') {
        table_put_moment(object, "started", record->started_unix_nano);
        table_put_text(object, "processor", record->processor);
        (void)batch_json_put(object, "key", record->key);
        table_put_number(object, "batch", record->batch);
        table_put_text(object, "worker", record->worker);
        table_put_text(object, "outcome", outcome_name(record->outcome));
        table_put_number(object, "operations", record->operations);
        table_put_number(object, "generation", record->generation);
        table_put_number(object, "loads", record->loads);
        table_put_number(object, "saves", record->saves);
        json_object_set_new(object, "load_ns", json_integer(record->load_ns));
        json_object_set_new(object, "save_ns", json_integer(record->save_ns));
        json_object_set_new(object, "total_ns", json_integer(record->total_ns));
        if (record->code != TRIBUTARY_OK)
            json_object_set_new(object, "error", error_json(record));
    }
    table_add_json(object, out);
}

/* ---- text ---- */

static void put_clock(struct buf *out, uint64_t unix_nano)
{
    const time_t seconds = (time_t)(unix_nano / (uint64_t)NS_PER_S);
    struct tm local;
    char text[16] = "";

    if (localtime_r(&seconds, &local))
        strftime(text, sizeof(text), "%H:%M:%S", &local);
    buf_format(out, "%s.%03u", text, (unsigned)(unix_nano % (uint64_t)NS_PER_S / (uint64_t)NS_PER_MS));
}

static void put_text(struct buf *out, const struct tributary_processor_record *record)
{
    char total[32];

    if (record->lost > 0)
        buf_format(out, "%" PRIu64 " record%s missing here: they were not read in time\n", record->lost,
                   record->lost == 1 ? " is" : "s are");
    if (record->processor[0] == '\0')
        return;
    duration_text(record->total_ns, total, sizeof(total));
    put_clock(out, record->started_unix_nano);
    buf_format(out, "  %-11s  ", outcome_name(record->outcome));
    escape_text(out, tributary_text(record->processor));
    buf_text(out, "  ");
    escape_text(out, record->key);
    buf_format(out, "  %" PRIu64 " operation%s  %s  ", record->operations, record->operations == 1 ? "" : "s",
               total);
    escape_text(out, tributary_text(record->worker));
    if (record->code != TRIBUTARY_OK) {
        buf_format(out, "  %s: ", tributary_code_name(record->code));
        escape_text(out, tributary_text(record->message));
    }
    buf_byte(out, '\n');
}

/* ---- callbacks ---- */

static void finish(struct reading *reading)
{
    atomic_store(&reading->is_done, true);
    stop_end(&reading->stop);
}

static void on_record(void *ctx, const struct tributary_processor_record *record)
{
    struct reading *reading = ctx;

    if (atomic_load(&reading->is_done))
        return;
    if (reading->settings->output == FORM_JSONL)
        put_json(&reading->printer.out, record);
    else
        put_text(&reading->printer.out, record);
    reading->printed += record->processor[0] != '\0';
    if (!printer_flush(&reading->printer) ||
        (reading->settings->count > 0 && reading->printed >= reading->settings->count))
        finish(reading);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    const struct reading *reading = ctx;

    if (!reading->settings->quiet)
        link_interrupted("the stream was lost", status, retry_ns);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct reading *reading = ctx;

    if (atomic_load(&reading->is_done))
        return;
    reading->has_ended = true;
    reading->status = *status;
    finish(reading);
}

/* ---- the main thread ---- */

static int wait_for_end(struct reading *reading, int64_t over_ns)
{
    int64_t now_ns = clock_mono_ns();

    while (!stop_requested(&reading->stop) && now_ns < over_ns) {
        stop_wait(&reading->stop, -1, over_ns == INT64_MAX ? INT64_MAX : over_ns - now_ns);
        now_ns = clock_mono_ns();
    }
    if (atomic_load(&reading->is_done))
        return reading->has_ended ? link_failed("the stream has ended", &reading->status) : EXITS_OK;
    return now_ns >= over_ns ? EXITS_DEADLINE : EXITS_OK;
}

static int read_records(struct reading *reading, struct tributary *client, const char *pattern)
{
    const struct settings *settings = reading->settings;
    const struct tributary_processor_records_options options = {.pattern = pattern,
                                                                .no_reconnect = settings->no_reconnect};
    const struct tributary_processor_records_callbacks callbacks = {
        .record = on_record, .interrupted = on_interrupted, .ended = on_ended, .ctx = reading};
    struct tributary_processor_records *records = NULL;
    struct tributary_status status;

    if (tributary_processor_records_open(client, &options, &callbacks, &records, &status) != TRIBUTARY_OK)
        return link_failed("reading records", &status);
    const int result = wait_for_end(reading, settings->common.over_ns);
    atomic_store(&reading->is_done, true);
    printer_halt(&reading->printer); /* a reader of ours that reads nothing holds nobody up */
    tributary_processor_records_free(records);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = FORM_TEXT};
    struct reading reading = {.settings = &settings, .stop = {.signal_fd = -1, .wakeup_fd = -1}};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    printer_init(&reading.printer, PRINTER_TEXT, STDOUT_FILENO);
    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        if (!stop_init(&reading.stop, 0))
            result = EXITS_ERROR;
        if (result == EXITS_OK)
            result = link_open(verb, &settings.common, &client);
        if (result == EXITS_OK)
            result = read_records(&reading, client, arguments.count > 0 ? arguments.items[0] : NULL);
        tributary_free(client);
    }
    stop_fini(&reading.stop);
    printer_fini(&reading.printer);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {'o', "output", OPTION_CHOICE, "text|jsonl", OFFSET(output),
     "a line for each batch, or one JSON object per line (default: text)"},
    {'n', "count", OPTION_NUMBER, "N", OFFSET(count), "stop after N batches"},
    {0, "no-reconnect", OPTION_FLAG, "", OFFSET(no_reconnect), "end where the connection is lost"},
    {'q', "quiet", OPTION_FLAG, "", OFFSET(quiet), "no notices on standard error"},
};

static const struct example examples[] = {
    {"tributary batch watch", "each batch of every processor, when it ends"},
    {"tributary batch watch 'acc*' -o jsonl | jq 'select(.error)'",
     "batches that failed, for another program"},
};

const struct verb verb_batch_watch = {
    .name = "batch watch",
    .arguments = "[PATTERN]",
    .max_arguments = 1,
    .summary = "show each batch that ends",
    .text = "A line has: when the batch began, its outcome, processor, key, how many operations have "
            "started, how long it took, the worker, and\n"
            "why it was not saved. Batches that end while the connection is lost are missing. A connection "
            "that is lost is made again. It goes\n"
            "on until a signal.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .examples = examples,
    .example_count = ARRAY_LEN(examples),
    .run = run,
};
