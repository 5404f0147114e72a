/* message.c - how a received message becomes the memory of a chunk: by reference if it is in one
 * piece and large, otherwise by one copy. */
#include "server/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/wire/inflate.h"

/* A message that is smaller is copied, so that it does not keep alive a read buffer of the core
 * (MAX_WIRE_READ at most). */
#define KEEP_FROM_BYTES (MAX_WIRE_READ / 4)

struct slice_memory {
    struct chunk_memory memory;
    grpc_slice slice;
};

static void release_slice(struct chunk_memory *memory)
{
    struct slice_memory *held = container_of(memory, struct slice_memory, memory);

    grpc_slice_unref(held->slice);
    free(held);
}

/* The bytes of a block are behind the struct, and are freed with it. */
static void release_block(struct chunk_memory *memory)
{
    free(container_of(memory, struct slice_memory, memory));
}

/* The last slice frees the block. */
static void release_block_slice(struct chunk_memory *memory)
{
    grpc_slice_unref(container_of(memory, struct slice_memory, memory)->slice);
}

struct chunk_memory *wire_memory_begin(uint32_t capacity, const uint8_t **data_out)
{
    struct slice_memory *block = malloc(sizeof(*block) + capacity);

    if (!block)
        return NULL;
    block->memory.release = release_block;
    *data_out = (const uint8_t *)(block + 1);
    return &block->memory;
}

struct chunk_memory *wire_memory_end(struct chunk_memory *memory, uint32_t size, const uint8_t **data_out)
{
    struct slice_memory *block = container_of(memory, struct slice_memory, memory);
    struct slice_memory *shrunk = realloc(block, sizeof(*block) + size);

    if (shrunk)
        block = shrunk;
    block->memory.release = release_block_slice;
    block->slice = grpc_slice_new_with_user_data(block + 1, size, free, block);
    *data_out = (const uint8_t *)(block + 1);
    return &block->memory;
}

bool message_is_deflated(const grpc_byte_buffer *buffer)
{
    return buffer->data.raw.compression != GRPC_COMPRESS_NONE;
}

static enum fault_reason refusal_of(enum inflate_result result)
{
    switch (result) {
    case INFLATE_OK:
        return FAULT_NONE;
    case INFLATE_BROKEN:
        return FAULT_BAD_COMPRESSION;
    case INFLATE_TOO_LARGE:
        return FAULT_BATCH_TOO_LARGE;
    case INFLATE_NO_MEMORY:
        return FAULT_MEMORY_BUDGET;
    }
    return FAULT_BUG;
}

static void inflate_in_place(struct message *message)
{
    message->refusal =
        refusal_of(inflate_message(message->buffer, (size_t)message->max_size, &message->copy));
    if (message->refusal)
        return;
    message->is_copy = message->is_whole = true;
    message->bytes = slice_bytes(&message->copy);
    grpc_byte_buffer_destroy(message->buffer);
    message->buffer = NULL;
}

struct message message_receive(grpc_byte_buffer *buffer, const struct message_origin *origin)
{
    struct message message = {
        .buffer = buffer, .size = buffer->data.raw.slice_buffer.length, .max_size = origin->max_bytes};

    if (origin->refusal)
        message.refusal = origin->refusal;
    else if (origin->is_flagged && !message_is_deflated(buffer))
        message.refusal = FAULT_UNKNOWN_ENCODING;
    else if (message.size > message.max_size)
        message.refusal = FAULT_BATCH_TOO_LARGE;
    else if (message_is_deflated(buffer))
        inflate_in_place(&message);
    return message;
}

enum fault_reason message_check(const struct message *message, uint64_t max_bytes, struct fault *fault)
{
    const uint64_t max_size = MIN_OF(message->max_size, max_bytes);
    char bound[64];

    if (!message->refusal)
        return FAULT_NONE;
    if (message->refusal == FAULT_UNKNOWN_ENCODING)
        return fault_set(fault, message->refusal, "", "gzip, deflate, or none");
    if (message->refusal != FAULT_BATCH_TOO_LARGE)
        return fault_set(fault, message->refusal, "", "");
    snprintf(bound, sizeof(bound), "at most %" PRIu64 " bytes", max_size);
    if (message->size > message->max_size)
        return fault_number(fault, FAULT_BATCH_TOO_LARGE, "", message->size, bound);
    snprintf(bound, sizeof(bound), "at most %" PRIu64 " bytes, decompressed", max_size);
    return fault_set(fault, FAULT_BATCH_TOO_LARGE, "", bound);
}

struct bytes message_bytes(struct message *message)
{
    if (!message->is_whole)
        message->bytes = message_whole(message->buffer, &message->copy, &message->is_copy);
    message->is_whole = true;
    return message->bytes;
}

struct chunk_memory *message_keep(struct message *message, struct bytes *bytes_out, uint64_t *pinned_out)
{
    struct bytes bytes = message_bytes(message);
    struct slice_memory *held = malloc(sizeof(*held));
    bool by_reference = !message->is_copy && bytes.size >= KEEP_FROM_BYTES;

    if (!held)
        return NULL;
    held->memory.release = release_slice;
    if (message->is_copy) {
        held->slice = grpc_slice_ref(message->copy);
    } else if (by_reference) {
        held->slice = grpc_slice_ref(message->buffer->data.raw.slice_buffer.slices[0]);
    } else {
        held->slice = grpc_slice_malloc_large(bytes.size);
        memcpy(GRPC_SLICE_START_PTR(held->slice), bytes.data, bytes.size);
    }
    *bytes_out = slice_bytes(&held->slice);
    *pinned_out = by_reference ? MAX_OF(bytes.size, (size_t)MAX_WIRE_READ) : bytes.size;
    return &held->memory;
}

struct message message_move(struct message *message)
{
    struct message moved = *message;

    *message = (struct message){0};
    return moved;
}

void message_fini(struct message *message)
{
    if (message->is_copy)
        grpc_slice_unref(message->copy);
    if (message->buffer)
        grpc_byte_buffer_destroy(message->buffer);
    *message = (struct message){0};
}

bool wire_memory_slice(struct chunk_memory *memory, grpc_slice *slice_out)
{
    if (memory->release != release_slice && memory->release != release_block_slice)
        return false;
    *slice_out = container_of(memory, struct slice_memory, memory)->slice;
    return true;
}
