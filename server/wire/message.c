/* message.c - how a received message becomes the memory of a chunk: by reference if it is in one
 * piece and large, otherwise by one copy. */
#include "server/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "grpc/inflate.h"

/* A message that is smaller is copied, so that it does not keep alive a read buffer of the core
 * (MAX_WIRE_READ at most). */
#define KEEP_FROM_BYTES (MAX_WIRE_READ / 4)

bool message_is_deflated(const grpc_byte_buffer *buffer)
{
    return buffer->data.raw.compression != GRPC_COMPRESS_NONE;
}

static void inflate_in_place(struct message *message)
{
    message->refusal =
        inflate_fault(inflate_message(message->buffer, (size_t)message->max_size, &message->copy));
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
    bool by_reference = !message->is_copy && bytes.size >= KEEP_FROM_BYTES;
    grpc_slice slice;

    if (message->is_copy) {
        slice = grpc_slice_ref(message->copy);
    } else if (by_reference) {
        slice = grpc_slice_ref(message->buffer->data.raw.slice_buffer.slices[0]);
    } else {
        slice = grpc_slice_malloc_large(bytes.size);
        memcpy(GRPC_SLICE_START_PTR(slice), bytes.data, bytes.size);
    }
    struct chunk_memory *memory = slice_memory_new(slice);
    if (!memory) {
        grpc_slice_unref(slice);
        return NULL;
    }
    *bytes_out = slice_bytes(&slice);
    *pinned_out = by_reference ? MAX_OF(bytes.size, (size_t)MAX_WIRE_READ) : bytes.size;
    return memory;
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
