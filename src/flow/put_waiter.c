/* put_waiter.c - counts the parked entries that a putter waits for. */
#include "flow/put_waiter.h"

void put_waiter_begin(struct put_waiter *waiter)
{
    /* The putter counts as one, so that the count cannot fall to 0 before put_waiter_end(). */
    atomic_store_explicit(&waiter->waiting, 1, memory_order_relaxed);
}

enum err put_waiter_end(struct put_waiter *waiter)
{
    return atomic_fetch_sub_explicit(&waiter->waiting, 1, memory_order_acq_rel) == 1 ? ERR_OK : ERR_AGAIN;
}
