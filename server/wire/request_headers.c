/* request_headers.c - see request_headers.h. */
#include "server/wire/request_headers.h"

#include <string.h>

#define FIELD_BYTES 32u

/* Of a field whose name and value are known beforehand. */
#define KNOWN_BYTES(name, value) (sizeof(name) - 1 + sizeof(value) - 1 + FIELD_BYTES)

static const char binary_suffix[] = "-bin";

static uint64_t value_bytes(const grpc_metadata *field)
{
    size_t name_size = GRPC_SLICE_LENGTH(field->key), suffix_size = sizeof(binary_suffix) - 1;
    uint64_t size = GRPC_SLICE_LENGTH(field->value);
    const uint8_t *name = GRPC_SLICE_START_PTR(field->key);

    if (name_size < suffix_size || memcmp(name + name_size - suffix_size, binary_suffix, suffix_size) != 0)
        return size;
    return (size * 4 + 2) / 3;
}

uint64_t request_headers_bytes(const grpc_call_details *details, const grpc_metadata_array *metadata)
{
    uint64_t bytes = KNOWN_BYTES(":method", "POST") + KNOWN_BYTES(":scheme", "http") +
                     KNOWN_BYTES(":path", "") + GRPC_SLICE_LENGTH(details->method) +
                     KNOWN_BYTES(":authority", "") + GRPC_SLICE_LENGTH(details->host) +
                     KNOWN_BYTES("te", "trailers") + KNOWN_BYTES("content-type", "application/grpc");

    for (size_t i = 0; i < metadata->count; i++)
        bytes +=
            GRPC_SLICE_LENGTH(metadata->metadata[i].key) + value_bytes(&metadata->metadata[i]) + FIELD_BYTES;
    return bytes;
}
