/* link.h - a connection for protocols without much framing: output that gathers, input in large
 * pieces.
 *
 * All links of a process read into one buffer, which stays in the processor's cache. Threads: one
 * for each process. */
#ifndef TRIBUTARY_TESTS_LINK_H
#define TRIBUTARY_TESTS_LINK_H

#include "bench/feed.h"

enum { LINK_OUTPUT_BYTES = 512 << 10, LINK_INPUT_BYTES = 256 << 10 };

struct link {
    int fd; /* -1: none */
    uint8_t *out;
    size_t first, size, capacity; /* of `out`: what waits is [first, first + size) */
    struct feed feed;
};

/* False, with errno: not connected. */
MUST_CHECK bool link_open(struct link *link, const char *address);
void link_close(struct link *link);

/* Where the next `size` bytes of output go, to be written before anything else is called; NULL: too
 * much waits already, or memory ran out. */
uint8_t *link_reserve(struct link *link, size_t size);
/* Writes what it can. False: the connection is lost, with errno. */
MUST_CHECK bool link_flush(struct link *link);
static inline bool link_pending(const struct link *link)
{
    return link->size > 0;
}

enum link_state { LINK_DRAINED, LINK_MORE, LINK_ENDED, LINK_LOST, LINK_MALFORMED };
/* Reads once and gives it to `take`. LINK_ENDED: the peer has closed its side; LINK_LOST: with
 * errno. */
MUST_CHECK enum link_state link_read(struct link *link, feed_take *take, void *ctx);

#endif
