/* socket_poll.h - what the socket of a sender can take, as far as the sender knows.
 *
 * Threads: the call's wire thread. */
#ifndef TRIBUTARY_SERVER_WIRE_SOCKET_POLL_H
#define TRIBUTARY_SERVER_WIRE_SOCKET_POLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;

struct socket_poll {
    /* Since when the connection is unwritable and its peer has read nothing; INT64_MAX: it is
     * writable. */
    int64_t unwritable_since_ns;
    /* Of the connection, in bytes, at the last poll: what its peer has not read, and what the
     * connection can take. */
    size_t unread, writable;
    uint64_t sent; /* bytes that the connection was given since the last poll */
};

/* Asks the socket how much it can take. A poll is saved while less than an eighth of the last
 * answer was sent since. */
void socket_poll(struct socket_poll *poll, struct call *call, int64_t now_ns);

/* When an unwritable connection is to be polled again: after an eighth of the time for which it has
 * been unwritable, 1 ms to 100 ms. */
int64_t socket_poll_due_at(const struct socket_poll *poll, int64_t now_ns);

static inline bool socket_is_unwritable(const struct socket_poll *poll)
{
    return poll->unwritable_since_ns != INT64_MAX;
}

#endif
