/* backoff.c - exponential backoff with jitter. */
#include "client/lib/core/backoff.h"

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

int64_t backoff_ns(int64_t base_ns, int64_t cap_ns, uint32_t attempt, uint64_t random)
{
    int64_t whole = base_ns < cap_ns ? base_ns : cap_ns;

    for (uint32_t i = 0; i < attempt && whole < cap_ns; i++)
        whole = whole > cap_ns / 2 ? cap_ns : whole * 2;

    const int64_t half = whole / 2;

    return whole - (int64_t)(random % ((uint64_t)half + 1));
}
