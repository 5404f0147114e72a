/* packed.c - see packed.h. */
#include "client/lib/processor/packed.h"

#include <stdlib.h>

#include "event/field_write.h"

struct packed_message {
    struct list node;
    struct buf bytes;
    size_t head; /* the tag and the length before the first entry */
    uint32_t entries;
};

void packed_init(struct packed *packed)
{
    list_init(&packed->full);
    packed->last = NULL;
}

static void close_last(struct packed *packed)
{
    if (packed->last)
        list_append(&packed->full, &packed->last->node);
    packed->last = NULL;
}

static void message_free(struct packed_message *message)
{
    list_remove(&message->node);
    buf_fini(&message->bytes);
    free(message);
}

void packed_clear(struct packed *packed)
{
    close_last(packed);
    list_each(node, next, &packed->full)
        message_free(container_of(node, struct packed_message, node));
}

static bool has_space(const struct packed *packed, size_t field_size)
{
    const struct packed_message *last = packed->last;

    return last->entries < packed->max_entries &&
           last->bytes.size - last->head + field_size <= packed->max_bytes;
}

bool packed_has_space(const struct packed *packed, size_t size)
{
    if (!packed->last)
        return list_empty(&packed->full);
    return has_space(packed, field_size_bytes_always(packed->more, size));
}

static bool begin_message(struct packed *packed)
{
    struct packed_message *message = calloc(1, sizeof(*message));

    if (!message)
        return false;
    list_init(&message->node);
    packed->last = message;
    return true;
}

uint8_t *packed_add(struct packed *packed, size_t size)
{
    const size_t field_size = field_size_bytes_always(packed->more, size);
    struct packed_message *last = NULL;
    uint8_t *at = NULL;

    if (packed->last && !has_space(packed, field_size))
        close_last(packed);
    if (!packed->last && !begin_message(packed))
        return NULL;
    last = packed->last;
    at = buf_extend(&last->bytes, field_size);
    if (!at) {
        last->bytes.broken = false; /* what is there is whole */
        if (last->entries == 0) {
            packed->last = NULL;
            message_free(last);
        }
        return NULL;
    }
    if (last->entries++ == 0)
        last->head = field_size - size;
    return field_put_head(at, packed->more, size);
}

bool packed_is_empty(const struct packed *packed)
{
    return !packed->last && list_empty(&packed->full);
}

bool packed_dequeue(struct packed *packed, grpc_slice *message_out)
{
    struct packed_message *message = NULL;
    struct buf *bytes = NULL;

    if (list_empty(&packed->full))
        close_last(packed);
    if (list_empty(&packed->full))
        return false;
    message = container_of(list_first(&packed->full), struct packed_message, node);
    bytes = &message->bytes;
    /* The slice frees the memory by its beginning, which is not where the message begins. */
    *message_out = grpc_slice_new_with_user_data(bytes->data + message->head, bytes->size - message->head,
                                                 free, bytes->data);
    *bytes = (struct buf){0};
    message_free(message);
    return true;
}
