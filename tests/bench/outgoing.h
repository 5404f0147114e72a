/* outgoing.h - the messages of one stream of a connection. One that the windows do not allow as a
 * whole is kept, and its rest goes out as they open. */
#ifndef TRIBUTARY_TESTS_BENCH_OUTGOING_H
#define TRIBUTARY_TESTS_BENCH_OUTGOING_H

#include "lib/h2/h2.h"

struct outgoing {
    struct h2 *h2;   /* owned; NULL: not connected */
    uint32_t stream; /* 0: not open */
    uint8_t *kept;
    size_t first, size; /* [first, first + size) of `kept` is still to be written */
    size_t capacity;
};

void outgoing_fini(struct outgoing *out);

/* Returns where to write the next message, before any other function is called. NULL: the
 * connection takes none now, or memory ran out. */
uint8_t *outgoing_reserve(struct outgoing *out, size_t size);
/* Writes as much of the kept message as the windows allow now. Call it before each flush. */
void outgoing_continue(struct outgoing *out);
/* Whether something waits for the socket or for the windows. */
bool outgoing_pending(const struct outgoing *out);

#endif
