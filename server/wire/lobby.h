/* lobby.h - where an accepted socket waits until it has said the HTTP/2 preface (24 bytes, peeked), and where refusals are counted and
 * told.
 *
 * Belongs to the listener's thread. Sockets are watched edge-triggered: half a preface must not wake the thread again and again. Each waits
 * equally long, so the list of them is in order of their deadlines. */
#ifndef TRIBUTARY_SERVER_WIRE_LOBBY_H
#define TRIBUTARY_SERVER_WIRE_LOBBY_H

#include <stdbool.h>

#include "base/list.h"
#include "server/wire/address.h"
#include "server/wire/seats.h"

struct guest; /* a socket that waits */

/* Where a socket goes that has said its preface; the descriptor is the callee's. */
struct lobby_port {
    void (*ready)(void *ctx, int fd);
    void *ctx;
};

struct lobby {
    int epoll; /* not ours */
    int64_t preface_ns;
    struct lobby_port port;
    struct seats *seats; /* not ours */
    struct list guests;  /* oldest first */
    size_t count;
    uint64_t untold; /* refusals since the last log line */
    int64_t tell_at_ns;
    const char *refused_why;
    char refused_peer[ADDRESS_ROOM];
};

/* The events that lobby_look() is for carry the guest's address in data.u64. */
void lobby_init(struct lobby *lobby, int epoll, int64_t preface_ns, const struct lobby_port *port, struct seats *seats);
void lobby_fini(struct lobby *lobby); /* ends all that wait, and tells what was not told yet */

/* False: no memory, or no room in the epoll set; `fd` is still the caller's. */
bool lobby_enter(struct lobby *lobby, int fd, const char *peer, int64_t now_ns);
/* Something arrived, or the peer hung up: gives the socket away, ends it, or lets it wait. */
void lobby_look(struct lobby *lobby, struct guest *guest, bool hung_up, int64_t now_ns);
void lobby_end_oldest(struct lobby *lobby, int64_t now_ns); /* nothing where nobody waits */
void lobby_end_overdue(struct lobby *lobby, int64_t now_ns);

/* Counts one refusal; call it before the peer can notice. One log line a second at most, with the number since the last. */
void lobby_refused(struct lobby *lobby, const char *why, const char *peer, int64_t now_ns);
void lobby_tell(struct lobby *lobby, int64_t now_ns);
int64_t lobby_next_ns(const struct lobby *lobby); /* when lobby_end_overdue() or lobby_tell() has something to do; INT64_MAX: never */

#endif
