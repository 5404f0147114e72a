/* relayed_name.c - see relayed_name.h. */
#include "hub/relayed_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"

#define TAIL_BYTES 17u /* '~' and the hash */

/* Of the first `size` bytes those that are whole characters. */
static size_t whole(struct bytes text, size_t size)
{
    while (size > 0 && (text.data[size] & 0xc0) == 0x80)
        size--;
    return size;
}

size_t relayed_name(struct bytes endpoint, struct bytes inner, uint8_t name[MAX_RELAYED_NAME_BYTES])
{
    static const uint64_t key[2];
    const size_t head = endpoint.size + 1, capacity = MAX_RELAYED_NAME_BYTES - head;
    char tail[TAIL_BYTES + 1];

    CHECK(head + TAIL_BYTES < MAX_RELAYED_NAME_BYTES);
    memcpy(name, endpoint.data, endpoint.size);
    name[endpoint.size] = '/';
    if (inner.size <= capacity) {
        memcpy(name + head, inner.data, inner.size);
        return head + inner.size;
    }
    const size_t kept = whole(inner, capacity - TAIL_BYTES);
    memcpy(name + head, inner.data, kept);
    snprintf(tail, sizeof(tail), "~%016" PRIx64, siphash13(key, inner));
    memcpy(name + head + kept, tail, TAIL_BYTES);
    return head + kept + TAIL_BYTES;
}
