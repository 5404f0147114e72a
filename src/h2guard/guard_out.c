/* guard_out.c - walks the bytes to the peer, which the core made and nobody refuses. They say which
 * streams we opened, answered and ended, what of the peer's we have acknowledged, how much more
 * DATA the core takes, and with which code it ends the connection. */
#include "h2guard/guard_stream.h"
#include "h2guard/guard_window.h"

/* Of a GOAWAY: the last stream and the error code. */
#define GOAWAY_FIXED_BYTES 8u
#define UPDATE_BYTES 4u

static void add_credit(uint32_t *credit, uint32_t by, uint32_t max)
{
    *credit = (uint32_t)MIN_OF((uint64_t)*credit + by, max);
}

static void on_answer(struct h2guard *guard, const struct frame *frame)
{
    struct stream *stream = stream_table_find(&guard->streams, frame->stream);

    add_credit(&guard->ping_credit, 1, guard->limits->max_pings);
    if (frame->type == FRAME_DATA)
        add_credit(&guard->update_credit, guard->limits->updates_per_data, guard->limits->max_updates);
    if (!stream && guard->role == H2GUARD_CLIENT && frame->type == FRAME_HEADERS &&
        frame->stream > guard->last_stream && guard_stream_open(guard, frame->stream, 0) == ERR_OK)
        stream = stream_table_find(&guard->streams, frame->stream);
    if (!stream)
        return;
    stream->flags |= STREAM_ANSWERED;
    if (frame->flags & FRAME_END_STREAM)
        guard_stream_half_close(guard, stream, STREAM_WE_ENDED);
}

static void on_reset(struct h2guard *guard, const struct frame *frame)
{
    struct stream *stream = stream_table_find(&guard->streams, frame->stream);

    if (!stream)
        return;
    if (!(stream->flags & STREAM_PEER_ENDED))
        guard->late_credit = guard->limits->late_frames;
    guard->stats.streams_reset_out++;
    guard_stream_close(guard, stream);
}

/* Reads bytes of a GOAWAY's payload, which may come in pieces, and notes its error code. */
static NOINLINE void read_goaway(struct h2guard *guard, const uint8_t *data, size_t size)
{
    uint32_t at = guard->out.frame.length - guard->out.payload_left;

    for (size_t i = 0; i < size && at < GOAWAY_FIXED_BYTES; i++) {
        guard->goaway_word = guard->goaway_word << 8 | data[i];
        if (++at < GOAWAY_FIXED_BYTES)
            continue;
        if (guard->stats.goaway_code == 0 && guard->goaway_word != 0)
            atomic_fetch_add_explicit(&guard->counters->ends[H2GUARD_BY_CORE], 1, memory_order_relaxed);
        guard->stats.goaway_code = guard->goaway_word;
        guard->stats.goaways_out++;
    }
}

/* The core takes so many bytes more. On the connection a frame that was held back may fit now. On a
 * stream somebody has read as many, or is about to. */
static void on_update(struct h2guard *guard, uint32_t stream_id, uint32_t bytes)
{
    struct stream *stream = stream_id != 0 ? stream_table_find(&guard->streams, stream_id) : NULL;

    if (stream)
        guard_stream_add_unread(guard, stream, -(int64_t)bytes);
    if (stream_id == 0)
        guard_window_announce(&guard->window, bytes);
}

/* Reads bytes of a WINDOW_UPDATE's payload, which may come in pieces. */
static void read_update(struct h2guard *guard, const uint8_t *data, size_t size)
{
    uint32_t at = guard->out.frame.length - guard->out.payload_left;

    for (size_t i = 0; i < size && at < UPDATE_BYTES; i++) {
        guard->update_word = guard->update_word << 8 | data[i];
        if (++at < UPDATE_BYTES)
            continue;
        on_update(guard, guard->out.frame.stream, guard->update_word & INT32_MAX);
    }
}

/* Reads bytes of a payload that says something. */
static void read_payload(struct h2guard *guard, const uint8_t *data, size_t size)
{
    const struct frame *frame = &guard->out.frame;

    if (!LIKELY(frame->type != FRAME_GOAWAY))
        read_goaway(guard, data, size);
    else if (frame->type == FRAME_WINDOW_UPDATE)
        read_update(guard, data, size);
}

static void answered_one(struct h2guard *guard)
{
    if (guard->stats.unanswered > 0)
        guard->stats.unanswered--;
}

static void on_frame(struct h2guard *guard, const struct frame *frame)
{
    bool is_ack = frame->flags & FRAME_ACK;

    guard->stats.frames_out++;
    switch (frame->type) {
    case FRAME_DATA:
    case FRAME_HEADERS:
        if (frame->stream != 0)
            on_answer(guard, frame);
        break;
    case FRAME_RST_STREAM:
        if (frame->stream != 0)
            on_reset(guard, frame);
        break;
    case FRAME_SETTINGS:
        if (is_ack)
            answered_one(guard);
        else
            guard->stats.settings_unacked++;
        break;
    case FRAME_PING:
        if (is_ack)
            answered_one(guard);
        else
            guard->stats.pings_unacked++;
        break;
    default:
        break;
    }
}

/* Reads bytes of the preface, or of a frame header that comes in pieces. Returns how many. A wrong
 * preface is the core's own matter. */
static NOINLINE size_t read_piece(struct h2guard *guard, const uint8_t *data, size_t size)
{
    struct frame_reader *reader = &guard->out;
    size_t used = 0;

    switch (frame_reader_next(reader, data, size, &used)) {
    case FRAME_BEGINS:
        on_frame(guard, &reader->frame);
        break;
    case FRAME_WRONG_PREFACE:
        reader->preface_left = (uint8_t)(reader->preface_left - used);
        break;
    case FRAME_NEEDS_MORE:
        break;
    }
    return used;
}

void h2guard_out(struct h2guard *guard, struct bytes bytes)
{
    struct frame_reader *reader = &guard->out;
    size_t done = 0;

    guard->stats.bytes_out += bytes.size;
    while (done < bytes.size) {
        const uint8_t *data = bytes.data + done;
        size_t size = bytes.size - done;
        if (reader->payload_left > 0) {
            size = MIN_OF(size, reader->payload_left);
            read_payload(guard, data, size);
            reader->payload_left -= (uint32_t)size;
            done += size;
        } else if (LIKELY(frame_reader_whole_head(reader, data, size))) {
            done += FRAME_HEAD_BYTES;
            on_frame(guard, &reader->frame);
        } else {
            done += read_piece(guard, data, size);
        }
    }
}

bool h2guard_out_is_whole(const struct h2guard *guard)
{
    return frame_reader_is_whole(&guard->out);
}
