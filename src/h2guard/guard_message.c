/* guard_message.c - the gRPC messages inside of DATA. Each begins with a flag and its length: 1
 * and 4 bytes. A message may be cut anywhere by frames, and a frame may hold many messages. */
#include "h2guard/guard_message.h"
#include "h2guard/guard_verdict.h"

static void check_flag(struct h2guard *guard, const struct stream *stream, uint8_t flag)
{
    if (LIKELY(flag == 0))
        return;
    if (flag > 1)
        guard_end(guard, H2GUARD_MESSAGE_FLAG, stream->id, 0, 0);
    else if (!guard->limits->allow_compressed && !(stream->flags & STREAM_ENCODED))
        guard_end(guard, H2GUARD_COMPRESSED, stream->id, 0, 0);
}

/* The prefix is complete: message_left is the length. */
static void begin_message(struct h2guard *guard, struct stream *stream)
{
    uint32_t max = guard->limits->max_message_bytes;
    bool is_first = !(stream->flags & STREAM_HAD_MESSAGE);

    if (!LIKELY(stream->message_left <= max)) {
        guard_end(guard, H2GUARD_MESSAGE_TOO_LARGE, stream->id, stream->message_left, max);
        return;
    }
    stream->flags |= STREAM_HAD_MESSAGE;
    if (LIKELY(stream->message_left > 0)) {
        guard_charge(guard, H2GUARD_ITEM_MESSAGE);
        return;
    }
    guard_charge(guard, is_first ? H2GUARD_ITEM_MESSAGE : H2GUARD_ITEM_EMPTY_MESSAGE);
    stream->prefix_size = 0;
}

/* Reads one byte of a prefix, or all five where they are there and all of them pass. */
static size_t read_prefix(struct h2guard *guard, struct stream *stream, const uint8_t *data, size_t size)
{
    bool is_whole = stream->prefix_size == 0 && size >= MESSAGE_PREFIX_BYTES &&
                    guard->left > (int64_t)(MESSAGE_PREFIX_BYTES - 1) * guard->byte_cost;
    size_t used = 1;

    if (LIKELY(is_whole)) {
        uint32_t length;
        memcpy(&length, data + 1, sizeof(length));
        used = MESSAGE_PREFIX_BYTES;
        guard->left -= (int64_t)used * guard->byte_cost;
        check_flag(guard, stream, data[0]);
        stream->message_left = __builtin_bswap32(length);
    } else {
        guard->left -= guard->byte_cost;
        if (stream->prefix_size == 0)
            check_flag(guard, stream, data[0]);
        else
            stream->message_left = stream->message_left << 8 | data[0]; /* 0 between messages */
    }
    guard->in.payload_left -= (uint32_t)used;
    stream->prefix_size = (uint8_t)(stream->prefix_size + used);
    if (stream->prefix_size == MESSAGE_PREFIX_BYTES)
        begin_message(guard, stream);
    return used;
}

static size_t read_content(struct h2guard *guard, struct stream *stream, size_t size)
{
    struct h2guard_stats *stats = &guard->stats;
    uint32_t used = (uint32_t)guard_spend_bytes(guard, MIN_OF(size, stream->message_left));

    stream->message_left -= used;
    stream->message_got += used;
    stats->unfinished_bytes += used;
    if (!LIKELY(stats->unfinished_bytes <= guard->limits->max_unfinished_bytes))
        guard_end(guard, H2GUARD_UNFINISHED, stream->id, stats->unfinished_bytes,
                  guard->limits->max_unfinished_bytes);
    if (stream->message_left == 0) {
        stats->unfinished_bytes -= stream->message_got;
        stream->message_got = 0;
        stream->prefix_size = 0;
    }
    return used;
}

size_t guard_walk_messages(struct h2guard *guard, const uint8_t *data, size_t size)
{
    struct stream *stream = stream_table_find(&guard->streams, guard->in.frame.stream);
    size_t done = 0;

    if (!stream) { /* we reset it while this frame was on its way */
        guard->payload = PAYLOAD_SKIPPED;
        return 0;
    }
    while (done < size && guard->left > 0) {
        if (stream->prefix_size == MESSAGE_PREFIX_BYTES)
            done += read_content(guard, stream, size - done);
        else
            done += read_prefix(guard, stream, data + done, size - done);
    }
    return done;
}
