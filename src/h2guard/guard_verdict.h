/* guard_verdict.h - charges the connection, and ends it.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_GUARD_VERDICT_H
#define TRIBUTARY_H2GUARD_GUARD_VERDICT_H

#include "h2guard/guard_internal.h"

/* Ends the connection. Of several ends the first one counts. `value` broke `bound`; both are 0
 * where the reason has none. */
void guard_end(struct h2guard *guard, enum h2guard_reason reason, uint32_t stream, uint64_t value,
               uint64_t bound);

/* Takes the waste of an item that was already counted, and ends the connection if there is too much
 * of it. */
void guard_waste(struct h2guard *guard, enum h2guard_item item, uint64_t points);

/* Charges `count` of an item. */
static inline void guard_charge_many(struct h2guard *guard, enum h2guard_item item, uint32_t count)
{
    const struct h2guard_price *price = &guard->limits->prices[item];

    guard->stats.total.items[item] += count;
    guard->left -= (int64_t)((uint64_t)price->cost * count);
    if (!LIKELY(price->waste == 0))
        guard_waste(guard, item, (uint64_t)price->waste * count);
}

static inline void guard_charge(struct h2guard *guard, enum h2guard_item item)
{
    guard_charge_many(guard, item, 1);
}

/* Charges payload bytes: as many of `size` as this turn still lets pass, at least 1. `size` and
 * `left` are above 0. Returns the number. */
static inline size_t guard_spend_bytes(struct h2guard *guard, size_t size)
{
    int64_t price = guard->byte_cost;

    if (!LIKELY((int64_t)size * price <= guard->left))
        size = (size_t)((guard->left + price - 1) / price);
    guard->left -= (int64_t)size * price;
    guard->in.payload_left -= (uint32_t)size;
    return size;
}

/* Adds up the cost since the last time. */
void guard_add_up(struct h2guard *guard);

#endif
