/* request_headers.c - see request_headers.h. */
#include "server/wire/request_headers.h"

#include <string.h>

#define FIELD_BYTES 32u
/* What the core takes for each field of an open call, besides name and value: measured 70 to 99. */
#define KEPT_FIELD_BYTES 104u
/* So much is in what the guard counts for each open stream. */
#define FREE_HEADER_BYTES 2048u

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

/* Names and values with an eighth for malloc(). */
static uint64_t kept_bytes(const grpc_metadata_array *metadata)
{
    uint64_t text = 0;

    for (size_t i = 0; i < metadata->count; i++)
        text += GRPC_SLICE_LENGTH(metadata->metadata[i].key) + GRPC_SLICE_LENGTH(metadata->metadata[i].value);
    return text + text / 8 + metadata->count * KEPT_FIELD_BYTES;
}

void header_charge_begin(struct header_charge *charge, int fd, struct h2socket_end *end,
                         const grpc_metadata_array *metadata)
{
    const uint64_t bytes = kept_bytes(metadata);

    *charge = (struct header_charge){fd, bytes > FREE_HEADER_BYTES ? bytes - FREE_HEADER_BYTES : 0};
    if (charge->bytes > 0)
        h2socket_keep(fd, end, (int64_t)charge->bytes);
}

void header_charge_end(struct header_charge *charge, struct h2socket_end *end)
{
    if (charge->bytes > 0)
        h2socket_keep(charge->fd, end, -(int64_t)charge->bytes);
    charge->bytes = 0;
}
