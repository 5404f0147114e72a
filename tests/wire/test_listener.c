/* test_listener.c - the listener from its start to its stop, against plain sockets. */
#include "listener_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h2socket/h2socket.h"

Test(listener, hands_over_a_socket_with_its_preface_unread)
{
    struct listener_fixture fixture;
    char text[sizeof(PREFACE)] = "";
    char peer[64], expected[64];
    struct sockaddr_in own;
    socklen_t size = sizeof(own);
    unsigned timeout_ms = 0;
    int on = 0, client, fd;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    client = dial_tcp(&fixture);
    send_text(client, PREFACE);
    fd = listener_fixture_next(&fixture, DEADLINE_MS);
    cr_assert_geq(fd, 0);
    cr_assert_eq(recv(fd, text, sizeof(text) - 1, 0), 24);
    cr_assert_str_eq(text, PREFACE);

    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    size = sizeof(on);
    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    cr_assert_eq(on, 1);
    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &size), 0);
    cr_assert_eq(timeout_ms, 5000);

    size = sizeof(own);
    cr_assert_eq(getsockname(client, (struct sockaddr *)&own, &size), 0);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(own.sin_port));
    h2socket_peer(fd, peer, sizeof(peer));
    cr_assert_str_eq(peer, expected);
    cr_assert_eq(h2socket_count(), 1);
    cr_assert_eq(count_get(COUNT_CONNECTIONS), 1);
    cr_assert_eq(count_get(COUNT_LIVE_CONNECTIONS), 1);

    close(fd);
    cr_assert_eq(h2socket_count(), 0);
    h2socket_peer(fd, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    h2socket_peer(-1, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    h2socket_peer(INT_MAX, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    cr_assert_eq(count_get(COUNT_LIVE_CONNECTIONS), 0);
    close(client);
    listener_fixture_close(&fixture);
}

Test(listener, stops_with_connections_in_every_state)
{
    struct listener_fixture fixture;
    char peer[64];
    int silent, client, fd;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    silent = dial_tcp(&fixture);
    send_text(silent, "PRI");
    client = dial_tcp(&fixture);
    send_text(client, PREFACE);
    fd = listener_fixture_next(&fixture, DEADLINE_MS);
    cr_assert_geq(fd, 0);
    listener_stop(fixture.listener);
    listener_stop(fixture.listener);
    cr_assert(is_closed_by_peer(silent), "a pending connection is closed");
    send_text(client, "x");
    cr_assert(is_readable(fd, DEADLINE_MS), "a connection that was handed over lives on");
    h2socket_peer(fd, peer, sizeof(peer));
    cr_assert_str_neq(peer, "unknown");
    close(fd);
    close(silent);
    close(client);
    listener_fixture_close(&fixture);
}

Test(listener, takes_32_addresses_and_no_more)
{
    struct listener_port port = {.connected = listener_fixture_connected};
    OWNED(loop_free) struct loop *loop = ample_loop();
    struct listener *listener;

    cr_assert_eq(listener_new(loop, &port, &listener).code, ERR_OK);
    for (size_t i = 0; i < 32; i++)
        cr_assert_eq(listener_add(listener, "127.0.0.1:0", 0).code, ERR_OK);
    cr_assert_eq(listener_add(listener, "127.0.0.1:0", 0).code, ERR_FULL);
    cr_assert_eq(listener_address_count(listener), 32);
    listener_free(listener);
}
