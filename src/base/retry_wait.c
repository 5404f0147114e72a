/* retry_wait.c - see retry_wait.h. */
#include "base/retry_wait.h"

#include "base/base.h"

/* splitmix64 (Vigna) */
static uint64_t random_below(uint64_t *state, uint64_t bound)
{
    uint64_t word = *state += UINT64_C(0x9e3779b97f4a7c15);

    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (word ^ (word >> 31)) % bound;
}

int64_t retry_wait_ns(int64_t first_ns, int64_t max_ns, uint32_t failures, uint64_t *random)
{
    int64_t wait_ns = first_ns;

    for (uint32_t i = 1; i < failures && wait_ns < max_ns; i++)
        wait_ns *= 2;
    wait_ns = MIN_OF(wait_ns, max_ns);
    return wait_ns - (int64_t)random_below(random, (uint64_t)wait_ns / 4);
}
