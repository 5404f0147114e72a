/* peer.c - keys of peers, from sockets, and as text. */
#include "base/peer.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#define IPV4_LOOPBACK_NET 127u

static uint64_t first_bytes(const uint8_t *address, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | address[i];
    return value;
}

static struct peer_key from_ipv4(const uint8_t address[4])
{
    return (struct peer_key){PEER_IPV4, first_bytes(address, 4)};
}

static struct peer_key from_ipv6(const struct in6_addr *address)
{
    if (IN6_IS_ADDR_V4MAPPED(address))
        return from_ipv4(&address->s6_addr[12]);
    if (IN6_IS_ADDR_LOOPBACK(address))
        return (struct peer_key){PEER_IPV6_LOOPBACK, 0};
    return (struct peer_key){PEER_IPV6, first_bytes(address->s6_addr, 8)};
}

struct peer_key peer_of_address(const struct sockaddr *address)
{
    const void *as_any = address;
    const struct sockaddr_in *v4 = as_any;
    const struct sockaddr_in6 *v6 = as_any;

    if (address->sa_family == AF_INET)
        return from_ipv4((const uint8_t *)&v4->sin_addr.s_addr);
    if (address->sa_family == AF_INET6)
        return from_ipv6(&v6->sin6_addr);
    return (struct peer_key){PEER_UNKNOWN, 0};
}

struct peer_key peer_of_socket(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_storage largest;
    } address = {0};
    struct ucred credentials;
    socklen_t size = sizeof(address), credentials_size = sizeof(credentials);

    if (getpeername(fd, &address.any, &size) != 0)
        return (struct peer_key){PEER_UNKNOWN, 0};
    if (address.any.sa_family != AF_UNIX)
        return peer_of_address(&address.any);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_size) != 0)
        return (struct peer_key){PEER_UNKNOWN, 0};
    return (struct peer_key){PEER_UNIX, credentials.uid};
}

bool peer_is_local(struct peer_key peer)
{
    return peer.kind == PEER_UNIX || peer.kind == PEER_IPV6_LOOPBACK ||
           (peer.kind == PEER_IPV4 && peer.value >> 24 == IPV4_LOOPBACK_NET);
}

static void ipv6_text(uint64_t prefix, char *text, size_t capacity)
{
    struct in6_addr address = {0};
    char host[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < 8; i++)
        address.s6_addr[i] = (uint8_t)(prefix >> (56 - 8 * i));
    inet_ntop(AF_INET6, &address, host, sizeof(host));
    snprintf(text, capacity, "%s/64", host);
}

void peer_text(struct peer_key peer, char *text, size_t capacity)
{
    switch ((enum peer_kind)peer.kind) {
    case PEER_NONE:
        snprintf(text, capacity, "server");
        break;
    case PEER_UNKNOWN:
        snprintf(text, capacity, "unknown");
        break;
    case PEER_UNIX:
        snprintf(text, capacity, "unix:uid=%" PRIu64, peer.value);
        break;
    case PEER_IPV4:
        snprintf(text, capacity, "%u.%u.%u.%u", (unsigned)(peer.value >> 24 & 255),
                 (unsigned)(peer.value >> 16 & 255), (unsigned)(peer.value >> 8 & 255),
                 (unsigned)(peer.value & 255));
        break;
    case PEER_IPV6:
        ipv6_text(peer.value, text, capacity);
        break;
    case PEER_IPV6_LOOPBACK:
        snprintf(text, capacity, "::1");
        break;
    }
}
