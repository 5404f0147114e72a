/* stream_table.h - the open streams of one connection, by number: open addressing, at most half
 * full. It grows with the streams, up to a bound, and never shrinks.
 *
 * The hash has a secret of the process, so a peer that chooses numbers cannot make them collide on
 * purpose.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_STREAM_TABLE_H
#define TRIBUTARY_H2GUARD_STREAM_TABLE_H

#include "base/base.h"
#include "base/status.h"

/* What is known of an open stream. */
enum stream_flag {
    STREAM_PEER_ENDED = 1,   /* the peer sent END_STREAM */
    STREAM_WE_ENDED = 2,     /* we sent END_STREAM */
    STREAM_ANSWERED = 4,     /* we sent HEADERS or DATA */
    STREAM_PEER_SPOKE = 8,   /* the peer sent HEADERS */
    STREAM_HAD_MESSAGE = 16, /* a message of the peer has begun */
    STREAM_ENCODED = 32      /* the peer named an encoding that the core knows: messages may be compressed */
};

#define MESSAGE_PREFIX_BYTES 5u

struct stream {
    uint32_t id;           /* 0: the slot is free */
    uint32_t message_left; /* bytes of the message that must still come; first its length is built here */
    uint32_t message_got;  /* bytes of the message that came, without the prefix */
    int32_t unread;        /* DATA that came, less what the core has announced again since; may be below 0 */
    uint8_t prefix_size;   /* bytes of the message's prefix that came: 0 between messages */
    uint8_t flags;         /* of enum stream_flag */
};

struct stream_table {
    struct stream *slots; /* NULL: no stream was ever open */
    uint32_t slot_mask;   /* slots - 1; the number of slots is a power of two */
    uint32_t shift;       /* the hash's upper bits that count: 32 - log2(slots) */
    uint32_t factor;      /* the secret; odd */
    uint32_t count;
    uint32_t max_count;
};

/* Makes an empty table for at most `max_count` streams. */
void stream_table_init(struct stream_table *table, uint32_t max_count);

/* Frees the slots. */
void stream_table_fini(struct stream_table *table);

/* Adds a stream that is not in the table; `id` is not 0. The stream is valid until the table
 * changes.
 *   ERR_FULL       max_count streams are open
 *   ERR_NO_MEMORY  the table could not grow
 * Then nothing changed. */
MUST_CHECK enum err stream_table_add(struct stream_table *table, uint32_t id, struct stream **stream_out);

/* Takes out a stream of the table. */
void stream_table_remove(struct stream_table *table, struct stream *stream);

/* The bytes of the slots. */
size_t stream_table_memory(const struct stream_table *table);

static inline uint32_t stream_slot(const struct stream_table *table, uint32_t id)
{
    return (id * table->factor) >> table->shift;
}

/* The stream, valid until the table changes. NULL: it is not in the table. `id` is not 0. */
static inline struct stream *stream_table_find(const struct stream_table *table, uint32_t id)
{
    if (!LIKELY(table->slots))
        return NULL;
    for (uint32_t i = stream_slot(table, id);; i = (i + 1) & table->slot_mask) {
        struct stream *stream = &table->slots[i];
        if (LIKELY(stream->id == id))
            return stream;
        if (stream->id == 0)
            return NULL;
    }
}

#endif
