/* histogram.h - durations in buckets that grow with them: 128 to each power of two, so no answer is
 * off by more than 1 %.
 *
 * Lives in shared memory: one process adds, another reads when that one has stopped. */
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
    /* up to 2^41 ns, over half an hour; the last one takes what is beyond */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns, uint64_t count);
/* The duration that a share of all (0 to 1) does not exceed; 0 where nothing was added. */
uint64_t histogram_share_ns(const struct histogram *histogram, double share);

#endif
