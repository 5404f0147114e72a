/* producers_watch.c - `tributary producers watch`: what is there, and then each change. The
 * callbacks run on the client thread, everything else on the main thread. */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/endpoint_show.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/printer.h"
#include "client/tool/producers_show.h"
#include "client/tool/stop.h"
#include "client/tool/verbs.h"

enum { FORM_TEXT, FORM_JSON };

struct settings {
    struct common common;
    unsigned output;
    bool subscriptions, no_snapshot, no_reconnect, quiet;
    uint64_t count; /* 0: no end */
};

struct reading {
    const struct settings *settings;
    struct stop stop;
    struct printer printer;
    bool is_interrupted;
    uint64_t printed;
    _Atomic bool is_done;
    /* Set before stop_end(). */
    bool has_ended;
    struct tributary_status status;
};

static const char *kind_name(enum tributary_change_kind kind)
{
    static const char *const names[] = {
        [TRIBUTARY_CHANGE_PRESENT] = "present",   [TRIBUTARY_CHANGE_ADDED] = "added",
        [TRIBUTARY_CHANGE_STATE] = "state",       [TRIBUTARY_CHANGE_REMOVED] = "removed",
        [TRIBUTARY_CHANGE_COMPLETE] = "complete", [TRIBUTARY_CHANGE_RESYNC] = "resync"};

    return (unsigned)kind < ARRAY_LEN(names) && names[kind] ? names[kind] : "unknown";
}

/* ---- JSON ---- */

static json_t *short_producer(const struct tributary_producer *producer)
{
    json_t *object = json_object();
    char epoch[24];

    snprintf(epoch, sizeof(epoch), "%" PRIu64, producer->epoch);
    table_put_text(object, "name", producer->name);
    table_put_text(object, "kind", producer_kind_name(producer));
    table_put_text(object, "state", tributary_state_name(producer->state));
    table_put_text(object, "epoch", epoch);
    table_put_text(object, "peer", producer->peer);
    if (producer->failure)
        json_object_set_new(object, "failure", endpoint_failure_json(producer->failure));
    return object;
}

static json_t *short_subscription(const struct tributary_subscription *subscription)
{
    json_t *object = json_object();

    table_put_text(object, "id", subscription->id);
    table_put_text(object, "name", subscription->name);
    table_put_text(object, "peer", subscription->peer);
    table_put_moment(object, "started", subscription->started_unix_nano);
    return object;
}

static void put_json(struct buf *out, const struct tributary_change *change)
{
    json_t *object = json_object();

    table_put_text(object, "change", kind_name(change->kind));
    if (change->number > 0)
        table_put_number(object, "number", change->number);
    table_put_moment(object, "time", change->time_unix_nano);
    if (change->producer)
        json_object_set_new(object, "producer",
                            change->kind == TRIBUTARY_CHANGE_PRESENT ? producer_json(change->producer)
                                                                     : short_producer(change->producer));
    if (change->subscription)
        json_object_set_new(object, "subscription", short_subscription(change->subscription));
    if (change->reason[0] != '\0')
        table_put_text(object, "reason", change->reason);
    if (change->missed > 0)
        table_put_number(object, "missed", change->missed);
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

static void put_producer(struct buf *out, const struct tributary_change *change)
{
    const struct tributary_producer *producer = change->producer;
    struct buf failure = {0};

    escape_text(out, tributary_text(producer->name));
    if (change->kind == TRIBUTARY_CHANGE_REMOVED)
        return;
    buf_format(out, "  %s", tributary_state_name(producer->state));
    if (change->kind != TRIBUTARY_CHANGE_STATE)
        buf_format(out, "  %s", producer_kind_name(producer));
    if (producer->failure) {
        endpoint_put_failure(&failure, producer);
        buf_text(out, "  ");
        escape_text(out, (struct tributary_bytes){failure.data, failure.size});
        buf_format(out, " (%s)", producer->failure->dialling ? "DIAL" : "STREAM");
    }
    buf_fini(&failure);
}

static void put_subscription(struct buf *out, const struct tributary_subscription *subscription)
{
    buf_text(out, "subscription ");
    escape_text(out, tributary_text(subscription->id));
    buf_text(out, subscription->name[0] != '\0' ? "  " : "");
    escape_text(out, tributary_text(subscription->name));
    buf_text(out, "  ");
    escape_text(out, tributary_text(subscription->peer));
}

static void put_resync(struct buf *out, uint64_t missed)
{
    if (missed > 0)
        buf_format(out, "%" PRIu64 " change%s missed", missed, missed == 1 ? " was" : "s were");
    else
        buf_text(out, "nobody can say what changed meanwhile");
}

static void put_text(struct buf *out, const struct tributary_change *change)
{
    put_clock(out, change->time_unix_nano);
    buf_format(out, "  %-8s  ", kind_name(change->kind));
    if (change->producer)
        put_producer(out, change);
    if (change->subscription)
        put_subscription(out, change->subscription);
    if (change->kind == TRIBUTARY_CHANGE_RESYNC)
        put_resync(out, change->missed);
    if (change->reason[0] != '\0') {
        buf_text(out, "  ");
        escape_text(out, tributary_text(change->reason));
    }
    while (out->size > 0 && out->data[out->size - 1] == ' ')
        out->size--;
    buf_byte(out, '\n');
}

/* ---- callbacks ---- */

static void finish(struct reading *reading)
{
    atomic_store(&reading->is_done, true);
    stop_end(&reading->stop);
}

static void on_changed(void *ctx, const struct tributary_change *change)
{
    struct reading *reading = ctx;

    if (atomic_load(&reading->is_done))
        return;
    if (reading->is_interrupted && !reading->settings->quiet)
        fprintf(stderr, "tributary: connected again\n");
    reading->is_interrupted = false;
    if (reading->settings->output == FORM_JSON)
        put_json(&reading->printer.out, change);
    else
        put_text(&reading->printer.out, change);
    if (++reading->printed == reading->settings->count)
        atomic_store(&reading->is_done, true);
}

static void on_applied(void *ctx)
{
    struct reading *reading = ctx;

    if ((reading->printer.out.size > 0 && !printer_flush(&reading->printer)) ||
        atomic_load(&reading->is_done))
        finish(reading);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct reading *reading = ctx;

    reading->is_interrupted = true;
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

static int read_changes(struct reading *reading, struct tributary *client, const char *pattern)
{
    const struct settings *settings = reading->settings;
    const struct tributary_changes_options options = {.pattern = pattern,
                                                      .subscriptions = settings->subscriptions,
                                                      .skip_snapshot = settings->no_snapshot,
                                                      .no_reconnect = settings->no_reconnect};
    const struct tributary_changes_callbacks callbacks = {.changed = on_changed,
                                                          .applied = on_applied,
                                                          .interrupted = on_interrupted,
                                                          .ended = on_ended,
                                                          .ctx = reading};
    struct tributary_changes *changes = NULL;
    struct tributary_status status;
    int result = EXITS_OK;

    if (tributary_changes_open(client, &options, &callbacks, &changes, &status) != TRIBUTARY_OK)
        return link_failed("reading changes", &status);
    result = wait_for_end(reading, settings->common.over_ns);
    atomic_store(&reading->is_done, true);
    printer_halt(&reading->printer); /* a reader of ours that reads nothing holds nobody up */
    tributary_changes_free(changes);
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
            result = read_changes(&reading, client, arguments.count > 0 ? arguments.items[0] : NULL);
        tributary_free(client);
    }
    stop_fini(&reading.stop);
    printer_fini(&reading.printer);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {'o', "output", OPTION_CHOICE, "text|json", OFFSET(output),
     "a line for each change, or one JSON object per line (default: text)"},
    {0, "subs", OPTION_FLAG, "", OFFSET(subscriptions), "report subscriptions too"},
    {0, "no-snapshot", OPTION_FLAG, "", OFFSET(no_snapshot), "only what changes from now on"},
    {'n', "count", OPTION_NUMBER, "N", OFFSET(count), "stop after N lines"},
    {0, "no-reconnect", OPTION_FLAG, "", OFFSET(no_reconnect), "end where the connection is lost"},
    {'q', "quiet", OPTION_FLAG, "", OFFSET(quiet), "no notices on standard error"},
};

static const struct example examples[] = {
    {"tributary producers watch", "all producers as they are, and then each change"},
    {"tributary producers watch 'web-*' -o json | jq -r .producer.state", "for another program"},
    {"tributary producers watch --subs --no-snapshot", "producers and consumers that come and go"},
};

const struct verb verb_producers_watch = {
    .name = "producers watch",
    .arguments = "[PATTERN]",
    .max_arguments = 1,
    .summary = "show producers, and then each change of them",
    .text = "Lines begin with 'present' for what is there, 'complete' when all of that was shown, 'added', "
            "'state' and 'removed' for changes.\n"
            "'resync' says that changes were missed, because the output was not read or the connection was "
            "lost; what is there follows anew.\n"
            "A connection that is lost is made again. It goes on until a signal.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .examples = examples,
    .example_count = ARRAY_LEN(examples),
    .run = run,
};
