/* sub_stream.c - prints what arrives, and waits for the end. The callbacks run on the client
 * thread, everything else on the main thread. */
#include "client/tool/sub_stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/display.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/stderr_lines.h"

#define POLL_NS (100 * NS_PER_MS)
#define LAST_NS NS_PER_S         /* within this time after the start, kept events have come */
#define READER_NS (5 * NS_PER_S) /* how long a reader may read nothing after a signal */

static void finish(struct sub *sub)
{
    atomic_store(&sub->is_done, true);
    stop_wake(&sub->stop);
}

static void on_event(void *ctx, const struct tributary_delivery *delivery)
{
    struct sub *sub = ctx;

    if (atomic_load(&sub->is_done))
        return;
    if (delivery->observed_time_unix_nano < (uint64_t)sub->start_wall_ns)
        atomic_store_explicit(&sub->had_last, true, memory_order_relaxed);
    printer_event(&sub->printer, delivery);
    if (sub->with_totals)
        source_totals_delivered(&sub->totals, delivery);
    sub->printed++;
    if (sub->printer.error != 0 || sub->printed == sub->count)
        finish(sub);
}

static void on_applied(void *ctx)
{
    struct sub *sub = ctx;

    if (sub->printer.out.size > 0 && !printer_flush(&sub->printer))
        finish(sub);
}

static void on_lost(void *ctx, const struct tributary_lost *lost)
{
    struct sub *sub = ctx;

    if (atomic_load(&sub->is_done))
        return;
    atomic_store(&sub->lost, true);
    if (sub->with_totals)
        source_totals_lost(&sub->totals, lost);
    if (!sub->quiet && loss_notices_add(&sub->losses, lost, clock_mono_ns()))
        stop_wake(&sub->stop);
}

static void on_status(void *ctx, const struct tributary_producer_status *status)
{
    struct sub *sub = ctx;
    struct buf text = {0};

    if (status->code != TRIBUTARY_OK)
        atomic_store(&sub->producer_failed, true);
    if (sub->quiet || atomic_load(&sub->is_done))
        return;
    escape_text(&text, status->source);
    buf_format(&text, " is %s", tributary_state_name(status->state));
    if (status->code != TRIBUTARY_OK) {
        buf_format(&text, ": %s: ", tributary_code_name(status->code));
        escape_text(&text, status->message);
    }
    fprintf(stderr, "tributary: %.*s\n", (int)text.size, (const char *)text.data);
    buf_fini(&text);
}

static void print_topic(const struct sub *sub, const struct tributary_topic_notice *notice,
                        const char *before, const char *after)
{
    struct buf text = {0};

    if (sub->quiet || atomic_load(&sub->is_done))
        return;
    escape_text(&text, notice->source);
    fprintf(stderr, "tributary: %.*s %s %llu%s\n", (int)text.size, (const char *)text.data, before,
            (unsigned long long)notice->sequence, after);
    buf_fini(&text);
}

static void on_fell_behind(void *ctx, const struct tributary_topic_notice *notice)
{
    print_topic(ctx, notice, "has fallen behind: from", " on it comes from the disk");
}

static void on_caught_up(void *ctx, const struct tributary_topic_notice *notice)
{
    print_topic(ctx, notice, "has caught up with", "");
}

static void on_closing(void *ctx, const struct tributary_closing *closing)
{
    const struct sub *sub = ctx;

    if (!sub->quiet)
        fprintf(stderr, "tributary: the stream is closing: %s\n", tributary_closing_name(closing->reason));
}

static void on_answered(void *ctx, const struct tributary_request_refused *answer)
{
    const struct sub *sub = ctx;

    if (!sub->quiet)
        fprintf(stderr, "tributary: the server did not follow: %s: %.*s\n", tributary_code_name(answer->code),
                (int)answer->message.size, (const char *)answer->message.data);
}

static void on_started(void *ctx, const struct tributary_started *started)
{
    struct sub *sub = ctx;

    if (!sub->quiet && sub->is_interrupted)
        fprintf(stderr, "tributary: connected again\n");
    else if (!sub->quiet && started->producers_matched == 0)
        fprintf(stderr, "tributary: no producer matches yet\n");
    sub->is_interrupted = false;
    if (sub->start_wall_ns == 0 && sub->wants_last && started->producers_matched > 0) {
        atomic_store(&sub->last_due_ns, clock_mono_ns() + LAST_NS);
        stop_wake(&sub->stop);
    }
    sub->start_wall_ns = sub->start_wall_ns == 0 ? clock_wall_ns() : sub->start_wall_ns;
}

/* Prints a notice where --last was given and no event from before the start has come. At `now_ns`
 * or later it was due. Returns when to call it again; INT64_MAX: never. Main thread. */
static int64_t print_last(struct sub *sub, int64_t now_ns)
{
    const int64_t due_ns = atomic_load(&sub->last_due_ns);

    if (now_ns < due_ns)
        return due_ns;
    atomic_store(&sub->last_due_ns, INT64_MAX);
    if (!sub->quiet && !atomic_load(&sub->had_last))
        fprintf(stderr,
                "tributary: --last: the server kept no earlier events of these producers; it keeps them "
                "from the first --last on, or with --history from its start\n");
    return INT64_MAX;
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct sub *sub = ctx;

    sub->is_interrupted = true;
    if (!sub->quiet)
        link_interrupted("the stream was lost", status, retry_ns);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct sub *sub = ctx;

    (void)status; /* tributary_subscriber_wait() returns it, too */
    printer_flush(&sub->printer);
    atomic_store(&sub->ended, true);
    stop_wake(&sub->stop);
}

/* Why the main thread stopped waiting. */
enum reason { WAITING, STREAM_ENDED, DONE, SIGNALLED, TIME_OVER };

static enum reason wait_for_end(struct sub *sub)
{
    const int64_t over_ns = sub->over_ns;
    enum reason reason = WAITING;

    while (reason == WAITING) {
        const int64_t now_ns = clock_mono_ns();
        const int64_t due_ns = MIN_OF(loss_notices_print(&sub->losses, now_ns), print_last(sub, now_ns));
        const int64_t wake_ns = MIN_OF(over_ns, due_ns);

        if (!stop_requested(&sub->stop) && now_ns < over_ns && !atomic_load(&sub->ended) &&
            !atomic_load(&sub->is_done))
            stop_wait(&sub->stop, -1, wake_ns == INT64_MAX ? INT64_MAX : wake_ns - now_ns);
        if (atomic_load(&sub->ended))
            reason = STREAM_ENDED;
        else if (atomic_load(&sub->is_done))
            reason = DONE;
        else if (stop_requested(&sub->stop))
            reason = SIGNALLED;
        else if (clock_mono_ns() >= over_ns)
            reason = TIME_OVER;
    }
    return reason;
}

/* Waits until the stream has ended. It cannot end while our reader reads nothing. The reader is
 * given up after `max_wait_ns` without progress, when --max-time is over, or at a further signal,
 * which also ends the stream at once. A third signal ends the process. */
static void wait_for_last(struct sub *sub, int64_t max_wait_ns)
{
    const unsigned signalled = sub->stop.signals;
    int64_t moved_ns = clock_mono_ns();
    uint64_t written = atomic_load(&sub->printer.written);

    while (!atomic_load(&sub->ended)) {
        stop_wait(&sub->stop, -1, POLL_NS);

        const int64_t now_ns = clock_mono_ns();
        const uint64_t now = atomic_load(&sub->printer.written);

        loss_notices_print(&sub->losses, now_ns);
        if (now != written || !atomic_load(&sub->printer.waiting))
            moved_ns = now_ns;
        written = now;
        if (sub->stop.signals > signalled)
            tributary_subscriber_cancel(sub->subscriber);
        if (sub->stop.signals > signalled || now_ns >= sub->over_ns || now_ns - moved_ns >= max_wait_ns)
            printer_halt(&sub->printer);
        if (sub->stop.signals > signalled + 1) {
            stderr_lines_wait();
            _exit(EXITS_ERROR);
        }
    }
}

static int verdict(const struct sub *sub, enum reason reason, const struct tributary_status *status)
{
    const int error = sub->printer.error;

    if (reason == TIME_OVER)
        return EXITS_DEADLINE;
    if (error == ECANCELED) {
        fprintf(stderr, "tributary: standard output was not read: what was left is not printed\n");
        return clock_mono_ns() >= sub->over_ns ? EXITS_DEADLINE : EXITS_ERROR;
    }
    if (error != 0 && error != EPIPE) {
        fprintf(stderr, "tributary: writing: %s\n", strerror(error));
        return EXITS_ERROR;
    }
    if (reason == STREAM_ENDED && status->code != TRIBUTARY_OK)
        return link_failed("the stream ended", status);
    if (reason == SIGNALLED && status->code != TRIBUTARY_OK && status->code != TRIBUTARY_CANCELLED)
        return link_failed("finishing", status);
    if (atomic_load(&sub->lost) && sub->fail_on_loss)
        return EXITS_LOSS;
    return atomic_load(&sub->producer_failed) && sub->fail_on_producer ? EXITS_PRODUCER : EXITS_OK;
}

static int run_stream(struct sub *sub, struct tributary *query_client)
{
    struct tributary_subscriber *subscriber = sub->subscriber;
    const enum reason reason = wait_for_end(sub);
    struct tributary_status status;

    if (sub->with_totals && (reason == SIGNALLED || reason == DONE))
        source_totals_fetch(&sub->totals, query_client);
    if (reason == SIGNALLED)
        tributary_subscriber_finish(subscriber, 0);
    else
        tributary_subscriber_cancel(subscriber);
    wait_for_last(sub, reason == SIGNALLED ? READER_NS : INT64_MAX);
    tributary_subscriber_wait(subscriber, TRIBUTARY_FOREVER, &status);
    tributary_subscriber_free(subscriber);
    if (atomic_load(&sub->last_due_ns) < INT64_MAX)
        print_last(sub, INT64_MAX);
    loss_notices_end(&sub->losses);
    if (sub->with_totals)
        source_totals_print(&sub->totals, stderr, display_size(STDERR_FILENO).columns);
    return verdict(sub, reason, &status);
}

int sub_run(struct sub *sub, struct tributary *client, struct tributary *query_client,
            const struct tributary_subscriber_options *options)
{
    const struct tributary_subscriber_callbacks callbacks = {
        .started = on_started,
        .fell_behind = on_fell_behind,
        .event = on_event,
        .caught_up = on_caught_up,
        .lost = on_lost,
        .status = on_status,
        .closing = on_closing,
        .request_refused = on_answered,
        .applied = on_applied,
        .interrupted = on_interrupted,
        .ended = on_ended,
        .ctx = sub,
    };
    struct tributary_subscriber *subscriber = NULL;
    struct tributary_status status;
    int result = EXITS_OK;

    sub->wants_last = options->start_last > 0;
    atomic_store(&sub->last_due_ns, INT64_MAX);
    source_totals_init(&sub->totals);
    loss_notices_init(&sub->losses, stderr, sub->sum_losses);
    if (tributary_subscribe(client, options, &callbacks, &subscriber, &status) == TRIBUTARY_OK) {
        sub->subscriber = subscriber;
        result = run_stream(sub, query_client);
    } else {
        result = link_failed("subscribing", &status);
    }
    loss_notices_fini(&sub->losses);
    source_totals_fini(&sub->totals);
    return result;
}
