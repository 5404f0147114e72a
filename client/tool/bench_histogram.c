/* bench_histogram.c - merges histograms, and reads quantiles. */
#include "client/tool/bench_histogram.h"

#include "base/base.h"

void histogram_merge(struct histogram *into, const struct histogram *other)
{
    for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
        into->slots[i] += other->slots[i];
    into->count += other->count;
    into->max = MAX_OF(into->max, other->max);
}

void histogram_bounds(size_t slot, uint64_t *min_out, uint64_t *max_out)
{
    const size_t shift = slot < 128 ? 0 : slot / 64 - 1;

    *min_out = (uint64_t)(slot - shift * 64) << shift;
    *max_out = *min_out + (UINT64_C(1) << shift) - 1;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    const double exactly = share * (double)histogram->count;
    const uint64_t below = (uint64_t)exactly;
    const uint64_t rank = MAX_OF(below + (exactly > (double)below ? 1 : 0), 1);
    uint64_t seen = 0;
    uint64_t min = 0;
    uint64_t max = 0;

    for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        seen += histogram->slots[i];
        if (seen >= rank) {
            histogram_bounds(i, &min, &max);
            return MIN_OF(max, histogram->max);
        }
    }
    return histogram->max;
}
