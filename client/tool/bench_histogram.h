/* bench_histogram.h - counts how often each duration occurred, from 1 ns to 73 minutes, to within
 * 1.6 %. One thread; the size is fixed. */
#ifndef TRIBUTARY_TOOL_BENCH_HISTOGRAM_H
#define TRIBUTARY_TOOL_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BITS 42u /* of the largest value; larger ones count as the largest */
#define HISTOGRAM_SLOTS 2368u

/* DESIGN. Each power of two is divided into 64 slots of equal width. The upper seven bits of a
 * value and the number of bits below them give its slot. */
struct histogram {
    uint64_t slots[HISTOGRAM_SLOTS];
    uint64_t count;
    uint64_t max; /* exact, not rounded to a slot */
};

static inline size_t histogram_slot(uint64_t value)
{
    const unsigned shift = value < 128 ? 0 : 57u - (unsigned)__builtin_clzll(value);

    return (size_t)shift * 64 + (size_t)(value >> shift);
}

/* Counts one value. A value below 0 counts as 0. */
static inline void histogram_add(struct histogram *histogram, int64_t value)
{
    const uint64_t max = (UINT64_C(1) << HISTOGRAM_BITS) - 1;
    const uint64_t seen = value < 0 ? 0 : (uint64_t)value > max ? max : (uint64_t)value;

    histogram->slots[histogram_slot(seen)]++;
    histogram->count++;
    if (seen > histogram->max)
        histogram->max = seen;
}

/* Adds the counts of `other` to `into`. */
void histogram_merge(struct histogram *into, const struct histogram *other);

/* Gives the smallest and the largest value of a slot. */
void histogram_bounds(size_t slot, uint64_t *min_out, uint64_t *max_out);

/* The value that a share (0 to 1) of all values do not exceed, rounded up to the end of its slot. 0
 * for an empty histogram. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
