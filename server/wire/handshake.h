/* handshake.h - where an accepted socket waits until it has said the HTTP/2 preface (24 bytes,
 * peeked), and where refusals are counted and told.
 *
 * Belongs to the listener's thread. Sockets are watched edge-triggered: half a preface must not
 * wake the thread again and again. Each waits equally long, so the list of them is in order of
 * their deadlines. */
#ifndef TRIBUTARY_SERVER_WIRE_HANDSHAKE_H
#define TRIBUTARY_SERVER_WIRE_HANDSHAKE_H

#include <stdbool.h>

#include "base/list.h"
#include "server/wire/address.h"
#include "server/wire/connection_table.h"

struct pending_connection; /* a socket that waits */

/* Where a socket goes that has said its preface; the descriptor is the callee's. */
struct handshake_port {
    void (*ready)(void *ctx, int fd);
    void *ctx;
};

struct handshake {
    int epoll; /* not ours */
    int64_t preface_ns;
    struct handshake_port port;
    struct connection_table *table; /* not ours */
    struct list waiting;            /* oldest first */
    size_t count;
    uint64_t unreported; /* refusals since the last log line */
    int64_t report_at_ns;
    const char *refused_reason;
    char refused_peer[ADDRESS_CAPACITY];
};

/* The events that handshake_check() is for carry the guest's address in data.u64. */
void handshake_init(struct handshake *handshake, int epoll, int64_t preface_ns,
                    const struct handshake_port *port, struct connection_table *table);
void handshake_fini(struct handshake *handshake); /* ends all that wait, and tells what was not told yet */

/* False: no memory, or no room in the epoll set; `fd` is still the caller's. */
bool handshake_begin(struct handshake *handshake, int fd, const char *peer, int64_t now_ns);
/* Something arrived, or the peer hung up: gives the socket away, ends it, or lets it wait. */
void handshake_check(struct handshake *handshake, struct pending_connection *pending, bool hung_up,
                     int64_t now_ns);
void handshake_end_oldest(struct handshake *handshake, int64_t now_ns); /* nothing where nobody waits */
void handshake_end_overdue(struct handshake *handshake, int64_t now_ns);

/* Counts one refusal; call it before the peer can notice. One log line a second at most, with the
 * number since the last. */
void handshake_count_refusal(struct handshake *handshake, const char *reason, const char *peer,
                             int64_t now_ns);
void handshake_report(struct handshake *handshake, int64_t now_ns);
/* when handshake_end_overdue() or handshake_report() has something to do; INT64_MAX: never */
int64_t handshake_next_ns(const struct handshake *handshake);

#endif
