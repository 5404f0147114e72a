/* peer.h - whom the server counts a connection to. Shares are per peer.
 *
 *   unix socket     the user id of the process that connected
 *   IPv4 address    the address; an IPv4-mapped IPv6 address counts as IPv4
 *   IPv6 address    its first 64 bits, because one machine usually has all addresses behind them
 *   loopback        the address: 127.0.0.1, 127.0.0.2 and ::1 are three peers
 *
 * Ports do not count: all connections of a machine are one peer.
 *
 * Threads: any. The functions keep nothing. */
#ifndef TRIBUTARY_BASE_PEER_H
#define TRIBUTARY_BASE_PEER_H

#include <stdbool.h>

#include "base/base.h"

struct sockaddr;

enum peer_kind {
    PEER_NONE,    /* the server itself: it is not counted. A zeroed key is this one */
    PEER_UNKNOWN, /* the system could not say; all of these are one peer */
    PEER_UNIX,
    PEER_IPV4,
    PEER_IPV6,
    PEER_IPV6_LOOPBACK
};

/* A value: copy it. It has no padding, so its bytes may be compared and hashed. */
struct peer_key {
    uint64_t kind; /* enum peer_kind */
    /* The user id; the IPv4 address; the first 64 bits of the IPv6 address. The first byte of an
     * address is the highest. 0 for the other kinds. */
    uint64_t value;
};

/* The key of PEER_NONE. */
#define NO_PEER ((struct peer_key){PEER_NONE, 0})

/* Large enough for the text of every key, its closing NUL included. */
#define PEER_TEXT_CAPACITY 32u

/* The peer of a connected socket. PEER_UNKNOWN: `fd` is no such socket, or its peer has left. */
struct peer_key peer_of_socket(int fd);
/* The peer at an IPv4 or IPv6 address; PEER_UNKNOWN for an address of another family. */
struct peer_key peer_of_address(const struct sockaddr *address);

static inline bool peer_same(struct peer_key a, struct peer_key b)
{
    return a.kind == b.kind && a.value == b.value;
}

/* Whether the peer is on this machine for certain: a unix socket or a loopback address. */
bool peer_is_local(struct peer_key peer);

/* Writes the peer for people: "unix:uid=1000", "192.0.2.7", "2001:db8:1:2::/64", "::1", "unknown",
 * "server". */
void peer_text(struct peer_key peer, char *text, size_t capacity);

#endif
