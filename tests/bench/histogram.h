/* histogram.h - counts durations in buckets. Each power of two has 128 buckets, so no answer is off
 * by more than 1 %.
 *
 * A histogram lives in shared memory: one process adds, and another reads after that one has
 * stopped. */
#ifndef TRIBUTARY_TESTS_HISTOGRAM_H
#define TRIBUTARY_TESTS_HISTOGRAM_H

#include "base/base.h"

enum {
    HISTOGRAM_FINE_BITS = 7,
    HISTOGRAM_POWERS = 34,
    HISTOGRAM_BUCKETS = (HISTOGRAM_POWERS + 1) << HISTOGRAM_FINE_BITS
};

struct histogram {
    uint64_t count;
    uint64_t max_ns;
    /* Up to 2^41 ns, over half an hour; the last bucket holds everything beyond. */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns, uint64_t count);
/* The duration that a share (0 to 1) of all durations does not exceed; 0: none was added. */
uint64_t histogram_share_ns(const struct histogram *histogram, double share);

#endif
