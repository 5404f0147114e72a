/* publish_stream.c - Publisher.PublishStream: many batches in, cumulative answers out.
 *
 *   READING --message--> DEALING --dealt--> READING --half-close, drain, refusals unread--> ...
 *
 * A batch is read only when the one before was dealt with: a blocking channel holds the stream
 * back. Under load, small batches are joined instead, and read on; what was joined is offered when
 * the tick ends, or before something that cannot be joined. If that blocks, the one batch that may
 * still arrive is held. Answers are gathered: one is in flight at a time, and under load at most
 * one leaves in ANSWER_EVERY_NS. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/encode.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/intake.h"
#include "server/rpc/publisher.h"
#include "server/wire/message.h"

#define ANSWER_EVERY_NS (500 * NS_PER_US)

/* Refusals that may wait for a peer that does not read its answers; beyond, its batches are not
 * read. */
#define MAX_REFUSALS 1024

struct publish_stream {
    struct intake intake;
    /* messages received: those dealt with, then those joined, then the one that is being dealt with
       or held */
    uint64_t batch;
    uint64_t confirmed;       /* dealt with */
    uint64_t coalesced_count; /* after those: they share a chunk */
    uint64_t reported;
    struct message held; /* came while what was joined is being dealt with */
    uint64_t last_sequence, epoch;
    struct buf refused; /* PublishStreamResponse.refused, encoded */
    uint32_t refusals;
    bool sending, reading, dealing, half_closed, draining;
    int64_t answered_at_ns;
    struct post_poll_hook coalesced, ready;
    struct wire_timer later;
};

static struct wire_thread *thread_of(const struct publish_stream *stream)
{
    return call_thread(stream->intake.call);
}

static void read_next(struct publish_stream *stream)
{
    bool wanted = !stream->half_closed && !stream->draining && stream->refusals < MAX_REFUSALS;

    if (wanted && !stream->reading && !stream->dealing &&
        stream->confirmed + stream->coalesced_count == stream->batch && call_alive(stream->intake.call)) {
        stream->reading = true;
        call_read(stream->intake.call);
    }
}

static void note_refusal(struct publish_stream *stream, uint64_t batch, const struct fault *fault)
{
    OWNED(buf_fini) struct buf refused = {0};
    const char *name = fault_reason_name(fault->reason);
    char text[600];
    size_t length = fault_message(fault, text, sizeof(text));

    field_varint(&refused, 1, batch);
    field_varint(&refused, 2, fault_code(fault->reason));
    field_bytes(&refused, 3, (struct bytes){(const uint8_t *)text, length});
    field_bytes(&refused, 4, (struct bytes){(const uint8_t *)name, strlen(name)});
    field_bytes_always(&stream->refused, 2, (struct bytes){refused.data, refused.size});
    stream->refusals++;
}

/* PublishStreamResponse */
static void answer(struct publish_stream *stream, int64_t now_ns)
{
    struct buf bytes = {0};

    field_varint(&bytes, 1, stream->confirmed);
    buf_bytes(&bytes, stream->refused.data, stream->refused.size);
    field_fixed64(&bytes, 3, stream->last_sequence);
    field_fixed64(&bytes, 4, stream->epoch);
    buf_clear(&stream->refused);
    stream->refusals = 0;
    stream->reported = stream->confirmed;
    stream->answered_at_ns = now_ns;
    stream->sending = call_send(stream->intake.call, &bytes);
    buf_fini(&bytes);
}

/* The one place that decides: answer, wait, or finish; and read on. Reading makes the core write a
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
            wire_timer_set(thread_of(stream), &stream->later, due_ns);
        else
            answer(stream, now_ns);
    } else if (ending && stream->confirmed == stream->batch) {
        struct fault fault = {0};
        if (!stream->half_closed)
            fault_set(&fault, FAULT_DRAINING, "", "");
        call_finish(stream->intake.call, &fault);
        return;
    }
    read_next(stream);
}

static void on_tick_end(struct post_poll_hook *ready, int64_t now_ns)
{
    decide(container_of(ready, struct publish_stream, ready), now_ns);
}

static void on_later(struct wire_timer *timer, int64_t now_ns)
{
    decide(container_of(timer, struct publish_stream, later), now_ns);
}

static void offer_coalesced(struct publish_stream *stream)
{
    stream->dealing = true;
    intake_offer_coalesced(&stream->intake);
}

static void take_message(struct publish_stream *stream, struct message *message)
{
    for (;;) {
        if (wire_busy(thread_of(stream)) && intake_coalesce(&stream->intake, message)) {
            stream->coalesced_count++;
            wire_add_early_post_poll_hook(thread_of(stream), &stream->coalesced);
            read_next(stream);
            return;
        }
        if (stream->coalesced_count == 0)
            break;
        offer_coalesced(stream);
        if (stream->dealing) {
            stream->held = message_move(message);
            return;
        }
        if (stream->batch == stream->confirmed)
            return; /* the hub drains: nothing of it was taken, this message neither */
    }
    stream->dealing = true;
    intake_message(&stream->intake, message);
}

/* For the batches from the first that was not dealt with: they share what became of them. */
static void complete(struct publish_stream *stream, uint64_t count, enum fault_reason reason)
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

static void dealt(struct intake *intake, enum fault_reason reason)
{
    struct publish_stream *stream = container_of(intake, struct publish_stream, intake);
    uint64_t count = MAX_OF(stream->coalesced_count, 1u);

    if (reason && stream->batch == 1 && intake->name_size == 0 &&
        strcmp(intake->fault.field, "producer") == 0) {
        call_finish(intake->call, &intake->fault); /* nobody to publish as */
        return;
    }
    stream->dealing = false;
    stream->coalesced_count = 0;
    if (reason == FAULT_DRAINING) {
        stream->batch = stream->confirmed; /* never taken, nor what is held: the drain's status says so */
        stream->draining = true;
    } else {
        complete(stream, count, reason);
    }
    wire_add_post_poll_hook(thread_of(stream), &stream->ready);
    struct message held = message_move(&stream->held);
    if (held.buffer && reason != FAULT_DRAINING && call_alive(intake->call))
        take_message(stream, &held);
    message_fini(&held);
    if (wire_busy(thread_of(stream)))
        read_next(stream);
}

static void on_coalesced(struct post_poll_hook *ready, int64_t now_ns)
{
    struct publish_stream *stream = container_of(ready, struct publish_stream, coalesced);

    (void)now_ns;
    if (stream->coalesced_count > 0 && !stream->dealing)
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
    intake_init(&stream->intake, ctx, call, dealt);
    list_init(&stream->coalesced.link);
    stream->coalesced.post_poll = on_coalesced;
    list_init(&stream->ready.link);
    stream->ready.post_poll = on_tick_end;
    stream->later.fired = on_later;
    call_own(call, stream);
    read_next(stream);
}

static void message(struct call *call, struct message *message)
{
    struct publish_stream *stream = call_owned(call);

    stream->reading = false;
    stream->batch++;
    if (stream->dealing)
        stream->held = message_move(message);
    else
        take_message(stream, message);
}

static void half_closed(struct call *call)
{
    struct publish_stream *stream = call_owned(call);

    stream->reading = false;
    stream->half_closed = true;
    wire_add_post_poll_hook(call_thread(call), &stream->ready);
}

static void sent(struct call *call, bool ok)
{
    struct publish_stream *stream = call_owned(call);

    (void)ok; /* where it failed the call is about to end */
    stream->sending = false;
    wire_add_post_poll_hook(call_thread(call), &stream->ready);
}

static void lost(struct call *call)
{
    struct publish_stream *stream = call_owned(call);

    if (!stream)
        return;
    if (stream->coalesced_count > 0 && !stream->dealing)
        offer_coalesced(stream); /* it came whole before the call was lost */
    intake_give_up(&stream->intake);
}

static void draining(struct call *call)
{
    struct publish_stream *stream = call_owned(call);

    if (!stream)
        return;
    stream->draining = true;
    wire_add_post_poll_hook(call_thread(call), &stream->ready);
}

static void closed(struct call *call, bool ok)
{
    struct publish_stream *stream = call_owned(call);

    (void)ok;
    if (!stream)
        return;
    wire_timer_set(call_thread(call), &stream->later, INT64_MAX);
    list_remove(&stream->coalesced.link);
    list_remove(&stream->ready.link);
    message_fini(&stream->held);
    buf_fini(&stream->refused);
    intake_fini(&stream->intake);
    free(stream);
}

const struct call_port publish_stream_port = {.opened = opened,
                                              .message = message,
                                              .half_closed = half_closed,
                                              .sent = sent,
                                              .lost = lost,
                                              .draining = draining,
                                              .closed = closed};
