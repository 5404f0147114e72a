/* guard_stream.c - opens and closes streams. */
#include "h2guard/guard_stream.h"
#include "h2guard/guard_verdict.h"

enum err guard_stream_open(struct h2guard *guard, uint32_t id, uint8_t flags)
{
    struct h2guard_stats *stats = &guard->stats;
    struct stream *stream = NULL;
    enum err err = stream_table_add(&guard->streams, id, &stream);

    if (err != ERR_OK) {
        uint32_t bound = guard->limits->max_streams;
        bool full = err == ERR_FULL;
        guard_end(guard, full ? H2GUARD_TOO_MANY_STREAMS : H2GUARD_NO_MEMORY, id, full ? bound + 1 : 0,
                  full ? bound : 0);
        return err;
    }
    stream->flags = flags;
    guard->last_stream = id;
    stats->streams_opened++;
    stats->streams_open++;
    stats->streams_open_max = MAX_OF(stats->streams_open_max, stats->streams_open);
    return ERR_OK;
}

void guard_stream_close(struct h2guard *guard, struct stream *stream)
{
    guard->stats.unfinished_bytes -= stream->message_got;
    guard->stats.unread_bytes -= (uint64_t)MAX_OF(stream->unread, 0);
    guard->stats.streams_open--;
    stream_table_remove(&guard->streams, stream);
}

void guard_stream_half_close(struct h2guard *guard, struct stream *stream, enum stream_flag side)
{
    const unsigned both = STREAM_PEER_ENDED | STREAM_WE_ENDED;

    stream->flags = (uint8_t)(stream->flags | side);
    if ((stream->flags & both) == both)
        guard_stream_close(guard, stream);
}
