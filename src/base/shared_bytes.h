/* shared_bytes.h - constant bytes that several objects keep, by reference count: requests. They are
 * in the budget once (budget.h).
 *
 * Threads: any. */
#ifndef TRIBUTARY_BASE_SHARED_BYTES_H
#define TRIBUTARY_BASE_SHARED_BYTES_H

#include "base/base.h"

struct shared_bytes {
    _Atomic uint32_t refs;
    size_t size;
    uint8_t data[];
};

/* A copy of `bytes`, with one reference. NULL: memory or budget is used up. */
struct shared_bytes *shared_bytes_new(struct bytes bytes);
/* Adds a reference; returns its argument. NULL is allowed. */
struct shared_bytes *shared_bytes_retain(struct shared_bytes *shared);
/* The last one frees. NULL is allowed. */
void shared_bytes_release(struct shared_bytes *shared);

/* Valid as long as the caller has a reference. NULL: empty. */
static inline struct bytes shared_bytes_view(const struct shared_bytes *shared)
{
    return shared ? (struct bytes){shared->data, shared->size} : (struct bytes){NULL, 0};
}

#endif
