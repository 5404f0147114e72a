/* budget.c - see budget.h. */
#include "base/budget.h"

#include <stdatomic.h>
#include <stdlib.h>

static _Atomic uint64_t limit_bytes_now;
static _Atomic uint64_t used_bytes;
static _Atomic uint64_t short_above = UINT64_MAX; /* four fifths of the limit */
static struct budget_callbacks *_Atomic listener;

void budget_set(uint64_t limit_bytes)
{
    atomic_store_explicit(&limit_bytes_now, limit_bytes, memory_order_relaxed);
    atomic_store_explicit(&short_above, limit_bytes > 0 ? limit_bytes / 5 * 4 : UINT64_MAX,
                          memory_order_relaxed);
}

uint64_t budget_limit(void)
{
    return atomic_load_explicit(&limit_bytes_now, memory_order_relaxed);
}

uint64_t budget_part(unsigned part)
{
    uint64_t limit = budget_limit();

    return limit > 0 ? limit / part : UINT64_MAX;
}

uint64_t budget_used(void)
{
    return atomic_load_explicit(&used_bytes, memory_order_relaxed);
}

static bool is_short(uint64_t used)
{
    return used > atomic_load_explicit(&short_above, memory_order_relaxed);
}

bool budget_is_short(void)
{
    return is_short(budget_used());
}

void budget_notify(struct budget_callbacks *callbacks)
{
    atomic_store_explicit(&listener, callbacks, memory_order_release);
}

/* So many bytes are used since memory of this kind was taken. */
static void taken(enum counter kind, uint64_t bytes, uint64_t used)
{
    count_add(kind, (int64_t)bytes);
    if (!is_short(used))
        return;
    struct budget_callbacks *callbacks = atomic_load_explicit(&listener, memory_order_acquire);
    if (callbacks)
        callbacks->is_short(callbacks);
}

bool budget_take(enum counter kind, uint64_t bytes)
{
    uint64_t limit = budget_limit();
    uint64_t used = budget_used();

    do {
        if (limit > 0 && (bytes > limit || used > limit - bytes))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&used_bytes, &used, used + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    taken(kind, bytes, used + bytes);
    return true;
}

void budget_add(enum counter kind, uint64_t bytes)
{
    taken(kind, bytes, atomic_fetch_add_explicit(&used_bytes, bytes, memory_order_relaxed) + bytes);
}

void budget_give(enum counter kind, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&used_bytes, bytes, memory_order_relaxed);
    count_add(kind, -(int64_t)bytes);
}

void *budget_calloc(enum counter kind, size_t bytes)
{
    void *memory;

    if (!budget_take(kind, bytes))
        return NULL;
    memory = calloc(1, bytes);
    if (!memory)
        budget_give(kind, bytes);
    return memory;
}

void budget_free(enum counter kind, void *memory, size_t bytes)
{
    if (!memory)
        return;
    budget_give(kind, bytes);
    free(memory);
}
