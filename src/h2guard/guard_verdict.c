/* guard_verdict.c - ends a connection, and says why. */
#include "h2guard/guard_verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

static const enum h2guard_reason waste_reasons[H2GUARD_ITEM_COUNT] = {
#define ITEM(id, cost, waste, reason) [H2GUARD_ITEM_##id] = H2GUARD_##reason,
#include "h2guard/h2guard_item.def"
#undef ITEM
};

void guard_end(struct h2guard *guard, enum h2guard_reason reason, uint32_t stream, uint64_t value,
               uint64_t bound)
{
    if (guard->reason != H2GUARD_NO_REASON)
        return;
    guard_add_up(guard);
    guard->reason = reason;
    guard->end_stream = stream;
    guard->end_value = value;
    guard->end_bound = bound;
    guard->left = 0;
    guard->given = 0;
    atomic_fetch_add_explicit(&guard->counters->ends[reason], 1, memory_order_relaxed);
}

void guard_waste(struct h2guard *guard, enum h2guard_item item, uint64_t points)
{
    guard->stats.total.waste += points;
    guard->waste.level -= (int64_t)points;
    if (guard->waste.level < 0) {
        uint64_t bound = (uint64_t)guard->limits->waste_burst;
        uint64_t used = bound + (uint64_t)-guard->waste.level;
        guard_end(guard, waste_reasons[item], guard->in.frame.stream, used, bound);
    }
}

void guard_add_up(struct h2guard *guard)
{
    int64_t used = guard->given - guard->left;

    guard->stats.total.cost += (uint64_t)used;
    guard->budget.level -= used;
    guard->turn_left -= used;
    guard->given = guard->left;
}

static bool is_flood(enum h2guard_reason reason)
{
    return reason >= H2GUARD_FLOOD_EMPTY_DATA && reason <= H2GUARD_FLOOD_OTHER;
}

size_t h2guard_explain(const struct h2guard *guard, char *text, size_t capacity)
{
    char bound[64] = "";
    char stream[32] = "";

    if (guard->end_bound > 0)
        snprintf(bound, sizeof(bound), ": %s%" PRIu64 ", at most %" PRIu64,
                 is_flood(guard->reason) ? "waste " : "", guard->end_value, guard->end_bound);
    if (guard->end_stream > 0)
        snprintf(stream, sizeof(stream), " (stream %" PRIu32 ")", guard->end_stream);
    int size = snprintf(text, capacity, "%s%s%s", h2guard_reason_text(guard->reason), bound, stream);
    return MIN_OF((size_t)size, capacity - 1);
}

size_t h2guard_explain_core(const struct h2guard *guard, char *text, size_t capacity)
{
    uint32_t code = guard->stats.goaway_code;
    int size = snprintf(text, capacity, "%s: HTTP/2 error code %" PRIu32 ", %s",
                        h2guard_reason_text(H2GUARD_BY_CORE), code, nghttp2_http2_strerror(code));
    return MIN_OF((size_t)size, capacity - 1);
}

size_t h2guard_goaway(const struct h2guard *guard, uint8_t frame[MAX_H2GUARD_GOAWAY])
{
    const char *name = h2guard_reason_name(guard->reason);
    size_t size = MIN_OF(strlen(name), MAX_H2GUARD_GOAWAY - FRAME_HEAD_BYTES - 8);
    uint8_t *data = frame_write_u32(frame, (uint32_t)(8 + size) << 8 | FRAME_GOAWAY);

    *data++ = 0;
    data = frame_write_u32(data, 0);
    data = frame_write_u32(data, guard->role == H2GUARD_SERVER ? guard->last_stream : 0);
    data = frame_write_u32(data, h2guard_reason_code(guard->reason));
    memcpy(data, name, size);
    return FRAME_HEAD_BYTES + 8 + size;
}
