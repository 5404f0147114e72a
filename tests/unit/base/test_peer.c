/* test_peer.c - whom a connection counts to. */
#include "base/peer.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static struct peer_key at(const char *text)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(7227)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(7227)};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return peer_of_address((const struct sockaddr *)&v4);
    cr_assert_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1, "%s is no address", text);
    return peer_of_address((const struct sockaddr *)&v6);
}

static void expect_text(struct peer_key peer, const char *expected)
{
    char text[PEER_TEXT_CAPACITY];

    peer_text(peer, text, sizeof(text));
    cr_expect_str_eq(text, expected);
}

/* Connects to a listen socket at `to`, and returns the peer of the accepted socket. `from`: the
 * client's own address; NULL: any. */
static struct peer_key accepted(const struct sockaddr *to, socklen_t size, const struct sockaddr *from)
{
    struct sockaddr_storage bound;
    socklen_t bound_size = sizeof(bound);
    int listening = socket(to->sa_family, SOCK_STREAM, 0), client, server;

    cr_assert_eq(bind(listening, to, size), 0);
    cr_assert_eq(listen(listening, 1), 0);
    cr_assert_eq(getsockname(listening, (struct sockaddr *)&bound, &bound_size), 0);
    if (from && from->sa_family == AF_INET && to->sa_family == AF_INET6) { /* to a socket of both families */
        struct sockaddr_in target = {.sin_family = AF_INET,
                                     .sin_port = ((struct sockaddr_in6 *)&bound)->sin6_port,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

        memcpy(&bound, &target, sizeof(target));
        bound_size = sizeof(target);
    }
    client = socket(bound.ss_family, SOCK_STREAM, 0);
    if (from)
        cr_assert_eq(bind(client, from, bound_size), 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&bound, bound_size), 0);
    server = accept(listening, NULL, NULL);
    cr_assert_geq(server, 0);
    struct peer_key peer = peer_of_socket(server);
    close(client);
    close(server);
    close(listening);
    return peer;
}

static struct sockaddr_in v4(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    cr_assert_eq(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return address;
}

Test(peer, of_a_unix_socket_is_the_user)
{
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct peer_key peer = peer_of_socket(pair[0]);
    cr_assert(peer_same(peer, (struct peer_key){PEER_UNIX, geteuid()}));
    cr_assert(peer_is_local(peer));
    close(pair[0]);
    close(pair[1]);
    expect_text((struct peer_key){PEER_UNIX, 1000}, "unix:uid=1000");
    expect_text((struct peer_key){PEER_UNIX, UINT32_MAX}, "unix:uid=4294967295");
}

Test(peer, of_an_ipv4_address_is_the_address_and_not_the_port)
{
    struct sockaddr_in one = v4("192.0.2.7"), other = one;

    one.sin_port = htons(1);
    other.sin_port = htons(2);
    struct peer_key peer = peer_of_address((const struct sockaddr *)&one);
    cr_assert(peer_same(peer, peer_of_address((const struct sockaddr *)&other)));
    cr_assert_not(peer_same(peer, at("192.0.2.8")));
    cr_assert_not(peer_is_local(peer));
    expect_text(peer, "192.0.2.7");
    expect_text(at("255.255.255.255"), "255.255.255.255");
}

Test(peer, of_an_ipv6_address_is_its_first_64_bits)
{
    cr_assert(peer_same(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::2")));
    cr_assert_not(peer_same(at("2001:db8:1:2::1"), at("2001:db8:1:3::1")));
    cr_assert_not(peer_is_local(at("2001:db8:1:2::1")));
    expect_text(at("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    expect_text(at("ffff:ffff:ffff:ffff::"), "ffff:ffff:ffff:ffff::/64");
}

Test(peer, of_an_ipv4_mapped_address_is_the_ipv4_address)
{
    cr_assert(peer_same(at("::ffff:192.0.2.7"), at("192.0.2.7")));
    cr_assert(peer_is_local(at("::ffff:127.0.0.3")));
    cr_assert_not(peer_same(at("::192.0.2.7"), at("192.0.2.7")), "it is not mapped");
    cr_assert_not(peer_is_local(at("::127.0.0.1")));
}

Test(peer, each_loopback_address_is_a_local_peer_of_its_own)
{
    cr_assert(peer_is_local(at("127.0.0.1")));
    cr_assert(peer_is_local(at("127.0.0.2")));
    cr_assert(peer_is_local(at("127.255.255.255")));
    cr_assert(peer_is_local(at("::1")));
    cr_assert_not(peer_is_local(at("126.0.0.1")));
    cr_assert_not(peer_is_local(at("::2")));
    cr_assert_not(peer_same(at("127.0.0.1"), at("127.0.0.2")));
    cr_assert_not(peer_same(at("127.0.0.1"), at("::1")));
    cr_assert_not(peer_same(at("::1"), at("::2")));
    expect_text(at("127.0.0.2"), "127.0.0.2");
    expect_text(at("::1"), "::1");
}

Test(peer, is_read_from_an_accepted_socket)
{
    struct sockaddr_in to = v4("127.0.0.1"), from = v4("127.0.0.2");
    struct sockaddr_in6 both = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    struct peer_key peer = accepted((const struct sockaddr *)&to, sizeof(to), (const struct sockaddr *)&from);
    expect_text(peer, "127.0.0.2");
    peer = accepted((const struct sockaddr *)&both, sizeof(both), (const struct sockaddr *)&from);
    expect_text(peer, "127.0.0.2");
    peer = accepted((const struct sockaddr *)&local, sizeof(local), NULL);
    expect_text(peer, "::1");
}

Test(peer, of_what_is_no_connected_socket_is_unknown)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr other = {.sa_family = AF_UNSPEC};

    cr_assert_eq(peer_of_socket(fd).kind, PEER_UNKNOWN);
    cr_assert_eq(peer_of_socket(-1).kind, PEER_UNKNOWN);
    cr_assert_eq(peer_of_address(&other).kind, PEER_UNKNOWN);
    cr_assert_not(peer_is_local(peer_of_socket(-1)));
    expect_text(peer_of_socket(-1), "unknown");
    close(fd);
}

Test(peer, a_zeroed_key_is_the_server_itself)
{
    struct peer_key none = {0};

    cr_assert_eq(none.kind, PEER_NONE);
    cr_assert_not(peer_is_local(none));
    cr_assert_not(peer_same(none, peer_of_socket(-1)));
    expect_text(none, "server");
}
