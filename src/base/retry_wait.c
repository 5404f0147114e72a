/* retry_wait.c - see retry_wait.h. */
#include "base/retry_wait.h"

#include "base/base.h"
#include "base/splitmix.h"

int64_t retry_wait_ns(int64_t first_ns, int64_t max_ns, uint32_t failures, uint64_t *random)
{
    int64_t wait_ns = first_ns;

    for (uint32_t i = 1; i < failures && wait_ns < max_ns; i++)
        wait_ns *= 2;
    wait_ns = MIN_OF(wait_ns, max_ns);
    return wait_ns - (int64_t)(splitmix64(random) % ((uint64_t)wait_ns / 4));
}
