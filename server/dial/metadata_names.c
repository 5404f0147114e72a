/* metadata_names.c - see metadata_names.h. */
#include "server/dial/metadata_names.h"

#include <string.h>

#include <grpc/grpc.h>
#include <grpc/slice.h>

bool metadata_is_reserved(struct bytes key)
{
    static const char *const names[] = {
        "te",         "host",    "connection", "content-type",     "trailer",       "transfer-encoding",
        "keep-alive", "upgrade", "cookie",     "proxy-connection", "authorization", "user-agent"};

    if (key.size == 0 || key.data[0] == ':' || bytes_begin_with(key, text_bytes("grpc-")) ||
        bytes_begin_with(key, text_bytes("tributary-")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_same(key, text_bytes(names[i])))
            return true;
    }
    return false;
}

static bool is_legal(struct bytes key)
{
    return !metadata_is_reserved(key) &&
           grpc_header_key_is_legal(grpc_slice_from_static_buffer(key.data, key.size));
}

static bool is_binary(struct bytes key)
{
    return key.size >= 4 && memcmp(key.data + key.size - 4, "-bin", 4) == 0;
}

/* gRPC core refuses to send what is not legal, and then the call cannot go on. */
bool metadata_may_pass(struct bytes key, struct bytes value)
{
    return is_legal(key) && (is_binary(key) || grpc_header_nonbin_value_is_legal(
                                                   grpc_slice_from_static_buffer(value.data, value.size)));
}

bool metadata_name_is_valid(struct bytes name)
{
    if (name.size == 0 || name.size > MAX_METADATA_NAME_BYTES)
        return false;
    if (name.data[name.size - 1] == '*')
        name.size--;
    return name.size > 0 && is_legal(name) && !memchr(name.data, '*', name.size);
}

bool metadata_names_have(const struct bytes *names, size_t count, struct bytes key)
{
    for (size_t i = 0; i < count; i++) {
        struct bytes name = names[i];
        const bool is_beginning = name.data[name.size - 1] == '*';

        name.size -= is_beginning;
        if (is_beginning ? bytes_begin_with(key, name) : bytes_same(key, name))
            return true;
    }
    return false;
}
