/* window_state.c - see window_state.h. */
#include "group/window_state.h"

#include <endian.h>
#include <xxhash.h>

#include "event/varint.h"
#include "group/group_options.h"

#define VERSION 1u
#define HASH_BYTES 8u

static void put(struct buf *buf, uint64_t value)
{
    uint8_t bytes[MAX_VARINT_BYTES];

    buf_bytes(buf, bytes, varint_write(bytes, value));
}

static bool is_finished(const struct slot *slot)
{
    return slot->state == EVENT_SETTLED || slot->state == EVENT_COMMITTING;
}

struct range {
    uint64_t first, end; /* `end`: the position after the last one */
};

/* The next range of finished events from a position on. False: there is none. */
static bool next_range(const struct window *window, uint64_t from, struct range *range_out)
{
    while (from <= window->top && !is_finished(window_slot(window, from)))
        from++;
    if (from > window->top)
        return false;
    range_out->first = from;
    while (from <= window->top && is_finished(window_slot(window, from)))
        from++;
    range_out->end = from;
    return true;
}

/* What a store is to know: the counts of the events up to `end`, and how many ranges. */
struct summary {
    uint64_t floor, counts[OUTCOMES], ranges;
};

static void count_slots(const struct window *window, struct range range, uint64_t sign, uint8_t state,
                        struct summary *summary)
{
    for (uint64_t at = range.first; at < range.end; at++) {
        const struct slot *slot = window_slot(window, at);

        if (slot->state == state && slot->outcome < OUTCOMES)
            summary->counts[slot->outcome] += sign;
    }
}

static void summarize(const struct window *window, const uint64_t counts[OUTCOMES], uint32_t max_ranges,
                      struct summary *summary)
{
    struct range range = {0, window->floor + 1};

    *summary = (struct summary){.floor = window->floor};
    memcpy(summary->counts, counts, sizeof(summary->counts));
    while (next_range(window, range.end, &range)) {
        if (range.first == window->floor + 1) {
            summary->floor = range.end - 1;
            count_slots(window, range, 1, EVENT_COMMITTING, summary);
        } else if (summary->ranges < max_ranges) {
            summary->ranges++;
            count_slots(window, range, 1, EVENT_COMMITTING, summary);
        } else {
            count_slots(window, range, UINT64_MAX, EVENT_SETTLED, summary);
        }
    }
}

uint64_t window_state_encode(const struct window *window, const uint64_t counts[OUTCOMES],
                             uint32_t max_ranges, struct buf *buf)
{
    const size_t begin = buf->size;
    struct summary summary;
    struct range range = {0, 0};

    summarize(window, counts, max_ranges, &summary);
    buf_byte(buf, VERSION);
    put(buf, summary.floor);
    for (unsigned i = 0; i < OUTCOMES; i++)
        put(buf, summary.counts[i]);
    put(buf, summary.ranges);
    range.end = summary.floor + 1;
    for (uint64_t left = summary.ranges; left > 0; left--) {
        const uint64_t before = range.end;

        CHECK(next_range(window, before, &range));
        put(buf, range.first - before);
        put(buf, range.end - range.first);
    }
    if (!buf->broken) {
        const uint64_t hash = htole64(XXH3_64bits(buf->data + begin, buf->size - begin));

        buf_bytes(buf, &hash, sizeof(hash));
    }
    return summary.floor;
}

/* The bytes that are not read yet. */
struct reading {
    const uint8_t *next, *end;
};

static bool get(struct reading *reading, uint64_t *value_out)
{
    const size_t size = varint_read(reading->next, reading->end, value_out);

    reading->next += size;
    return size > 0;
}

/* One more range after `*end`, the position after the last one. */
static bool get_range(struct reading *reading, uint64_t floor, uint64_t *end, struct range *range_out)
{
    uint64_t before = 0, count = 0;

    if (!get(reading, &before) || !get(reading, &count) || before == 0 || count == 0 ||
        before > MAX_GROUP_WINDOW || count > MAX_GROUP_WINDOW ||
        *end + before + count - 1 - floor > MAX_GROUP_WINDOW)
        return false;
    range_out->first = *end + before;
    range_out->end = *end = range_out->first + count;
    return true;
}

/* Reads all but the ranges, and checks these. */
static bool get_summary(struct reading *reading, struct summary *summary, uint64_t *end_out)
{
    struct reading ranges;
    struct range range;

    if (!get(reading, &summary->floor) || summary->floor > UINT64_MAX - 2 * MAX_GROUP_WINDOW)
        return false;
    for (unsigned i = 0; i < OUTCOMES; i++)
        if (!get(reading, &summary->counts[i]) || summary->counts[i] > INT64_MAX / OUTCOMES)
            return false;
    if (!get(reading, &summary->ranges) || summary->ranges > MAX_GROUP_WINDOW)
        return false;
    ranges = *reading;
    *end_out = summary->floor + 1;
    for (uint64_t i = 0; i < summary->ranges; i++)
        if (!get_range(&ranges, summary->floor, end_out, &range))
            return false;
    return ranges.next == ranges.end;
}

enum err window_state_decode(struct window *window, uint64_t counts_out[OUTCOMES], struct bytes state)
{
    struct summary summary;
    struct reading reading;
    struct range range;
    uint64_t hash = 0, end = 0;

    if (state.size < 1 + HASH_BYTES || state.data[0] != VERSION)
        return ERR_INVALID;
    reading = (struct reading){state.data + 1, state.data + state.size - HASH_BYTES};
    memcpy(&hash, reading.end, sizeof(hash));
    if (le64toh(hash) != XXH3_64bits(state.data, state.size - HASH_BYTES) ||
        !get_summary(&reading, &summary, &end))
        return ERR_INVALID;
    const uint64_t before = window->floor;

    window_reset(window, summary.floor);
    if (end > summary.floor + 1 && window_reserve(window, end - 1)) {
        window_reset(window, before);
        return ERR_NO_MEMORY;
    }
    end = summary.floor + 1;
    for (uint64_t i = 0; i < summary.ranges; i++) {
        CHECK(get_range(&reading, summary.floor, &end, &range));
        for (uint64_t at = range.first; at < range.end; at++)
            window_settle(window, at, OUTCOME_FOREIGN);
    }
    memcpy(counts_out, summary.counts, sizeof(summary.counts));
    return ERR_OK;
}
