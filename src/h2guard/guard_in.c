/* guard_in.c - walks the bytes from the peer. */
#include "h2guard/guard_frame.h"
#include "h2guard/guard_message.h"
#include "h2guard/guard_verdict.h"
#include "h2guard/guard_window.h"

/* Only a frame with one of these flags means something at its end. */
#define FRAME_ENDS (FRAME_END_STREAM | FRAME_END_HEADERS)

/* Walks bytes of a payload, which has some left. Returns how many passed. */
static size_t walk_payload(struct h2guard *guard, const uint8_t *data, size_t size)
{
    struct h2guard_totals *total = &guard->stats.total;
    uint32_t left = guard->in.payload_left;
    size_t passed = 0;

    if (guard->payload == PAYLOAD_DATA && left > guard->padding) {
        passed = guard_walk_messages(guard, data, MIN_OF(size, left - guard->padding));
    } else if (guard->payload == PAYLOAD_PAD_LENGTH) {
        passed = guard_spend_bytes(guard, 1);
        guard_frame_padding(guard, data[0]);
    } else if (guard->payload == PAYLOAD_BLOCK && left > guard->padding) {
        passed = guard_spend_bytes(guard, MIN_OF(size, left - guard->padding));
        guard_frame_block(guard, data, passed);
    } else {
        passed = guard_spend_bytes(guard, MIN_OF(size, left));
    }
    total->items[H2GUARD_ITEM_BYTE] += passed;
    if (!LIKELY(guard->block_stream == 0)) /* a header block is open */
        total->items[H2GUARD_ITEM_HEADER_BYTE] += passed;
    return passed;
}

/* Walks bytes of the preface, or of a frame header that comes in pieces. Returns how many passed.
 * */
static NOINLINE size_t walk_piece(struct h2guard *guard, const uint8_t *data, size_t size)
{
    size_t used = 0;

    switch (frame_reader_next(&guard->in, data, size, &used)) {
    case FRAME_BEGINS:
        guard_frame_begins(guard);
        break;
    case FRAME_WRONG_PREFACE:
        guard_end(guard, H2GUARD_PREFACE, 0, 0, 0);
        break;
    case FRAME_NEEDS_MORE:
        break;
    }
    return used;
}

/* Whether these bytes would complete the header of a DATA frame for which the core's window has no
 * room. The core counts a frame when it has its whole header. */
static NOINLINE bool would_overflow(const struct h2guard *guard, const uint8_t *data, size_t size)
{
    struct frame_reader ahead = guard->in;
    size_t used;

    if (ahead.preface_left > 0 || frame_reader_next(&ahead, data, size, &used) != FRAME_BEGINS)
        return false;
    return ahead.frame.type == FRAME_DATA && ahead.frame.length > guard_window_core(&guard->window) &&
           ahead.frame.length <= guard->limits->max_frame_bytes;
}

/* Holds back the last byte of the header, and all that follows. Returns how many bytes pass. */
static NOINLINE size_t hold_back(struct h2guard *guard, const uint8_t *data)
{
    size_t size = FRAME_HEAD_BYTES - 1 - guard->in.head_size;
    size_t used = 0;

    if (size > 0)
        CHECK(frame_reader_next(&guard->in, data, size, &used) == FRAME_NEEDS_MORE);
    guard->window.held = frame_read_u32(guard->in.head) >> 8;
    guard->window.held_ns = guard->now_ns;
    return used;
}

static size_t walk(struct h2guard *guard, struct bytes bytes)
{
    size_t done = 0;

    while (done < bytes.size && guard->left > 0 && guard->window.held == 0) {
        const uint8_t *data = bytes.data + done;
        if (guard->in.payload_left > 0) {
            done += walk_payload(guard, data, bytes.size - done);
        } else if (guard_window_is_tight(&guard->window) && would_overflow(guard, data, bytes.size - done)) {
            done += hold_back(guard, data);
        } else if (LIKELY(frame_reader_whole_head(&guard->in, data, bytes.size - done))) {
            done += FRAME_HEAD_BYTES;
            guard_frame_begins(guard);
        } else {
            done += walk_piece(guard, data, bytes.size - done);
        }
        if (guard->in.payload_left == 0 && (guard->in.frame.flags & FRAME_ENDS) && guard->in.head_size == 0)
            guard_frame_ends(guard);
    }
    return done;
}

/* Notes when the header or the payload of a frame was first seen to be incomplete. */
static void note_partial(struct h2guard *guard)
{
    uint64_t part = 2 * guard->stats.frames_in + (guard->in.payload_left > 0 ? 1 : 2);

    if (!frame_reader_is_whole(&guard->in) && guard->partial_part != part) {
        guard->partial_part = part;
        guard->partial_ns = guard->now_ns;
    }
}

static void count_verdict(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

struct h2guard_verdict h2guard_in(struct h2guard *guard, struct bytes bytes)
{
    struct h2guard_counters *counters = guard->counters;
    size_t passed = walk(guard, bytes);

    if (guard->reason != H2GUARD_NO_REASON)
        return (struct h2guard_verdict){.decision = H2GUARD_END, .reason = guard->reason};
    guard->stats.total.bytes += passed;
    note_partial(guard);
    if (guard->left <= 0) {
        count_verdict(guard->second_is_short ? &counters->second_waits : &counters->turn_waits);
        return (struct h2guard_verdict){.decision = H2GUARD_WAIT, .passed = passed};
    }
    if (!LIKELY(guard->window.held == 0)) {
        count_verdict(&counters->window_waits);
        return (struct h2guard_verdict){.decision = H2GUARD_WAIT, .passed = passed};
    }
    count_verdict(&counters->passes);
    return (struct h2guard_verdict){.decision = H2GUARD_PASS, .passed = passed};
}
