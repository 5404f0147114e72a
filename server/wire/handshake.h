/* handshake.h - the wait for the HTTP/2 preface (24 bytes) of accepted sockets, and the count and
 * log of refused connections.
 *
 * A socket that has not sent its preface is a pending connection. The preface is peeked, so the
 * core reads it again. Sockets are watched edge-triggered, because half a preface must not wake the
 * thread again and again. The list of pending connections is in the order of their beginnings. The
 * same `preface_timeout_ns` of the settings holds for all of them, so it is in the order of their
 * deadlines too.
 *
 * Threads: the listener's. */
#ifndef TRIBUTARY_SERVER_WIRE_HANDSHAKE_H
#define TRIBUTARY_SERVER_WIRE_HANDSHAKE_H

#include <stdbool.h>

#include "base/list.h"
#include "base/peer_share.h"
#include "h2guard/h2guard_limits.h"
#include "loop/loop.h"
#include "server/wire/address.h"

struct pending_connection; /* an accepted socket that has not sent its preface */

struct handshake_port {
    /* The preface of `fd` has arrived. The callee owns the descriptor from here on. */
    void (*ready)(void *ctx, int fd);
    void *ctx;
};

#define MAX_REFUSAL_REASONS 8

/* The refusals of one reason. */
struct refusals {
    const char *reason;  /* NULL: not used yet */
    uint64_t unreported; /* since the last log line */
    int64_t report_at_ns;
    char peer[ADDRESS_CAPACITY]; /* of the latest refusal */
};

struct handshake {
    int epoll;               /* not ours */
    const struct loop *loop; /* for its settings */
    struct handshake_port port;
    const struct h2guard_limits *limits; /* not ours; NULL: no guard */
    struct list pending;                 /* oldest first */
    size_t count;                        /* of pending connections */
    struct peer_counts peers;            /* pending connections by their peers */
    struct refusals refusals[MAX_REFUSAL_REASONS];
};

/* `limits` are those of the connections' guards (h2socket_add()). Epoll events of pending
 * connections carry the address of their `struct pending_connection` in data.u64; the listener
 * hands it to handshake_check(). */
void handshake_init(struct handshake *handshake, int epoll, const struct loop *loop,
                    const struct handshake_port *port, const struct h2guard_limits *limits);
/* Closes all pending connections and reports the refusals that are still unreported. */
void handshake_fini(struct handshake *handshake);

/* Takes over an accepted socket, whose connection gets this mark (h2socket_mark()). False: no
 * memory, or the epoll set refused it; `fd` is still the caller's. */
bool handshake_begin(struct handshake *handshake, int fd, const char *peer, struct peer_key key,
                     uint32_t mark, int64_t now_ns);
/* Bytes arrived, or the peer hung up. Hands the socket to the port, refuses it, or leaves it
 * pending. A peer that speaks HTTP/1 is refused with an answer. */
void handshake_check(struct handshake *handshake, struct pending_connection *pending, bool hung_up,
                     int64_t now_ns);
/* Makes space for another pending connection: of the peer that has most of them, refuses the one
 * that has waited longest. So silent connections of one peer do not drive out those of others.
 * Among peers that have equally many, it is the one whose connection has waited longest. Does
 * nothing where none is pending. */
void handshake_make_space(struct handshake *handshake, int64_t now_ns);
/* The same among the pending connections of one peer. */
void handshake_make_space_of(struct handshake *handshake, struct peer_key peer, int64_t now_ns);
/* Refuses every pending connection whose deadline has passed. */
void handshake_refuse_overdue(struct handshake *handshake, int64_t now_ns);

/* Counts one refusal and reports it. Call it before the peer can notice the refusal. `reason` is
 * static text; there are at most MAX_REFUSAL_REASONS different ones. */
void handshake_count_refusal(struct handshake *handshake, const char *reason, const char *peer,
                             int64_t now_ns);
/* Writes a log line for each reason with unreported refusals, with their number; at most one line a
 * second for each reason. */
void handshake_report(struct handshake *handshake, int64_t now_ns);
/* When handshake_refuse_overdue() or handshake_report() next has work; INT64_MAX: never. */
int64_t handshake_next_ns(const struct handshake *handshake);

#endif
