/* splitmix.h - random numbers that a seed repeats: splitmix64 (Vigna). They keep no secret.
 *
 * Threads: the caller's. */
#ifndef TRIBUTARY_BASE_SPLITMIX_H
#define TRIBUTARY_BASE_SPLITMIX_H

#include <stdint.h>

/* The next number. Any state is a seed. */
static inline uint64_t splitmix64(uint64_t *state)
{
    uint64_t word = *state += UINT64_C(0x9e3779b97f4a7c15);

    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

#endif
