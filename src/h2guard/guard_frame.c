/* guard_frame.c - what a frame from the peer means (RFC 9113, sections 5 and 6): which ones are
 * refused, what each one costs, and what its payload is. */
#include "h2guard/guard_frame.h"
#include "h2guard/guard_message.h"
#include "h2guard/guard_stream.h"
#include "h2guard/guard_verdict.h"
#include "h2guard/guard_window.h"

/* Where a type of frame may stand, and how large it may be. */
static const struct form {
    enum { ON_STREAM = 1, ON_CONNECTION = 2, ON_EITHER = 3 } place;
    uint32_t min;
    uint32_t max;
} forms[FRAME_TYPE_COUNT] = {
    [FRAME_DATA] = {ON_STREAM, 0, UINT32_MAX},
    [FRAME_HEADERS] = {ON_STREAM, 0, UINT32_MAX},
    [FRAME_PRIORITY] = {ON_STREAM, 5, 5},
    [FRAME_RST_STREAM] = {ON_STREAM, 4, 4},
    [FRAME_SETTINGS] = {ON_CONNECTION, 0, UINT32_MAX},
    [FRAME_PUSH_PROMISE] = {ON_STREAM, 4, UINT32_MAX},
    [FRAME_PING] = {ON_CONNECTION, 8, 8},
    [FRAME_GOAWAY] = {ON_CONNECTION, 8, UINT32_MAX},
    [FRAME_WINDOW_UPDATE] = {ON_EITHER, 4, 4},
    [FRAME_CONTINUATION] = {ON_STREAM, 0, UINT32_MAX},
};

#define SETTING_BYTES 6u
#define PRIORITY_BYTES 5u

static void refuse(struct h2guard *guard, enum h2guard_reason reason)
{
    guard_end(guard, reason, guard->in.frame.stream, 0, 0);
}

static bool above(struct h2guard *guard, enum h2guard_reason reason, uint64_t value, uint64_t bound)
{
    if (LIKELY(value <= bound))
        return false;
    guard_end(guard, reason, guard->in.frame.stream, value, bound);
    return true;
}

/* Whether nobody has opened the stream. Streams that a server opens do not exist here. */
static bool is_idle(const struct h2guard *guard, uint32_t id)
{
    return id > guard->last_stream || id % 2 == 0;
}

/* A frame on a stream that is not in the table. */
static void on_missing(struct h2guard *guard)
{
    if (is_idle(guard, guard->in.frame.stream)) {
        refuse(guard, H2GUARD_IDLE_STREAM);
    } else if (guard->late_credit > 0) {
        guard->late_credit--;
        guard_charge(guard, H2GUARD_ITEM_LATE);
    } else {
        guard_charge(guard, H2GUARD_ITEM_STRAY);
    }
}

static void on_data(struct h2guard *guard, const struct frame *frame)
{
    struct stream *stream = stream_table_find(&guard->streams, frame->stream);

    guard_window_use(&guard->window, frame->length);
    if (!LIKELY(stream)) {
        on_missing(guard);
        return;
    }
    if (!LIKELY(!(stream->flags & STREAM_PEER_ENDED))) {
        refuse(guard, H2GUARD_ENDED_STREAM);
        return;
    }
    guard_stream_add_unread(guard, stream, frame->length);
    if (!LIKELY(!(frame->flags & FRAME_PADDED))) {
        guard->payload = PAYLOAD_PAD_LENGTH;
        if (frame->length == 0)
            refuse(guard, H2GUARD_FRAME_SIZE);
        return;
    }
    guard->payload = PAYLOAD_DATA;
    guard->padding = 0;
    guard_charge(guard, guard_data_item(guard, stream, frame->length));
}

/* Opens a stream, or goes on with one. */
static void on_block_stream(struct h2guard *guard, const struct frame *frame)
{
    struct stream *stream = stream_table_find(&guard->streams, frame->stream);

    if (stream) {
        bool is_response = guard->role == H2GUARD_CLIENT && !(stream->flags & STREAM_PEER_SPOKE);
        bool is_expected = is_response || (frame->flags & FRAME_END_STREAM);
        if (stream->flags & STREAM_PEER_ENDED) {
            refuse(guard, H2GUARD_ENDED_STREAM);
            return;
        }
        stream->flags |= STREAM_PEER_SPOKE;
        guard_charge(guard, is_expected ? H2GUARD_ITEM_HEADERS : H2GUARD_ITEM_EXTRA_HEADERS);
    } else if (guard->role == H2GUARD_SERVER && frame->stream % 2 == 1 &&
               frame->stream > guard->last_stream) {
        if (guard_stream_open(guard, frame->stream, STREAM_PEER_SPOKE) == ERR_OK)
            guard_charge(guard, H2GUARD_ITEM_OPEN);
    } else {
        on_missing(guard);
    }
}

static void on_headers(struct h2guard *guard, const struct frame *frame)
{
    const struct h2guard_limits *limits = guard->limits;
    bool is_padded = frame->flags & FRAME_PADDED;
    uint32_t min = (is_padded ? 1 : 0) + (frame->flags & FRAME_WITH_PRIORITY ? PRIORITY_BYTES : 0);

    if (frame->length < min) {
        refuse(guard, H2GUARD_FRAME_SIZE);
        return;
    }
    guard->stats.continuations = 0;
    guard->stats.header_bytes = frame->length;
    if (above(guard, H2GUARD_HEADER_TOO_LARGE, frame->length, limits->max_header_bytes))
        return;
    guard->block_stream = frame->stream;
    guard->block_ns = guard->now_ns;
    guard->byte_cost += limits->prices[H2GUARD_ITEM_HEADER_BYTE].cost;
    guard->payload = is_padded ? PAYLOAD_PAD_LENGTH : PAYLOAD_BLOCK;
    guard->padding = 0;
    guard->priority_left = frame->flags & FRAME_WITH_PRIORITY ? PRIORITY_BYTES : 0;
    header_block_begin(&guard->block);
    on_block_stream(guard, frame);
}

static void on_continuation(struct h2guard *guard, const struct frame *frame)
{
    const struct h2guard_limits *limits = guard->limits;
    struct h2guard_stats *stats = &guard->stats;

    if (guard->block_stream == 0) {
        refuse(guard, H2GUARD_HEADER_BLOCK);
        return;
    }
    stats->continuations++;
    stats->header_bytes += frame->length;
    if (above(guard, H2GUARD_TOO_MANY_CONTINUATIONS, stats->continuations, limits->max_continuations) ||
        above(guard, H2GUARD_HEADER_TOO_LARGE, stats->header_bytes, limits->max_header_bytes))
        return;
    guard->byte_cost += limits->prices[H2GUARD_ITEM_HEADER_BYTE].cost;
    guard->payload = PAYLOAD_BLOCK;
    guard->padding = 0;
    guard_charge(guard, H2GUARD_ITEM_CONTINUATION);
}

static void on_reset(struct h2guard *guard, const struct frame *frame)
{
    struct stream *stream = stream_table_find(&guard->streams, frame->stream);

    if (!stream && is_idle(guard, frame->stream)) {
        /* RFC 9113 forbids it. But gRPC core as a client does it when a call is cancelled before
         * its HEADERS were sent. */
        guard_charge(guard, H2GUARD_ITEM_STRAY);
        return;
    }
    if (!stream) {
        on_missing(guard);
        return;
    }
    bool is_early = guard->role == H2GUARD_SERVER && !(stream->flags & STREAM_ANSWERED);
    guard->stats.streams_reset_in++;
    guard_stream_close(guard, stream);
    guard_charge(guard, is_early ? H2GUARD_ITEM_EARLY_RESET : H2GUARD_ITEM_RESET);
}

/* One of two items: the first if there is credit for it. */
static void charge_by_credit(struct h2guard *guard, uint32_t *credit, enum h2guard_item with,
                             enum h2guard_item without)
{
    bool has_credit = *credit > 0;

    if (has_credit)
        (*credit)--;
    guard_charge(guard, has_credit ? with : without);
}

/* An acknowledgement of one of our frames, of which `unacked` are not acknowledged. */
static void on_ack(struct h2guard *guard, uint32_t *unacked, enum h2guard_item item)
{
    charge_by_credit(guard, unacked, item, H2GUARD_ITEM_WRONG_ACK);
}

static void count_unanswered(struct h2guard *guard)
{
    uint32_t count = ++guard->stats.unanswered;

    above(guard, H2GUARD_UNANSWERED, count, guard->limits->max_unanswered);
}

static void on_settings(struct h2guard *guard, const struct frame *frame)
{
    bool is_ack = frame->flags & FRAME_ACK;

    if (frame->length % SETTING_BYTES != 0 || (is_ack && frame->length > 0)) {
        refuse(guard, H2GUARD_FRAME_SIZE);
        return;
    }
    if (is_ack) {
        on_ack(guard, &guard->stats.settings_unacked, H2GUARD_ITEM_SETTINGS_ACK);
        guard->settings_ns = 0;
        return;
    }
    count_unanswered(guard);
    guard_charge(guard, H2GUARD_ITEM_SETTINGS);
    guard_charge_many(guard, H2GUARD_ITEM_SETTING, frame->length / SETTING_BYTES);
    if (frame->length > 0)
        guard_charge_many(guard, H2GUARD_ITEM_SETTINGS_STREAM, guard->stats.streams_open);
}

static void on_ping(struct h2guard *guard, const struct frame *frame)
{
    if (frame->flags & FRAME_ACK) {
        on_ack(guard, &guard->stats.pings_unacked, H2GUARD_ITEM_PING_ACK);
        return;
    }
    count_unanswered(guard);
    charge_by_credit(guard, &guard->ping_credit, H2GUARD_ITEM_PING, H2GUARD_ITEM_IDLE_PING);
}

static void on_window_update(struct h2guard *guard, const struct frame *frame)
{
    if (frame->stream != 0 && is_idle(guard, frame->stream))
        refuse(guard, H2GUARD_IDLE_STREAM);
    else
        charge_by_credit(guard, &guard->update_credit, H2GUARD_ITEM_WINDOW_UPDATE, H2GUARD_ITEM_IDLE_UPDATE);
}

/* Whether any type of frame may stand here, as nearly always. */
static bool is_plain(const struct h2guard *guard, const struct frame *frame)
{
    return guard->had_settings && guard->block_stream == 0 && frame->length <= guard->limits->max_frame_bytes;
}

/* Whether a frame of this type may stand here. */
static bool may_follow(struct h2guard *guard, const struct frame *frame)
{
    if (above(guard, H2GUARD_FRAME_TOO_LARGE, frame->length, guard->limits->max_frame_bytes))
        return false;
    if (!LIKELY(guard->had_settings)) {
        guard->had_settings = frame->type == FRAME_SETTINGS && !(frame->flags & FRAME_ACK);
        if (!guard->had_settings)
            refuse(guard, H2GUARD_FIRST_FRAME);
    }
    if (!LIKELY(guard->block_stream == 0) &&
        (frame->type != FRAME_CONTINUATION || frame->stream != guard->block_stream))
        refuse(guard, H2GUARD_HEADER_BLOCK);
    if (LIKELY(frame->type < FRAME_TYPE_COUNT)) {
        const struct form *form = &forms[frame->type];
        if (!(form->place & (frame->stream == 0 ? ON_CONNECTION : ON_STREAM)))
            refuse(guard, H2GUARD_FRAME_STREAM);
        if (frame->length < form->min || frame->length > form->max)
            refuse(guard, H2GUARD_FRAME_SIZE);
    }
    return guard->reason == H2GUARD_NO_REASON;
}

static void on_rare_frame(struct h2guard *guard, const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_PRIORITY:
        guard_charge(guard, H2GUARD_ITEM_PRIORITY);
        break;
    case FRAME_RST_STREAM:
        on_reset(guard, frame);
        break;
    case FRAME_SETTINGS:
        on_settings(guard, frame);
        break;
    case FRAME_PUSH_PROMISE:
        refuse(guard, H2GUARD_PUSH);
        break;
    case FRAME_PING:
        on_ping(guard, frame);
        break;
    case FRAME_GOAWAY:
        guard_charge(guard, H2GUARD_ITEM_GOAWAY);
        break;
    case FRAME_CONTINUATION:
        on_continuation(guard, frame);
        break;
    default:
        guard_charge(guard, H2GUARD_ITEM_UNKNOWN);
        break;
    }
}

void guard_frame_begins(struct h2guard *guard)
{
    const struct frame *frame = &guard->in.frame;

    guard->stats.frames_in++;
    guard->payload = PAYLOAD_SKIPPED;
    guard->byte_cost = guard->limits->prices[H2GUARD_ITEM_BYTE].cost;
    if (LIKELY(frame->type == FRAME_DATA && frame->stream != 0 && is_plain(guard, frame)))
        on_data(guard, frame);
    else if (!may_follow(guard, frame))
        return;
    else if (frame->type == FRAME_WINDOW_UPDATE)
        on_window_update(guard, frame);
    else if (frame->type == FRAME_HEADERS)
        on_headers(guard, frame);
    else
        on_rare_frame(guard, frame);
}

void guard_frame_padding(struct h2guard *guard, uint8_t padding)
{
    const struct frame *frame = &guard->in.frame;
    struct stream *stream = stream_table_find(&guard->streams, frame->stream);

    guard->payload = PAYLOAD_SKIPPED;
    if (padding > guard->in.payload_left) {
        refuse(guard, H2GUARD_PADDING);
    } else if (frame->type == FRAME_DATA && stream) {
        guard->payload = PAYLOAD_DATA;
        guard->padding = padding;
        guard_charge(guard, guard_data_item(guard, stream, guard->in.payload_left - padding));
    } else if (frame->type == FRAME_HEADERS) {
        guard->payload = PAYLOAD_BLOCK;
        guard->padding = padding;
    } else if (frame->type == FRAME_DATA) {
        on_missing(guard); /* we reset the stream while this frame was on its way */
    }
}

void guard_frame_block(struct h2guard *guard, const uint8_t *data, size_t size)
{
    size_t skipped = MIN_OF(size, guard->priority_left);

    guard->priority_left -= (uint32_t)skipped;
    header_block_bytes(&guard->block, data + skipped, size - skipped);
}

/* The header block of a stream is complete. */
static void end_block(struct h2guard *guard)
{
    struct stream *stream = stream_table_find(&guard->streams, guard->block_stream);

    header_block_end(&guard->block);
    if (stream && guard->block.names_encoding)
        stream->flags |= STREAM_ENCODED;
    guard->block_stream = 0;
}

void guard_frame_ends(struct h2guard *guard)
{
    const struct frame *frame = &guard->in.frame;
    bool is_block = frame->type == FRAME_HEADERS || frame->type == FRAME_CONTINUATION;

    if (guard->reason != H2GUARD_NO_REASON) /* it was refused, perhaps because its stream is 0 */
        return;
    if (is_block && (frame->flags & FRAME_END_HEADERS))
        end_block(guard);
    if (frame->type <= FRAME_HEADERS && (frame->flags & FRAME_END_STREAM)) {
        struct stream *stream = stream_table_find(&guard->streams, frame->stream);
        if (stream)
            guard_stream_half_close(guard, stream, STREAM_PEER_ENDED);
    }
}
