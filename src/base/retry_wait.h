/* retry_wait.h - how long to wait before something that failed is tried again.
 *
 * Threads: any; a random state belongs to one at a time. */
#ifndef TRIBUTARY_BASE_RETRY_WAIT_H
#define TRIBUTARY_BASE_RETRY_WAIT_H

#include <stdint.h>

#include "base/clock.h"

/* What worked for so long makes earlier failures forgotten. */
#define RETRY_FORGIVEN_NS (60 * NS_PER_S)

/* `first_ns` after the first failure, and twice as long after each further one, up to `max_ns`; of
 * that up to a quarter less at random, so that those which failed together do not come back
 * together. `failures`: in a row, this one included; 0 counts as 1. Both times are at least 4 ns.
 * *random: any number at first. */
int64_t retry_wait_ns(int64_t first_ns, int64_t max_ns, uint32_t failures, uint64_t *random);

#endif
