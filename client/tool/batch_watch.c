/* batch_watch.c - `tributary batch watch`: a line for each batch that ends. The callbacks run on
 * the client thread, everything else on the main thread. */
#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/batch_json.h"
#include "client/tool/link.h"
#include "client/tool/reading.h"
#include "client/tool/table.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

enum { FORM_TEXT, FORM_JSONL };

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

static void put_text(struct buf *out, const struct tributary_processor_record *record)
{
    char total[32];

    if (record->lost > 0)
        buf_format(out, "%" PRIu64 " record%s missing here: they were not read in time\n", record->lost,
                   record->lost == 1 ? " is" : "s are");
    if (record->processor[0] == '\0')
        return;
    duration_text(record->total_ns, total, sizeof(total));
    reading_put_clock(out, record->started_unix_nano);
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
        reading_finish(reading);
}

/* ---- the main thread ---- */

static int read_records(struct reading *reading, struct tributary *client, const char *pattern)
{
    const struct tributary_processor_records_options options = {
        .pattern = pattern, .no_reconnect = reading->settings->no_reconnect};
    const struct tributary_processor_records_callbacks callbacks = {
        .record = on_record, .interrupted = reading_interrupted, .ended = reading_ended, .ctx = reading};
    struct tributary_processor_records *records = NULL;
    struct tributary_status status;

    if (tributary_processor_records_open(client, &options, &callbacks, &records, &status) != TRIBUTARY_OK)
        return link_failed("reading records", &status);
    const int result = reading_wait(reading);
    tributary_processor_records_free(records);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct reading_settings settings = {.output = FORM_TEXT};

    return reading_run(verb, argc, argv, &settings, read_records);
}

#define OFFSET(member) offsetof(struct reading_settings, member)
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
