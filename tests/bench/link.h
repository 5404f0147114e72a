/* link.h - a connection for protocols without much framing. Output waits in a buffer; input is read
 * in large pieces.
 *
 * All links of a process read into one buffer, which stays in the processor's cache.
 *
 * Threads: one for each process. */
#ifndef TRIBUTARY_TESTS_LINK_H
#define TRIBUTARY_TESTS_LINK_H

#include "bench/pieces.h"

enum { LINK_OUTPUT_BYTES = 512 << 10, LINK_INPUT_BYTES = 256 << 10 };

struct link {
    int fd; /* -1: not connected */
    uint8_t *out;
    size_t first, size, capacity; /* of `out`: [first, first + size) waits for the socket */
    struct pieces pieces;
};

/* Connects. False, with errno: it could not. */
MUST_CHECK bool link_open(struct link *link, const char *address);
void link_close(struct link *link);

/* Reserves the next `size` bytes of output and returns where to write them, before any other
 * function is called. NULL: too much output waits already, or memory ran out. */
uint8_t *link_reserve(struct link *link, size_t size);
/* Writes what the socket takes. False, with errno: the connection is lost. */
MUST_CHECK bool link_flush(struct link *link);
static inline bool link_pending(const struct link *link)
{
    return link->size > 0;
}

enum link_state { LINK_DRAINED, LINK_MORE, LINK_ENDED, LINK_LOST, LINK_MALFORMED };
/* Reads once and gives the bytes to `consume`. LINK_ENDED: the peer has closed its side. LINK_LOST:
 * the connection is lost, with errno. */
MUST_CHECK enum link_state link_read(struct link *link, pieces_consume *consume, void *ctx);

#endif
