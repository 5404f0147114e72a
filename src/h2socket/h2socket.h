/* h2socket.h - the sockets that gRPC core reads and writes, each with a guard (h2guard) in front.
 *
 * The core calls recvmsg(), sendmsg(), epoll_ctl(), epoll_wait(), shutdown() and close() of libc.
 * A program that uses this room defines these six itself (front.c), so the dynamic linker binds the
 * core to ours. For a socket that was added here, they ask the guard; for every other descriptor
 * they call libc. So a guarded connection needs no copy, no thread and no descriptor more than a
 * plain one.
 *
 *   recvmsg()     reads what the guard allows in this turn. Beyond it: EAGAIN, and the socket waits
 *                 its turn.
 *   sendmsg()     shows the guard what was sent.
 *   epoll_wait()  of the core's set: adds an event for each socket whose turn has come.
 *   shutdown()    leaves the peer time to read what was written last.
 *   close()       ends the entry. Where a client has not closed yet, the descriptor stays open for
 *                 up to LINGER_NS more (linger.h), and the connection counts until then.
 *
 * A turn of a socket begins when a thread of the core has polled, or when the socket has waited. A
 * socket that waits gets its next turn after every other socket that was ready when it began to
 * wait. Of those that wait, at most MAX_H2SOCKET_RELEASES get their turn between two polls.
 *
 * Threads: any. The entries of one process stand in one table. */
#ifndef TRIBUTARY_H2SOCKET_H2SOCKET_H
#define TRIBUTARY_H2SOCKET_H2SOCKET_H

#include <stdbool.h>

#include "base/base.h"
#include "base/peer.h"
#include "base/status.h"
#include "h2guard/h2guard.h"

#define H2SOCKET_PEER_CAPACITY 128u
#define MAX_H2SOCKET_RELEASES 8
#define LINGER_NS INT64_C(2000000000)

/* Adds a connected socket through which no byte has moved, but for what a caller has peeked at. Do
 * it before the core gets it. close() of the descriptor removes it. `limits` must outlive the
 * socket; NULL: it stands in the table and has no guard. `address` is the peer's, for log lines; it
 * is cut to the capacity. The connection counts to `peer`.
 *   ERR_NO_MEMORY  nothing was added
 *   ERR_FULL       the descriptor is beyond the table (2^21) */
MUST_CHECK enum err h2socket_add(int fd, enum h2guard_role role, const struct h2guard_limits *limits,
                                 const char *address, struct peer_key peer);

/* A number of the caller's own for the connection at a descriptor; 0 at first. Does nothing, or
 * gives 0, where there is none in the table. */
void h2socket_set_mark(int fd, uint32_t mark);
uint32_t h2socket_mark(int fd);

/* How many connections that peers have opened (H2GUARD_SERVER) are in the table or linger: all of
 * them, and those of one peer. */
uint32_t h2socket_count(void);
uint32_t h2socket_count_of(struct peer_key peer);

/* What the connections that peers have opened may make the core keep (h2guard_kept()), in bytes:
 * all of them together, and those of one peer. Beyond it, the one that keeps the most is ended, of
 * the peer, or of the peer that keeps the most. INT64_MAX, as at first: no bound. */
struct h2socket_bounds {
    int64_t all, local_peer, remote_peer;
};
void h2socket_set_bounds(const struct h2socket_bounds *bounds);

/* Writes the address of a socket's peer, or "unknown", and returns the peer, or PEER_UNKNOWN.
 * `capacity` includes the closing NUL. */
struct peer_key h2socket_peer(int fd, char *address, size_t capacity);

/* Why a connection was ended, for those that outlive it, such as its calls. */
struct h2socket_end;
/* That of the connection at a descriptor, with a reference of the caller's. NULL: there is none in
 * the table. */
struct h2socket_end *h2socket_end_retain(int fd);
void h2socket_end_release(struct h2socket_end *end); /* NULL is allowed */
/* H2GUARD_NO_REASON: neither the guard nor the core has ended it, or `end` is NULL. */
enum h2guard_reason h2socket_end_reason(const struct h2socket_end *end);
/* Why the guard has ended it, as one sentence (h2guard_explain()). Only where there is a reason,
 * and that is not H2GUARD_BY_CORE. Valid as long as the reference. */
const char *h2socket_end_text(const struct h2socket_end *end);
#define H2SOCKET_END_TEXT 160u
/* With H2GUARD_BY_CORE: the error code of HTTP/2 that the core gave. */
uint32_t h2socket_end_code(const struct h2socket_end *end);

/* The core keeps so many bytes more for the connection than the guard can see, or less where it is
 * below zero: metadata of calls. They are part of what the connection keeps; who gives way for that
 * is decided at the core's next read from the connection. Does nothing where `end`, which may be
 * NULL, is not that of the connection which is there now. */
void h2socket_keep(int fd, struct h2socket_end *end, int64_t bytes);

/* Nobody wants the connection at a descriptor any more: the core reads and writes nothing more, and
 * hears that it is lost. Does nothing where `end`, which may be NULL, is not that of the connection
 * which is there now. */
void h2socket_give_up(int fd, const struct h2socket_end *end);

/* Shuts down every socket of the table for writing, and one that is no TCP for reading too. A write
 * that waits for a peer that does not read fails; the core then closes the socket. */
void h2socket_shutdown_all(void);

/* Waits until no connection lingers, or until `until_ns` (clock_mono_ns()), and closes what lingers
 * then. For the end of the program, when the core has closed what it had. */
void h2socket_close_lingering(int64_t until_ns);

/* Applies the time limits of the guards, closes what has lingered, and writes the log lines that
 * are due. Twice a second; one thread at a time. Bytes that the core has not read yet came in
 * time. */
void h2socket_check(int64_t now_ns);
/* Whether h2socket_check() has something to do: a connection is there or lingers, or a log line
 * waits. */
bool h2socket_needs_check(void);
/* Writes the log lines that are due; INT64_MAX: all of them, at the end of the program. */
void h2socket_report(int64_t now_ns);

/* Whether the core uses the functions of this room for a socket of the table: it watches the
 * socket, has read from it and written to it. False until it has done all three. */
bool h2socket_is_in_front(int fd);

/* The verdicts on all sockets. */
const struct h2guard_counters *h2socket_counters(void);

#endif
