/* publish_stream.c - Publisher.PublishStream: many batches in, cumulative answers out.
 *
 * Backpressure: the next batch is read only when the one before is done (read_next()). So a
 * consumer whose channel parks part of a batch blocks the stream until the channel has admitted
 * that part.
 *
 * Under load small batches are coalesced instead, and the stream is read on. A post-poll hook
 * offers the coalesced chunk; the chunk is offered earlier when a batch arrives that cannot be
 * coalesced. If that offer blocks, one more batch may still arrive; it is held.
 *
 * Batches with events of stored topics go through a pipeline: many may be on their way into the
 * store, and the stream is read on. What is live, or refused, waits until the pipeline is empty,
 * so the order of the answers stays, and that of the live events.
 *
 * Answers are gathered: one is in flight at a time, and under load at most one leaves in
 * ANSWER_EVERY_NS. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proto/field_numbers.h"
#include "server/rpc/heartbeat.h"
#include "server/rpc/held_message.h"
#include "server/rpc/intake.h"
#include "server/rpc/method_table.h"
#include "server/rpc/publish_answer.h"
#include "server/rpc/services.h"

#define ANSWER_EVERY_NS (500 * NS_PER_US)

/* What refusals may take that wait for a peer that does not read its answers. Beyond that its
 * batches are not read. As much again may be on its way. Both are in what an open call is charged
 * for (--max-kept-bytes). */
#define MAX_REFUSED_BYTES 4096u

/* Batches are numbered from 1, in this order: those that are confirmed, then those that are
 * coalesced or in the pipeline, then the one that is offered or held. */
struct publish_stream {
    struct intake intake;
    uint64_t received;  /* the number of the last batch */
    uint64_t coalesced; /* how many batches share the coalesced chunk */
    struct publish_answer answer;
    struct held_message held;
    bool sending, reading, offering, half_closed, draining;
    bool is_refused; /* the store ends: nothing more was accepted */
    int64_t answered_at_ns;
    struct post_poll_hook offer_hook, decide_hook;
    struct cq_timer answer_timer;
    struct heartbeat heartbeat;
};

static struct cq_thread *cq_of(const struct publish_stream *stream)
{
    return call_cq(stream->intake.call);
}

static bool is_busy(const struct publish_stream *stream)
{
    return wire_busy(call_thread(stream->intake.call));
}

/* Reads the next batch, unless the stream is blocked: a batch is being offered. */
static INLINE void read_next(struct publish_stream *stream)
{
    const struct stored_pipeline *pipeline = stream->intake.pipeline;
    bool wanted = !stream->half_closed && !stream->draining && !stream->offering &&
                  stream->answer.refused.size < MAX_REFUSED_BYTES &&
                  (!pipeline || stored_pipeline_accepts(pipeline));
    uint64_t known =
        stream->answer.confirmed + stream->coalesced + (pipeline ? stored_pipeline_unconfirmed(pipeline) : 0);

    if (wanted && !stream->reading && known == stream->received && call_alive(stream->intake.call)) {
        stream->reading = true;
        call_read(stream->intake.call);
    }
}

static void answer(struct publish_stream *stream, int64_t now_ns)
{
    struct buf bytes = {0};

    publish_answer_write(&stream->answer, &stream->intake, &bytes);
    stream->answered_at_ns = now_ns;
    stream->heartbeat.sent_at_ns = now_ns;
    stream->sending = call_send(stream->intake.call, &bytes);
    buf_fini(&bytes);
}

/* The one place that decides: answer, wait or finish; then read on. Reading makes the core write a
 * window update, so on a thread with little to do it comes last. */
static void decide(struct publish_stream *stream, int64_t now_ns)
{
    bool ending = stream->half_closed || stream->draining;

    if (!call_alive(stream->intake.call))
        return;
    if (stream->sending) {
        read_next(stream);
        return;
    }
    if (stream->answer.reported < stream->answer.confirmed) {
        int64_t due_ns = stream->answered_at_ns + ANSWER_EVERY_NS;
        if (!ending && is_busy(stream) && now_ns < due_ns)
            cq_timer_set(cq_of(stream), &stream->answer_timer, due_ns);
        else
            answer(stream, now_ns);
    } else if (ending && stream->answer.confirmed == stream->received &&
               stored_pipeline_is_empty(stream->intake.pipeline)) {
        struct fault fault = {0};
        if (!stream->half_closed)
            fault_set(&fault, FAULT_DRAINING, "", "");
        call_finish(stream->intake.call, &fault);
        return;
    }
    read_next(stream);
}

static void on_decide(struct post_poll_hook *hook, int64_t now_ns)
{
    decide(container_of(hook, struct publish_stream, decide_hook), now_ns);
}

/* The last answer once more. */
static void beat(struct heartbeat *heartbeat)
{
    struct publish_stream *stream = container_of(heartbeat, struct publish_stream, heartbeat);

    if (!stream->sending && call_alive(stream->intake.call))
        answer(stream, heartbeat->sent_at_ns);
}

static void on_answer_due(struct cq_timer *timer, int64_t now_ns)
{
    decide(container_of(timer, struct publish_stream, answer_timer), now_ns);
}

static void offer_coalesced(struct publish_stream *stream)
{
    stream->offering = true;
    intake_offer_coalesced(&stream->intake);
}

/* Holds a scanned message, and what its scan found. */
static void hold(struct publish_stream *stream, const struct scanned_message *scanned, bool until_empty)
{
    held_message_keep(&stream->held, scanned, &stream->intake.fault);
    stream->held.until_empty = until_empty;
}

/* Coalesces the batch, or offers it: after the coalesced ones, so that the order stays. Where these
 * are accepted at once, intake->fault is still that of the batch. */
static INLINE void handle_live(struct publish_stream *stream, const struct scanned_message *scanned)
{
    for (;;) {
        if (is_busy(stream) && intake_coalesce(&stream->intake, scanned)) {
            stream->coalesced++;
            cq_add_early_post_poll_hook(cq_of(stream), &stream->offer_hook);
            read_next(stream);
            return;
        }
        if (stream->coalesced == 0)
            break;
        offer_coalesced(stream);
        if (stream->offering) {
            hold(stream, scanned, false);
            return;
        }
        if (stream->received == stream->answer.confirmed)
            return; /* the hub drains: neither the coalesced batches nor this one were accepted */
    }
    stream->offering = true;
    intake_offer(&stream->intake, scanned);
}

/* Gives the batch to the pipeline, behind the coalesced ones. Returns false where it is handled
 * as a live one after all: it is refused. */
static bool handle_stored(struct publish_stream *stream, struct scanned_message *scanned,
                          struct stored_plan *plan)
{
    if (stream->coalesced > 0)
        offer_coalesced(stream);
    const bool must_wait =
        stream->offering || (plan->turn == TURN_ALONE && !stored_pipeline_is_empty(stream->intake.pipeline));
    if (must_wait || stream->received == stream->answer.confirmed) {
        stored_sort_fini(&plan->sort);
        if (must_wait)
            hold(stream, scanned, !stream->offering);
        return true; /* or the hub drains */
    }
    scanned->reason = intake_store(&stream->intake, scanned, plan);
    if (!scanned->reason)
        read_next(stream);
    return !scanned->reason;
}

/* Where topics are stored. Returns whether the batch is handled, or held. */
static NOINLINE bool handle_by_topics(struct publish_stream *stream, struct scanned_message *scanned)
{
    struct stored_plan plan;
    const enum intake_kind kind = intake_sort(&stream->intake, scanned, &plan);

    if (kind == INTAKE_WAITS)
        hold(stream, scanned, false);
    return kind == INTAKE_WAITS || (kind == INTAKE_STORED && handle_stored(stream, scanned, &plan));
}

static INLINE void handle_scanned(struct publish_stream *stream, struct scanned_message *scanned)
{
    if (intake_may_store(&stream->intake, scanned) && handle_by_topics(stream, scanned))
        return;
    if (stream->intake.pipeline && !stored_pipeline_is_empty(stream->intake.pipeline))
        hold(stream, scanned, true);
    else
        handle_live(stream, scanned);
}

/* The refused message changes nothing. */
static enum fault_reason read_heartbeat(struct publish_stream *stream, const struct framing_scan *scan)
{
    const struct framing_field *field = &scan->fields[PB_PUBLISH_STREAM_REQUEST_HEARTBEAT_INTERVAL];
    int64_t interval_ns = 0;

    if (!field->present)
        return FAULT_NONE;
    enum fault_reason reason = heartbeat_read_field(field, &interval_ns, &stream->intake.fault);
    if (!reason)
        heartbeat_begin(&stream->heartbeat, interval_ns);
    return reason;
}

static INLINE void handle_message(struct publish_stream *stream, struct message *message)
{
    struct scanned_message scanned = intake_scan(&stream->intake, message);

    if (!scanned.reason)
        scanned.reason = read_heartbeat(stream, scanned.scan);
    handle_scanned(stream, &scanned);
}

/* What the held batch waited for is over, or one of it. */
static void handle_held(struct publish_stream *stream)
{
    struct held_message held = stream->held;

    stream->held = (struct held_message){.is_scanned = false};
    struct scanned_message scanned = held_message_scanned(&held);
    if (scanned.reason)
        stream->intake.fault = held.fault;
    if (held.is_scanned)
        handle_scanned(stream, &scanned);
    else
        handle_message(stream, &held.message);
    held_message_fini(&held);
}

/* Whether a message that has arrived must wait until something else is done. */
static bool is_occupied(const struct publish_stream *stream)
{
    return stream->offering || stream->intake.offered || stream->intake.is_preparing;
}

static void handle_held_when_due(struct publish_stream *stream)
{
    if (!held_message_is_there(&stream->held) || stream->intake.is_preparing)
        return;
    if (stream->is_refused || !call_alive(stream->intake.call))
        held_message_fini(&stream->held);
    else if (!is_occupied(stream) &&
             (!stream->held.until_empty || stored_pipeline_is_empty(stream->intake.pipeline)))
        handle_held(stream);
}

/* What is not confirmed was not accepted, nor is the held batch: the status of the drain says
 * so. */
static void refuse_all(struct publish_stream *stream)
{
    stream->received = stream->answer.confirmed;
    stream->draining = true;
    stream->is_refused = true;
}

static void on_intake_done(struct intake *intake, enum fault_reason reason)
{
    struct publish_stream *stream = container_of(intake, struct publish_stream, intake);
    uint64_t count = MAX_OF(stream->coalesced, 1u);

    if (reason && stream->received == 1 && intake->name_size == 0 &&
        strcmp(intake->fault.field, "producer") == 0) {
        call_finish(intake->call, &intake->fault); /* the stream has no producer */
        return;
    }
    if (reason == FAULT_UNKNOWN_ENCODING) {
        call_finish(intake->call, &intake->fault); /* gRPC wants the whole call refused */
        return;
    }
    stream->offering = false;
    stream->coalesced = 0;
    if (reason == FAULT_DRAINING)
        refuse_all(stream);
    else
        publish_answer_confirm(&stream->answer, intake, count, reason);
    cq_add_post_poll_hook(cq_of(stream), &stream->decide_hook);
    handle_held_when_due(stream);
    if (is_busy(stream))
        read_next(stream);
}

static void on_stored(struct intake *intake, const struct stored_batch *batch, enum fault_reason reason)
{
    struct publish_stream *stream = container_of(intake, struct publish_stream, intake);

    (void)batch;
    if (reason == FAULT_DRAINING)
        refuse_all(stream);
    else if (!stream->is_refused)
        publish_answer_confirm(&stream->answer, intake, 1, reason);
}

static void on_moved(struct intake *intake)
{
    struct publish_stream *stream = container_of(intake, struct publish_stream, intake);

    handle_held_when_due(stream);
    cq_add_post_poll_hook(cq_of(stream), &stream->decide_hook);
    if (is_busy(stream))
        read_next(stream);
}

static void on_prepared(struct intake *intake, enum fault_reason reason)
{
    struct publish_stream *stream = container_of(intake, struct publish_stream, intake);

    if (reason)
        stream->held.fault = intake->fault;
    handle_held_when_due(stream);
}

static const struct intake_port intake_port = {
    .done = on_intake_done, .stored = on_stored, .moved = on_moved, .prepared = on_prepared};

static void on_offer(struct post_poll_hook *hook, int64_t now_ns)
{
    struct publish_stream *stream = container_of(hook, struct publish_stream, offer_hook);

    (void)now_ns;
    if (stream->coalesced > 0 && !stream->offering)
        offer_coalesced(stream);
}

static void opened(struct call *call, void *ctx)
{
    struct publish_stream *stream = calloc(1, sizeof(*stream));
    struct fault fault;

    if (!stream) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    intake_init(&stream->intake, ctx, call, &intake_port);
    list_init(&stream->offer_hook.link);
    stream->offer_hook.post_poll = on_offer;
    list_init(&stream->decide_hook.link);
    stream->decide_hook.post_poll = on_decide;
    stream->answer_timer.fired = on_answer_due;
    heartbeat_init(&stream->heartbeat, call_cq(call), beat);
    call_own(call, stream);
    read_next(stream);
}

static void message(struct call *call, struct message *message)
{
    struct publish_stream *stream = call_owned(call);

    stream->reading = false;
    stream->received++;
    if (is_occupied(stream))
        stream->held.message = message_move(message);
    else
        handle_message(stream, message);
}

static void half_closed(struct call *call)
{
    struct publish_stream *stream = call_owned(call);

    stream->reading = false;
    stream->half_closed = true;
    cq_add_post_poll_hook(call_cq(call), &stream->decide_hook);
}

static void sent(struct call *call, bool ok)
{
    struct publish_stream *stream = call_owned(call);

    (void)ok; /* after a failure the call is about to end */
    stream->sending = false;
    cq_add_post_poll_hook(call_cq(call), &stream->decide_hook);
}

static void lost(struct call *call)
{
    struct publish_stream *stream = call_owned(call);

    if (!stream)
        return;
    if (stream->coalesced > 0 && !stream->offering)
        offer_coalesced(stream); /* these batches arrived before the call was lost */
    intake_give_up(&stream->intake);
}

static void draining(struct call *call)
{
    struct publish_stream *stream = call_owned(call);

    if (!stream)
        return;
    stream->draining = true;
    cq_add_post_poll_hook(call_cq(call), &stream->decide_hook);
}

static void closed(struct call *call, bool ok)
{
    struct publish_stream *stream = call_owned(call);

    (void)ok;
    if (!stream)
        return;
    cq_timer_stop(call_cq(call), &stream->answer_timer);
    heartbeat_stop(&stream->heartbeat);
    list_remove(&stream->offer_hook.link);
    list_remove(&stream->decide_hook.link);
    held_message_fini(&stream->held);
    buf_fini(&stream->answer.refused);
    intake_fini(&stream->intake);
    free(stream);
}

static const struct call_port publish_stream_port = {.opened = opened,
                                                     .message = message,
                                                     .half_closed = half_closed,
                                                     .sent = sent,
                                                     .lost = lost,
                                                     .draining = draining,
                                                     .closed = closed};

enum err publish_stream_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Publisher/PublishStream", &publish_stream_port, rpc);
}
