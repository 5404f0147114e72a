/* text_hash.c - the secret. */
#include "event/text_hash.h"

#include <stdatomic.h>

uint64_t text_hash_secret(void)
{
    static _Atomic uint64_t secret; /* 0: not computed yet; threads that race compute the same */
    uint64_t value = atomic_load_explicit(&secret, memory_order_relaxed);

    if (!LIKELY(value != 0)) {
        value = map_hash((struct bytes){(const uint8_t *)"text_hash", 9}) | 1;
        atomic_store_explicit(&secret, value, memory_order_relaxed);
    }
    return value;
}
