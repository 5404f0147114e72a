/* packed.h - messages to be sent that hold many entries each. The first entry is the message
 * itself, the others are in its field `more`.
 *
 * DESIGN. Each entry is written with the tag and the length of `more` before it. What is sent
 * begins behind those of the first entry.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_CLIENT_PACKED_H
#define TRIBUTARY_CLIENT_PACKED_H

#include "base/buf.h"
#include "base/list.h"
#include "grpc/slices.h"

/* Zeroed but for the first three, and after packed_init(), it is empty. */
struct packed {
    uint32_t more;        /* the number of the field */
    uint32_t max_bytes;   /* of a message, unless it has a single entry */
    uint32_t max_entries; /* of a message */

    struct list full;            /* messages that take no more, the oldest first */
    struct packed_message *last; /* the one that takes the next entry; NULL: none */
};

void packed_init(struct packed *packed);

/* Frees all messages; it is empty afterwards. */
void packed_clear(struct packed *packed);

/* Appends an entry of `size` bytes, which the caller then writes. Returns where, which is valid
 * until the next call. NULL: no memory; nothing changed. */
uint8_t *packed_add(struct packed *packed, size_t size);

/* Whether an entry of `size` bytes would go into the message that is being filled, or is the first
 * one of all. */
bool packed_has_space(const struct packed *packed, size_t size);

bool packed_is_empty(const struct packed *packed);

/* Removes the oldest message. The slice owns its bytes. False: there is none. */
bool packed_dequeue(struct packed *packed, grpc_slice *message_out);

#endif
