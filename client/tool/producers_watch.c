/* producers_watch.c - `tributary producers watch`: what is there, and then each change. The
 * callbacks run on the client thread, everything else on the main thread. */
#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/endpoint_show.h"
#include "client/tool/link.h"
#include "client/tool/producers_show.h"
#include "client/tool/reading.h"
#include "client/tool/verbs.h"

enum { FORM_TEXT, FORM_JSON };

struct settings {
    struct reading_settings reading;
    bool subscriptions, no_snapshot;
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
    reading_put_clock(out, change->time_unix_nano);
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
        reading_finish(reading);
}

/* ---- the main thread ---- */

static int read_changes(struct reading *reading, struct tributary *client, const char *pattern)
{
    const struct settings *settings = container_of(reading->settings, const struct settings, reading);
    const struct tributary_changes_options options = {.pattern = pattern,
                                                      .subscriptions = settings->subscriptions,
                                                      .skip_snapshot = settings->no_snapshot,
                                                      .no_reconnect = settings->reading.no_reconnect};
    const struct tributary_changes_callbacks callbacks = {.changed = on_changed,
                                                          .applied = on_applied,
                                                          .interrupted = reading_interrupted,
                                                          .ended = reading_ended,
                                                          .ctx = reading};
    struct tributary_changes *changes = NULL;
    struct tributary_status status;

    if (tributary_changes_open(client, &options, &callbacks, &changes, &status) != TRIBUTARY_OK)
        return link_failed("reading changes", &status);
    const int result = reading_wait(reading);
    tributary_changes_free(changes);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.reading.output = FORM_TEXT};

    return reading_run(verb, argc, argv, &settings.reading, read_changes);
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {'o', "output", OPTION_CHOICE, "text|json", OFFSET(reading.output),
     "a line for each change, or one JSON object per line (default: text)"},
    {0, "subs", OPTION_FLAG, "", OFFSET(subscriptions), "report subscriptions too"},
    {0, "no-snapshot", OPTION_FLAG, "", OFFSET(no_snapshot), "only what changes from now on"},
    {'n', "count", OPTION_NUMBER, "N", OFFSET(reading.count), "stop after N lines"},
    {0, "no-reconnect", OPTION_FLAG, "", OFFSET(reading.no_reconnect), "end where the connection is lost"},
    {'q', "quiet", OPTION_FLAG, "", OFFSET(reading.quiet), "no notices on standard error"},
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
