/* progress.c - see progress.h. */
#include "server/rpc/progress.h"

#include "base/clock.h"
#include "event/encode.h"
#include "event/field_write.h"
#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "hub/positions.h"
#include "proto/field_numbers.h"
#include "server/rpc/token.h"

#define MAX_POSITIONS 1000 /* in one Progress */

/* The least time between two walks for positions of filtered events, and between two tokens that
 * are due because sources ended. */
#define SELDOM_NS (5 * NS_PER_S)

static void write_position(void *ctx, const struct source *source, uint64_t sequence)
{
    position_write(ctx, source, sequence);
}

void progress_token_due(struct progress *progress)
{
    progress->moved = progress->due = true;
}

void progress_write_token(struct progress *progress, struct subscription *subscription, uint32_t field,
                          struct buf *block)
{
    OWNED(buf_fini) struct buf token = {0};
    struct token_writer writer;

    token_begin(&writer, &token, MAX_TOKEN_BYTES);
    const uint64_t left_out = hub_positions(subscription, token_position, &writer);

    if (left_out == POSITIONS_UNKNOWN) {
        progress_token_due(progress);
        return;
    }
    token_end(&writer, left_out);
    field_bytes(block, field, (struct bytes){token.data, token.size});
    progress->token_at_ns = clock_mono_ns();
    progress->moved = progress->due = false;
}

void closing_write(struct progress *progress, struct subscription *subscription, enum closing reason,
                   int64_t deadline_ns, struct buf *block)
{
    const int64_t deadline_wall_ns = clock_wall_ns() + deadline_ns - clock_mono_ns();
    OWNED(buf_fini) struct buf body = {0};

    field_varint(&body, PB_CLOSING_REASON, reason);
    field_fixed64(&body, PB_CLOSING_DEADLINE_UNIX_NANO, (uint64_t)deadline_wall_ns);
    progress_write_token(progress, subscription, PB_CLOSING_RESUME_TOKEN, &body);
    field_message(block, PB_EVENT_BATCH_CLOSING, &body);
}

/* Writes a token if a small one has space for every source. */
static bool write_small_token(struct progress *progress, struct subscription *subscription, uint32_t field,
                              struct buf *block)
{
    OWNED(buf_fini) struct buf token = {0};
    struct token_writer writer;

    token_begin(&writer, &token, SMALL_TOKEN_BYTES);
    if (hub_positions(subscription, token_position_whole, &writer) > 0 || writer.left_out > 0)
        return false;
    token_end(&writer, 0);
    field_bytes(block, field, (struct bytes){token.data, token.size});
    progress->moved = progress->due = false;
    return true;
}

static bool token_is_due(const struct progress *progress, bool last, int64_t now_ns)
{
    return progress->moved &&
           (last || progress->due || now_ns - progress->token_at_ns >= progress->interval_ns);
}

/* Returns how many positions there were. */
static uint32_t write_positions(struct progress *progress, struct subscription *subscription,
                                struct chan *chan, bool last, int64_t now_ns, struct buf *body)
{
    uint32_t moved = chan_positions(chan, MAX_POSITIONS, write_position, body);

    if (!last && now_ns < progress->filtered_at_ns + SELDOM_NS)
        return moved;
    progress->filtered_at_ns = now_ns;
    return moved + hub_filtered_positions(subscription, MAX_POSITIONS - moved, write_position, body);
}

/* A source that ended is in earlier tokens. Who resumes with one of these is told that it is gone,
 * whether that was reported already or not. */
static void check_ended(struct progress *progress, uint64_t ended_sources, bool last, int64_t now_ns)
{
    if (ended_sources == progress->ended_sources || (!last && now_ns < progress->ended_at_ns + SELDOM_NS))
        return;
    progress->ended_sources = ended_sources;
    progress->ended_at_ns = now_ns;
    progress_token_due(progress);
}

void progress_write(struct progress *progress, struct subscription *subscription, struct chan *chan,
                    bool last, struct buf *block)
{
    const int64_t now_ns = clock_mono_ns();
    OWNED(buf_fini) struct buf body = {0};
    struct chan_stats stats;

    chan_stats(chan, &stats);
    uint64_t lost = chan_dropped(&stats).events;
    uint32_t moved = write_positions(progress, subscription, chan, last, now_ns, &body);
    progress->moved = progress->moved || moved > 0;
    check_ended(progress, stats.ended_sources, last, now_ns);
    if (moved == 0 && stats.delivered.events == progress->delivered && lost == progress->lost &&
        !token_is_due(progress, last, now_ns))
        return;
    progress->delivered = stats.delivered.events;
    progress->lost = lost;
    if (!write_small_token(progress, subscription, PB_PROGRESS_RESUME_TOKEN, &body) &&
        token_is_due(progress, last, now_ns))
        progress_write_token(progress, subscription, PB_PROGRESS_RESUME_TOKEN, &body);
    field_varint(&body, PB_PROGRESS_DELIVERED, stats.delivered.events);
    field_varint(&body, PB_PROGRESS_LOST, lost);
    field_message(block, PB_EVENT_BATCH_PROGRESS, &body);
}
