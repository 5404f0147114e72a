/* histogram.c - adds durations to buckets, and reads shares. */
#include "bench/histogram.h"

enum { FINE = 1 << HISTOGRAM_FINE_BITS };

static size_t bucket_of(uint64_t ns)
{
    if (ns < FINE)
        return ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_FINE_BITS;
    size_t bucket = ((size_t)shift << HISTOGRAM_FINE_BITS) + (ns >> shift);
    return MIN_OF(bucket, (size_t)HISTOGRAM_BUCKETS - 1);
}

/* The middle of the durations that a bucket holds. */
static uint64_t middle_of(size_t bucket)
{
    if (bucket < 2 * FINE)
        return bucket;
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_FINE_BITS) - 1;
    uint64_t min = (uint64_t)((bucket & (FINE - 1)) + FINE) << shift;
    return min + (UINT64_C(1) << shift) / 2;
}

void histogram_add(struct histogram *histogram, uint64_t ns, uint64_t count)
{
    histogram->buckets[bucket_of(ns)] += count;
    histogram->count += count;
    histogram->max_ns = MAX_OF(histogram->max_ns, ns);
}

uint64_t histogram_share_ns(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count), seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS && histogram->count; i++) {
        seen += histogram->buckets[i];
        if (seen > wanted || seen == histogram->count)
            return MIN_OF(middle_of(i), histogram->max_ns);
    }
    return 0;
}
