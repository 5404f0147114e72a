/* batch.c - the memory of one message that is sent. */
#include "client/lib/core/batch.h"

#include <stdlib.h>
#include <string.h>

#include "client/lib/core/bytes.h"
#include "client/lib/core/encode.h"

static struct batch *make(size_t head_size, size_t capacity)
{
    struct batch *batch = calloc(1, sizeof(*batch));

    if (!batch)
        return NULL;
    batch->capacity = MAX_OF(capacity, head_size + 256);
    batch->data = malloc(batch->capacity);
    if (!batch->data) {
        free(batch);
        return NULL;
    }
    list_init(&batch->node);
    atomic_init(&batch->refs, 1);
    batch->head_size = head_size;
    batch->size = head_size;
    return batch;
}

struct batch *batch_new(struct tributary_bytes head, size_t capacity)
{
    struct batch *batch = make(head.size, capacity);

    if (batch && head.size > 0)
        memcpy(batch->data, head.data, head.size);
    return batch;
}

void batch_release(struct batch *batch)
{
    if (!batch || atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(batch->data);
    free(batch);
}

bool batch_is_ours(const struct batch *batch)
{
    return atomic_load_explicit(&batch->refs, memory_order_acquire) == 1;
}

struct batch *batch_copy(const struct batch *batch)
{
    struct batch *copy = make(batch->head_size, batch->size);

    if (!copy)
        return NULL;
    memcpy(copy->data, batch->data, batch->size);
    copy->size = batch->size;
    copy->events = batch->events;
    copy->first_event = batch->first_event;
    copy->number = batch->number;
    copy->first_number = batch->first_number;
    copy->numbers_end = batch->numbers_end;
    copy->unsure = batch->unsure;
    copy->born_ns = batch->born_ns;
    copy->queue = batch->queue;
    return copy;
}

static bool grow(struct batch *batch, size_t min)
{
    const size_t capacity = MAX_OF(batch->capacity * 2, min);
    uint8_t *at = realloc(batch->data, capacity);

    if (!at)
        return false;
    batch->data = at;
    batch->capacity = capacity;
    return true;
}

bool batch_add(struct batch *batch, const struct tributary_event *event, size_t size)
{
    const size_t new_size = batch->size + event_field_size(size);

    if (new_size > batch->capacity && !grow(batch, new_size))
        return false;

    const uint8_t *end = event_field_write(batch->data + batch->size, event, size);

    CHECK((size_t)(end - batch->data) == new_size);
    batch->size = new_size;
    batch->events++;
    return true;
}

static void release_slice(void *batch)
{
    batch_release(batch);
}

grpc_slice batch_slice(struct batch *batch)
{
    atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    return grpc_slice_new_with_user_data(batch->data, batch->size, release_slice, batch);
}
