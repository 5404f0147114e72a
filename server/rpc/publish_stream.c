/* publish_stream.c - Publisher.PublishStream: many batches in, cumulative answers out.
 *
 * Backpressure: the next batch is read only when the one before is done (read_next()). So a
 * consumer whose channel parks part of a batch blocks the stream until the channel has admitted
 * that part.
 *
 * Under load small batches are coalesced instead, and the stream is read on. A post-poll
 * hook offers the coalesced chunk; the chunk is offered earlier when a batch arrives that cannot be
 * coalesced. If that offer blocks, one more batch may still arrive; it is held.
 *
 * Answers are gathered: one is in flight at a time, and under load at most one leaves in
 * ANSWER_EVERY_NS. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"
#include "server/rpc/heartbeat.h"
#include "server/rpc/intake.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"

#define ANSWER_EVERY_NS (500 * NS_PER_US)

/* What refusals may take that wait for a peer that does not read its answers. Beyond that its
 * batches are not read. As much again may be on its way. Both are in what an open call is charged
 * for (--max-kept-bytes). */
#define MAX_REFUSED_BYTES 4096u

/* Arrived while the coalesced chunk was being offered, or had to wait for that offer. */
struct held_message {
    struct message message; /* not there: none is held */
    bool is_scanned;        /* `fault` says why it is refused, or `scan` what is in it */
    struct framing_scan scan;
    struct fault fault;
};

/* Batches are numbered from 1, in this order: those that are confirmed, then those that are
 * coalesced, then the one that is offered or held. */
struct publish_stream {
    struct intake intake;
    uint64_t received;  /* the number of the last batch */
    uint64_t confirmed; /* done, accepted or refused, up to this number */
    uint64_t coalesced; /* how many batches share the coalesced chunk */
    uint64_t reported;  /* `confirmed` of the last answer */
    struct held_message held;
    uint64_t last_sequence, epoch;
    struct buf refused; /* PublishStreamResponse.refused, encoded */
    bool sending, reading, offering, half_closed, draining;
    int64_t answered_at_ns;
    struct post_poll_hook offer_hook, decide_hook;
    struct cq_timer answer_timer;
    struct heartbeat heartbeat;
};

static struct wire_thread *thread_of(const struct publish_stream *stream)
{
    return call_thread(stream->intake.call);
}

static struct cq_thread *cq_of(const struct publish_stream *stream)
{
    return call_cq(stream->intake.call);
}

/* Reads the next batch, unless the stream is blocked: a batch is being offered. */
static void read_next(struct publish_stream *stream)
{
    bool wanted = !stream->half_closed && !stream->draining && stream->refused.size < MAX_REFUSED_BYTES;

    if (wanted && !stream->reading && !stream->offering &&
        stream->confirmed + stream->coalesced == stream->received && call_alive(stream->intake.call)) {
        stream->reading = true;
        call_read(stream->intake.call);
    }
}

static void note_refusal(struct publish_stream *stream, uint64_t batch, const struct fault *fault)
{
    struct buf refused = {0};
    char text[600];
    size_t length = fault_message(fault, text, sizeof(text));

    field_varint(&refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED_BATCH, batch);
    field_varint(&refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED_CODE, fault_code(fault->reason));
    field_bytes(&refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED_MESSAGE,
                (struct bytes){(const uint8_t *)text, length});
    field_text(&refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED_REASON, fault_reason_name(fault->reason));
    field_message(&stream->refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED, &refused);
}

/* Writes PublishStreamResponse. */
static void answer(struct publish_stream *stream, int64_t now_ns)
{
    struct buf bytes = {0};

    field_varint(&bytes, PB_PUBLISH_STREAM_RESPONSE_CONFIRMED_BATCH, stream->confirmed);
    buf_bytes(&bytes, stream->refused.data, stream->refused.size);
    field_fixed64(&bytes, PB_PUBLISH_STREAM_RESPONSE_LAST_SEQUENCE, stream->last_sequence);
    field_fixed64(&bytes, PB_PUBLISH_STREAM_RESPONSE_EPOCH, stream->epoch);
    buf_clear(&stream->refused);
    stream->reported = stream->confirmed;
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
    if (stream->reported < stream->confirmed) {
        int64_t due_ns = stream->answered_at_ns + ANSWER_EVERY_NS;
        if (!ending && wire_busy(thread_of(stream)) && now_ns < due_ns)
            cq_timer_set(cq_of(stream), &stream->answer_timer, due_ns);
        else
            answer(stream, now_ns);
    } else if (ending && stream->confirmed == stream->received) {
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

static void held_fini(struct held_message *held)
{
    framing_fini(&held->scan);
    message_fini(&held->message);
    held->is_scanned = false;
}

/* Holds a scanned message, and what its scan found. */
static void hold(struct publish_stream *stream, const struct scanned_message *scanned)
{
    struct held_message *held = &stream->held;

    held->message = message_move(scanned->message);
    held->is_scanned = true;
    if (scanned->reason)
        held->fault = stream->intake.fault;
    else
        held->scan = framing_move(scanned->scan);
}

/* Coalesces the batch, or offers it: after the coalesced ones, so that the order stays. Where these
 * are accepted at once, intake->fault is still that of the batch. */
static void handle_scanned(struct publish_stream *stream, const struct scanned_message *scanned)
{
    for (;;) {
        if (wire_busy(thread_of(stream)) && intake_coalesce(&stream->intake, scanned)) {
            stream->coalesced++;
            cq_add_early_post_poll_hook(cq_of(stream), &stream->offer_hook);
            read_next(stream);
            return;
        }
        if (stream->coalesced == 0)
            break;
        offer_coalesced(stream);
        if (stream->offering) {
            hold(stream, scanned);
            return;
        }
        if (stream->received == stream->confirmed)
            return; /* the hub drains: neither the coalesced batches nor this one were accepted */
    }
    stream->offering = true;
    intake_offer(&stream->intake, scanned);
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

static void handle_message(struct publish_stream *stream, struct message *message)
{
    struct scanned_message scanned = intake_scan(&stream->intake, message);

    if (!scanned.reason)
        scanned.reason = read_heartbeat(stream, scanned.scan);
    handle_scanned(stream, &scanned);
}

/* The offer that the held batch waited for is done. */
static void handle_held(struct publish_stream *stream)
{
    struct held_message held = stream->held;

    stream->held = (struct held_message){.is_scanned = false};
    if (!held.is_scanned) {
        handle_message(stream, &held.message);
    } else {
        struct scanned_message scanned = {&held.message, &held.scan, held.fault.reason};
        if (scanned.reason)
            stream->intake.fault = held.fault;
        handle_scanned(stream, &scanned);
    }
    held_fini(&held);
}

/* The next `count` batches share one outcome. */
static void confirm(struct publish_stream *stream, uint64_t count, enum fault_reason reason)
{
    const struct intake *intake = &stream->intake;

    for (uint64_t i = 1; reason && i <= count; i++)
        note_refusal(stream, stream->confirmed + i, &intake->fault);
    if (!reason && intake->offer.epoch > 0) {
        stream->last_sequence = intake->offer.last_sequence;
        stream->epoch = intake->offer.epoch;
    }
    stream->confirmed += count;
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
    if (reason == FAULT_DRAINING) {
        /* These batches were not accepted, nor is the held one: the status of the drain says so. */
        stream->received = stream->confirmed;
        stream->draining = true;
    } else {
        confirm(stream, count, reason);
    }
    cq_add_post_poll_hook(cq_of(stream), &stream->decide_hook);
    if (reason == FAULT_DRAINING || !call_alive(intake->call))
        held_fini(&stream->held);
    else if (message_is_there(&stream->held.message))
        handle_held(stream);
    if (wire_busy(thread_of(stream)))
        read_next(stream);
}

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
    intake_init(&stream->intake, ctx, call, on_intake_done);
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
    if (stream->offering)
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
    held_fini(&stream->held);
    buf_fini(&stream->refused);
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
