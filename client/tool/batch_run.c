/* batch_run.c - `tributary batch run`: runs one operation, or one for each line of standard input.
 *
 * With --jsonl the main thread reads lines and submits operations; their outcomes arrive on the
 * client thread, which prints them. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/batch_json.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/file_bytes.h"
#include "client/tool/lines.h"
#include "client/tool/link.h"
#include "client/tool/printer.h"
#include "client/tool/table.h"
#include "client/tool/verbs.h"

enum { FORM_TEXT, FORM_JSON, FORM_RAW };

struct settings {
    struct common common;
    const char *id;
    bool jsonl, retry;
    unsigned output;
    int64_t timeout_ns;
};

/* ---- one operation ---- */

static json_t *result_json(struct tributary_bytes key, struct tributary_bytes id,
                           const struct tributary_runner_result *result)
{
    json_t *object = json_object();

    (void)batch_json_put(object, "key", key);
    if (id.size > 0)
        (void)batch_json_put(object, "id", id);
    if (result->batch > 0)
        table_put_number(object, "batch", result->batch);
    if (result->status.code == TRIBUTARY_OK) {
        (void)batch_json_put(object, "data", result->data);
        return object;
    }
    json_t *error = json_object();
    table_put_text(error, "code", tributary_code_name(result->status.code));
    if (result->status.reason[0] != '\0')
        table_put_text(error, "reason", result->status.reason);
    table_put_text(error, "message", result->status.message);
    json_object_set_new(error, "may_have_run", json_boolean(result->may_have_run));
    json_object_set_new(object, "error", error);
    return object;
}

static int report(const struct tributary_runner_result *result)
{
    const int code = link_failed("the operation", &result->status);

    if (result->may_have_run)
        fprintf(stderr, "tributary: nobody knows whether it has run\n");
    return code;
}

/* What is not printable is escaped on a terminal only. */
static void print_data(struct tributary_bytes data, unsigned form)
{
    const char *bytes = data.data;
    struct buf text = {0};

    if (form == FORM_TEXT && isatty(STDOUT_FILENO)) {
        escape_text(&text, data);
        (void)fwrite(text.data, 1, text.size, stdout);
    } else if (data.size > 0) {
        (void)fwrite(bytes, 1, data.size, stdout);
    }
    if (form == FORM_TEXT && (data.size == 0 || bytes[data.size - 1] != '\n'))
        (void)putchar('\n');
    buf_fini(&text);
}

static int run_one(const struct settings *settings, struct tributary_runner *runner,
                   const struct tributary_runner_operation *operation)
{
    struct tributary_runner_result result = {.batch = 0};
    int code = EXITS_OK;

    (void)tributary_runner_run(runner, operation, &result);
    if (settings->output == FORM_JSON)
        table_print_json(result_json(operation->key, operation->operation_id, &result), stdout);
    else if (result.status.code == TRIBUTARY_OK)
        print_data(result.data, settings->output);
    if (result.status.code != TRIBUTARY_OK)
        code = report(&result);
    tributary_runner_result_free(&result);
    if (fflush(stdout) != 0 && errno != EPIPE) {
        fprintf(stderr, "tributary: standard output: %s\n", strerror(errno));
        code = EXITS_ERROR;
    }
    return code;
}

/* ---- an operation for each line ---- */

struct reading {
    const struct settings *settings;
    struct tributary_runner *runner;
    uint64_t line;
    bool is_wrong; /* a line was wrong */

    pthread_mutex_t lock; /* of standard output, and of what follows */
    uint64_t ok, failed;
    int first_code; /* the exit code of the first failure */
    int error;      /* errno of standard output; 0: none */
};

/* An operation on its way: key and id follow. */
struct sent {
    struct reading *reading;
    size_t key_size, id_size;
    char bytes[];
};

static void on_done(void *ctx, const struct tributary_runner_result *result)
{
    struct sent *sent = ctx;
    struct reading *reading = sent->reading;
    const struct tributary_bytes key = {sent->bytes, sent->key_size};
    const struct tributary_bytes id = {sent->bytes + sent->key_size, sent->id_size};
    const bool is_ok = result->status.code == TRIBUTARY_OK;

    pthread_mutex_lock(&reading->lock);
    reading->ok += is_ok;
    reading->failed += !is_ok;
    if (!is_ok && reading->first_code == EXITS_OK)
        reading->first_code = link_exit_code(result->status.code);
    if (reading->error == 0) {
        table_print_json(result_json(key, id, result), stdout);
        if (fflush(stdout) != 0) /* whoever waits for an outcome gets it now */
            reading->error = errno;
    }
    pthread_mutex_unlock(&reading->lock);
    free(sent);
}

static bool wrong_line(struct reading *reading, const char *text)
{
    fprintf(stderr, "tributary: line %" PRIu64 ": %s\n", reading->line, text);
    reading->is_wrong = true;
    return false;
}

/* Waits for space where the runner is full. */
static bool submit(struct reading *reading, struct tributary_runner_operation *operation)
{
    struct sent *sent = malloc(sizeof(*sent) + operation->key.size + operation->operation_id.size);
    struct tributary_status status;
    enum tributary_code code;

    if (!sent)
        return wrong_line(reading, "out of memory");
    *sent = (struct sent){reading, operation->key.size, operation->operation_id.size};
    if (operation->key.size > 0)
        memcpy(sent->bytes, operation->key.data, operation->key.size);
    if (operation->operation_id.size > 0)
        memcpy(sent->bytes + operation->key.size, operation->operation_id.data, operation->operation_id.size);
    operation->done = on_done;
    operation->ctx = sent;
    while ((code = tributary_runner_submit(reading->runner, operation, NULL, &status)) ==
               TRIBUTARY_RESOURCE_EXHAUSTED &&
           strcmp(status.reason, "RUNNER_FULL") == 0)
        (void)tributary_runner_wait(reading->runner, TRIBUTARY_FOREVER);
    if (code == TRIBUTARY_OK)
        return true;
    free(sent);
    return wrong_line(reading, status.message);
}

struct line_text {
    struct buf key, id, data;
};

/* One without an id is not sent again, and may run twice: an id that is empty is a mistake. */
static bool submit_json(struct reading *reading, const json_t *json, struct line_text *text)
{
    static const char *const names[] = {"key", "key_base64", "id", "id_base64", "data", "data_base64", NULL};
    struct tributary_runner_operation operation = {.timeout_ns = 0};
    char fault[BATCH_FAULT_CAPACITY];

    if (!batch_json_has_only(json, names, "it", fault) ||
        !batch_json_get(json, "key", &text->key, &operation.key, fault) ||
        !batch_json_get(json, "id", &text->id, &operation.operation_id, fault) ||
        !batch_json_get(json, "data", &text->data, &operation.data, fault))
        return wrong_line(reading, fault);
    if (operation.operation_id.size == 0 &&
        (json_object_get(json, "id") || json_object_get(json, "id_base64")))
        return wrong_line(reading, "\"id\" is empty or null; leave it out where there is none");
    return submit(reading, &operation);
}

static bool on_line(void *ctx, const struct line *line)
{
    struct reading *reading = ctx;
    struct line_text text = {.key = {0}};
    json_error_t error;
    bool goes_on = false;

    reading->line += line->is_last;
    if (line->part > 0)
        return wrong_line(reading, "it has more than 1 MiB");
    if (line->size == 0)
        return true;
    json_t *json = json_loadb(line->text, line->size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(json))
        (void)wrong_line(reading, json ? "it is not a JSON object" : error.text);
    else
        goes_on = submit_json(reading, json, &text);
    json_decref(json);
    buf_fini(&text.key);
    buf_fini(&text.id);
    buf_fini(&text.data);
    return goes_on && reading->error == 0;
}

static bool read_lines(struct reading *reading)
{
    struct lines lines = {.line = on_line, .ctx = reading, .max_bytes = 2u << 20};
    char bytes[64 << 10];
    ssize_t size;
    bool goes_on = true;

    while (goes_on && ((size = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0 || (size < 0 && errno == EINTR)))
        goes_on = size < 0 || lines_add(&lines, bytes, (size_t)size);
    if (goes_on && size < 0)
        fprintf(stderr, "tributary: standard input: %s\n", strerror(errno));
    goes_on = goes_on && size == 0 && lines_end(&lines);
    lines_fini(&lines);
    return goes_on;
}

static int run_lines(const struct settings *settings, struct tributary_runner *runner)
{
    struct reading reading = {.settings = settings, .runner = runner};

    pthread_mutex_init(&reading.lock, NULL);
    const bool is_whole = read_lines(&reading);
    (void)tributary_runner_flush(runner, TRIBUTARY_FOREVER);
    if (reading.error == 0 && fflush(stdout) != 0)
        reading.error = errno;
    pthread_mutex_destroy(&reading.lock);
    if (reading.error != 0 && reading.error != EPIPE)
        fprintf(stderr, "tributary: standard output: %s\n", strerror(reading.error));
    if (reading.error != 0)
        return reading.error == EPIPE ? EXITS_OK : EXITS_ERROR;
    if (reading.failed > 0)
        fprintf(stderr, "tributary: %" PRIu64 " of %" PRIu64 " operations failed\n", reading.failed,
                reading.ok + reading.failed);
    return is_whole ? reading.first_code : EXITS_ERROR;
}

/* ---- the verb ---- */

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    (void)ctx;
    link_interrupted("the connection was lost", status, retry_ns);
}

static int run_with(const struct settings *settings, struct tributary *client,
                    const struct text_list *arguments, struct tributary_bytes data)
{
    const struct tributary_runner_options options = {
        .processor = arguments->items[0],
        .timeout_ns = link_limit_ns(&settings->common, settings->timeout_ns),
        .make_operation_ids = settings->retry,
        .retry_refused = settings->retry,
        .interrupted = settings->retry ? on_interrupted : NULL,
    };
    const struct tributary_runner_operation operation = {
        .key = tributary_text(arguments->count > 1 ? arguments->items[1] : NULL),
        .operation_id = tributary_text(settings->id),
        .data = data};
    struct tributary_runner *runner = NULL;
    struct tributary_status status;

    if (tributary_runner_new(client, &options, &runner, &status) != TRIBUTARY_OK)
        return link_failed("the operation", &status);
    const int result = settings->jsonl ? run_lines(settings, runner) : run_one(settings, runner, &operation);
    tributary_runner_free(runner);
    return result;
}

static int check(const struct verb *verb, const struct settings *settings, const struct text_list *arguments)
{
    if (arguments->count == 0)
        return cli_wrong(verb, "the processor's name is missing");
    if (settings->jsonl && (arguments->count > 1 || settings->id))
        return cli_wrong(verb, "with --jsonl the lines have key, data and id");
    if (settings->id && settings->id[0] == '\0')
        return cli_wrong(verb, "--id is empty; leave it out where there is none");
    if (!settings->jsonl && arguments->count < 2)
        return cli_wrong(verb, "the key is missing");
    return EXITS_OK;
}

/* DATA is the last argument, or standard input where it is "-". */
static bool read_data(const struct text_list *arguments, struct buf *text, struct tributary_bytes *data_out)
{
    const char *argument = arguments->count > 2 ? arguments->items[2] : "";

    *data_out = tributary_text(argument);
    if (strcmp(argument, "-") != 0)
        return true;
    if (!file_bytes_read("-", TRIBUTARY_MAX_OPERATION_BYTES, text))
        return false;
    *data_out = (struct tributary_bytes){text->data, text->size};
    return true;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = FORM_TEXT};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    struct tributary_bytes data;
    struct buf text = {0};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        result = check(verb, &settings, &arguments);
        if (result == EXITS_OK && !read_data(&arguments, &text, &data))
            result = EXITS_ERROR;
        if (result == EXITS_OK)
            result = link_open(verb, &settings.common, &client);
        if (result == EXITS_OK)
            result = run_with(&settings, client, &arguments, data);
        tributary_free(client);
    }
    buf_fini(&text);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {0, "id", OPTION_TEXT, "ID", OFFSET(id),
     "by which the worker's store knows it when it comes again; it is then sent again after a loss"},
    {0, "retry", OPTION_FLAG, "", OFFSET(retry),
     "send it again after a loss, and wait for a worker; without --id it gets a random one"},
    {0, "timeout", OPTION_DURATION, "DURATION", OFFSET(timeout_ns),
     "it ends unless it starts within this time (default: 30s)"},
    {0, "jsonl", OPTION_FLAG, "", OFFSET(jsonl),
     "run an operation for each line: {\"key\", \"data\", \"id\"}; outcomes come as they end"},
    {'o', "output", OPTION_CHOICE, "text|json|raw", OFFSET(output),
     "the result with a newline, one JSON object, or the result's bytes (default: text)"},
};

static const struct option_bounds bounds[] = {{"timeout", (uint64_t)NS_PER_MS, UINT64_C(1) << 62}};

static const struct example examples[] = {
    {"tributary batch run visits alice", "one operation without data; prints its result"},
    {"tributary batch run accounts alice '+20' --id order-7 --retry",
     "counts once, however often it is sent"},
    {"jq -c '{key: .user}' visits.jsonl | tributary batch run visits --jsonl", "one for each line"},
};

const struct verb verb_batch_run = {
    .name = "batch run",
    .arguments = "PROCESSOR [KEY [DATA]]",
    .max_arguments = 3,
    .summary = "run an operation on a key",
    .text = "Sends an operation to the workers of a processor ('batch work', or any program that calls "
            "Process), and prints its result\n"
            "when its batch is saved. DATA is what the worker understands; '-' reads it from standard input. "
            "Where the operation fails, the\n"
            "exit code is 64 plus the code of its failure. When the worker is lost, nobody knows whether the "
            "operation has run. With an id it\n"
            "can be sent again: a worker with a store returns the first result.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .bounds = bounds,
    .bound_count = sizeof(bounds) / sizeof(bounds[0]),
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
