/* test_peer_connections.c - the share of connections that one peer may have, pending connections
 * included (finding 11). */
#include "listener_fixture.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define ONE "127.0.0.1"
#define OTHER "127.0.0.2"
#define THIRD "127.0.0.3"

static struct listener_fixture fixture;

static struct settings settings_of(uint32_t max_connections, uint32_t percent)
{
    struct settings settings = ample_settings();

    settings.max_connections = max_connections;
    settings.local_peer_share_percent = percent;
    return settings;
}

/* Connects from this address. */
static int dial_from(const char *address)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(inet_pton(AF_INET, address, &from.sin_addr), 1);
    cr_assert_eq(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(strrchr(listener_address(fixture.listener, 0), ':') + 1));
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* A connection that was handed over. Returns the client's descriptor; *fd_out is the listener's. */
static int connected_from(const char *address, int *fd_out)
{
    int client = dial_from(address);

    send_text(client, PREFACE);
    *fd_out = listener_fixture_next(&fixture, DEADLINE_MS);
    cr_assert_geq(*fd_out, 0, "%s is served", address);
    return client;
}

static void check_refused_from(const char *address)
{
    int client = dial_from(address);

    cr_assert(is_closed_by_peer(client), "%s is refused", address);
    close(client);
}

static uint32_t count_of(const char *address)
{
    struct sockaddr_in from = {.sin_family = AF_INET};

    cr_assert_eq(inet_pton(AF_INET, address, &from.sin_addr), 1);
    return h2socket_count_of(peer_of_address((const struct sockaddr *)&from));
}

Test(peer_connections, a_peer_with_its_share_gets_no_more_and_others_do)
{
    struct settings settings = settings_of(4, 50);
    int clients[3], fds[3];

    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    for (size_t i = 0; i < 2; i++)
        clients[i] = connected_from(ONE, &fds[i]);
    check_refused_from(ONE);
    cr_assert_eq(count_of(ONE), 2);
    clients[2] = connected_from(OTHER, &fds[2]);
    cr_assert_eq(count_of(OTHER), 1);
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 1);
    for (size_t i = 0; i < 3; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    cr_assert_eq(count_of(ONE) + count_of(OTHER), 0);
    listener_fixture_close(&fixture);
}

Test(peer_connections, a_connection_that_closes_gives_its_place_back)
{
    struct settings settings = settings_of(2, 50);
    int client, fd;

    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    for (size_t i = 0; i < 100; i++) {
        client = connected_from(ONE, &fd);
        check_refused_from(ONE);
        close(client);
        close(fd);
    }
    listener_fixture_close(&fixture);
}

Test(peer_connections, a_refusal_is_logged_with_its_reason_and_peer)
{
    struct settings settings = settings_of(2, 50);
    int client, fd, log = memfd_create("log", MFD_CLOEXEC);
    char text[1024] = "";

    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    log_setup(LOG_WARN, LOG_AS_TEXT, log);
    client = connected_from(ONE, &fd);
    check_refused_from(ONE);
    close(client);
    close(fd);
    listener_fixture_close(&fixture);
    log_setup(LOG_OFF, LOG_AS_TEXT, STDERR_FILENO);
    cr_assert_gt(pread(log, text, sizeof(text) - 1, 0), 0);
    cr_assert(strstr(text, "connection.refused reason=\"peer_connections\" peer=\"" ONE ":"), "%s", text);
    close(log);
}

Test(peer_connections, the_limit_of_all_holds_for_a_peer_within_its_share)
{
    struct settings settings = settings_of(2, 50);
    int clients[2], fds[2];

    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    clients[0] = connected_from(ONE, &fds[0]);
    clients[1] = connected_from(OTHER, &fds[1]);
    check_refused_from(THIRD);
    for (size_t i = 0; i < 2; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    listener_fixture_close(&fixture);
}

Test(peer_connections, silent_connections_of_a_peer_give_way_to_its_own_next_one)
{
    struct settings settings = settings_of(8, 50);
    int others[3], live[2], fds[2], silent[2], client, fd;

    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    for (size_t i = 0; i < ARRAY_LEN(live); i++)
        live[i] = connected_from(ONE, &fds[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        others[i] = dial_from(OTHER); /* more of them are silent */
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        silent[i] = dial_from(ONE);
    client = connected_from(ONE, &fd);
    cr_assert(is_closed_by_peer(silent[0]), "the oldest of its own");
    cr_assert_not(is_readable(silent[1], 50), "the other one is within the share");
    cr_assert_not(is_readable(others[0], 0), "another peer pays nothing for it");
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 1);
    for (size_t i = 0; i < 2; i++) {
        close(silent[i]);
        close(live[i]);
        close(fds[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        close(others[i]);
    close(client);
    close(fd);
    listener_fixture_close(&fixture);
}

Test(peer_connections, pending_connections_of_one_peer_do_not_drive_out_those_of_another)
{
    struct settings settings = settings_of(4, 100);
    int first, crowd[3], third;

    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    first = dial_from(OTHER); /* the oldest of all, and slow */
    for (size_t i = 0; i < ARRAY_LEN(crowd); i++)
        crowd[i] = dial_from(ONE);
    third = dial_from(THIRD);
    cr_assert(is_closed_by_peer(crowd[0]), "the oldest of the peer that has most of them");
    send_text(first, PREFACE);
    cr_assert_geq(listener_fixture_next(&fixture, DEADLINE_MS), 0);
    send_text(third, PREFACE);
    cr_assert_geq(listener_fixture_next(&fixture, DEADLINE_MS), 0);
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 1);
    close(first);
    close(third);
    for (size_t i = 0; i < ARRAY_LEN(crowd); i++)
        close(crowd[i]);
    listener_fixture_close(&fixture);
}

Test(peer_connections, among_peers_with_equally_many_the_oldest_pending_connection_gives_way)
{
    struct settings settings = settings_of(3, 100);
    int pending[3], fourth;

    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    pending[0] = dial_from(OTHER);
    pending[1] = dial_from(ONE);
    pending[2] = dial_from(THIRD);
    fourth = dial_from("127.0.0.4");
    cr_assert(is_closed_by_peer(pending[0]));
    cr_assert_not(is_readable(pending[1], 50));
    close(fourth);
    for (size_t i = 0; i < ARRAY_LEN(pending); i++)
        close(pending[i]);
    listener_fixture_close(&fixture);
}

Test(peer_connections, a_peer_is_known_by_its_descriptor)
{
    struct settings settings = settings_of(4, 100);
    char address[H2SOCKET_PEER_CAPACITY];
    int client, fd;

    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    client = connected_from(OTHER, &fd);
    struct peer_key peer = h2socket_peer(fd, address, sizeof(address));
    cr_assert(peer_same(peer, (struct peer_key){PEER_IPV4, 0x7F000002}));
    cr_assert_eq(strncmp(address, OTHER ":", strlen(OTHER ":")), 0);
    close(client);
    close(fd);
    cr_assert_eq(h2socket_peer(fd, address, sizeof(address)).kind, PEER_UNKNOWN);
    listener_fixture_close(&fixture);
}
