/* backoff.h - how long to wait before a retry. */
#ifndef TRIBUTARY_CLIENT_BACKOFF_H
#define TRIBUTARY_CLIENT_BACKOFF_H

#include <stdint.h>

/* Returns a time in [whole / 2, whole], where whole = min(cap, base * 2^attempt). `random` is
 * any 64 random bits; it chooses the time, so that many clients do not come back at the same
 * moment. */
int64_t backoff_ns(int64_t base_ns, int64_t cap_ns, uint32_t attempt, uint64_t random);

/* Returns the next number of a random sequence (xorshift64*). *state must not be 0. Not for
 * secrets. */
uint64_t random_next(uint64_t *state);

#endif
