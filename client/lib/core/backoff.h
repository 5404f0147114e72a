/* backoff.h - how long to pause before trying again. */
#ifndef TRIBUTARY_CLIENT_BACKOFF_H
#define TRIBUTARY_CLIENT_BACKOFF_H

#include <stdint.h>

/* base * 2^attempt, at most `cap`, shortened at random by up to a half, so that many clients do not
 * come back at the same moment. The answer lies in [whole / 2, whole], where whole = min(cap, base
 * * 2^attempt). `random` is any 64 random bits. */
int64_t backoff_ns(int64_t base_ns, int64_t cap_ns, uint32_t attempt, uint64_t random);

/* The next of a row of random numbers (xorshift64*); *state must not be 0. Not for secrets. */
uint64_t random_next(uint64_t *state);

#endif
