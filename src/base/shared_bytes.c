/* shared_bytes.c - constant bytes that several objects keep. */
#include "base/shared_bytes.h"

#include <stdatomic.h>

#include "base/budget.h"

struct shared_bytes *shared_bytes_new(struct bytes bytes)
{
    struct shared_bytes *shared = budget_calloc(COUNT_LIVE_REQUEST_BYTES, sizeof(*shared) + bytes.size);

    if (!shared)
        return NULL;
    atomic_init(&shared->refs, 1);
    shared->size = bytes.size;
    if (bytes.size > 0)
        memcpy(shared->data, bytes.data, bytes.size);
    return shared;
}

struct shared_bytes *shared_bytes_retain(struct shared_bytes *shared)
{
    if (shared)
        atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    return shared;
}

void shared_bytes_release(struct shared_bytes *shared)
{
    if (shared && atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) == 1)
        budget_free(COUNT_LIVE_REQUEST_BYTES, shared, sizeof(*shared) + shared->size);
}
