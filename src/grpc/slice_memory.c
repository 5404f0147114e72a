/* slice_memory.c - a slice as the memory of a chunk. */
#include "grpc/slice_memory.h"

#include <stdlib.h>
#include <string.h>

#include "grpc/slices.h"

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

struct chunk_memory *slice_memory_begin(uint32_t capacity, const uint8_t **data_out)
{
    struct slice_memory *block = malloc(sizeof(*block) + capacity);

    if (!block)
        return NULL;
    block->memory.release = release_block;
    *data_out = (const uint8_t *)(block + 1);
    return &block->memory;
}

/* Moves what fills less than half of the block, for the reason in chunk.c. */
struct chunk_memory *slice_memory_end(struct chunk_memory *memory, uint32_t size, uint32_t capacity,
                                      const uint8_t **data_out)
{
    struct slice_memory *block = container_of(memory, struct slice_memory, memory);

    if (size < capacity - size) {
        struct slice_memory *moved = malloc(sizeof(*moved) + size);
        if (moved) {
            memcpy(moved + 1, block + 1, size);
            free(block);
            block = moved;
        }
    }
    block->memory.release = release_block_slice;
    block->slice = grpc_slice_new_with_user_data(block + 1, size, free, block);
    *data_out = (const uint8_t *)(block + 1);
    return &block->memory;
}

struct chunk_memory *slice_memory_new(grpc_slice slice)
{
    struct slice_memory *held = malloc(sizeof(*held));

    if (!held)
        return NULL;
    *held = (struct slice_memory){.memory = {release_slice}, .slice = slice};
    return &held->memory;
}

bool slice_memory_slice(struct chunk_memory *memory, grpc_slice *slice_out)
{
    if (memory->release != release_slice && memory->release != release_block_slice)
        return false;
    *slice_out = container_of(memory, struct slice_memory, memory)->slice;
    return true;
}

struct chunk_memory *slice_memory_after(struct bytes head, const grpc_byte_buffer *message,
                                        struct bytes *bytes_out)
{
    const grpc_slice_buffer *from = &message->data.raw.slice_buffer;
    grpc_slice slice = grpc_slice_malloc_large(head.size + from->length);
    struct chunk_memory *memory = slice_memory_new(slice);
    uint8_t *at = GRPC_SLICE_START_PTR(slice);

    if (!memory) {
        grpc_slice_unref(slice);
        return NULL;
    }
    memcpy(at, head.data, head.size);
    at += head.size;
    for (size_t i = 0; i < from->count; i++) {
        struct bytes piece = slice_bytes(&from->slices[i]);

        if (piece.size > 0)
            memcpy(at, piece.data, piece.size);
        at += piece.size;
    }
    *bytes_out = slice_bytes(&slice);
    return memory;
}
