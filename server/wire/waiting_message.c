/* waiting_message.c - see waiting_message.h. */
#include "server/wire/waiting_message.h"

#include "grpc/slices.h"
#include "loop/loop.h"

void waiting_messages_init(struct waiting_messages *messages, const struct loop *loop)
{
    messages->loop = loop;
    peer_charges_init(&messages->charges, COUNT_LIVE_DEFLATED_BYTES, "message",
                      "compressed messages that wait from");
}

void waiting_messages_fini(struct waiting_messages *messages)
{
    peer_charges_fini(&messages->charges);
}

void waiting_message_init(struct waiting_message *message, void (*run)(struct heavy_work *work))
{
    *message = (struct waiting_message){.work = {.run = run}};
    list_init(&message->work.link);
}

static enum fault_reason charge(struct waiting_message *message, size_t bytes,
                                const struct waiting_owner *owner)
{
    struct fault fault;

    if (!owner->all)
        return FAULT_NONE;
    return peer_charge_add(&owner->all->charges, loop_settings(owner->all->loop), &message->charge,
                           owner->peer, bytes, &fault);
}

static void give_back(struct waiting_message *message, const struct waiting_owner *owner)
{
    if (owner->all)
        peer_charge_give_back(&owner->all->charges, &message->charge);
}

/* The slices of the core are parts of its read buffers, which may be much larger. */
static grpc_byte_buffer *copy_of(const grpc_byte_buffer *buffer)
{
    const grpc_slice_buffer *pieces = &buffer->data.raw.slice_buffer;
    grpc_slice whole = grpc_slice_malloc_large(pieces->length);
    uint8_t *next = GRPC_SLICE_START_PTR(whole);

    for (size_t i = 0; i < pieces->count; i++) {
        struct bytes piece = slice_bytes(&pieces->slices[i]);
        memcpy(next, piece.data, piece.size);
        next += piece.size;
    }
    grpc_byte_buffer *copy = grpc_raw_compressed_byte_buffer_create(&whole, 1, buffer->data.raw.compression);
    grpc_slice_unref(whole);
    return copy;
}

enum fault_reason waiting_message_add(struct waiting_message *message, grpc_byte_buffer *buffer,
                                      const struct waiting_owner *owner)
{
    CHECK(!message->buffer);
    if (charge(message, buffer->data.raw.slice_buffer.length, owner))
        return FAULT_MEMORY_BUDGET;
    if (heavy_queue_add(owner->queue, &message->work, owner->peer, owner->connection)) {
        give_back(message, owner);
        return FAULT_MEMORY_BUDGET;
    }
    message->buffer = copy_of(buffer);
    grpc_byte_buffer_destroy(buffer);
    return FAULT_NONE;
}

grpc_byte_buffer *waiting_message_take(struct waiting_message *message, const struct waiting_owner *owner)
{
    grpc_byte_buffer *buffer = message->buffer;

    message->buffer = NULL;
    heavy_queue_remove(owner->queue, &message->work);
    give_back(message, owner);
    return buffer;
}
