/* test_listener_limits.c - the limits of the listener: connections, pending connections and
 * descriptors. */
#include "listener_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h2socket/h2socket.h"

Test(listener_limits, refuses_beyond_the_maximum_and_accepts_again_after_one_has_closed)
{
    struct settings settings = ample_settings();
    struct listener_fixture fixture;
    int clients[4], fds[3];

    settings.max_connections = 3;
    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    for (size_t i = 0; i < 3; i++) {
        clients[i] = dial_tcp(&fixture);
        send_text(clients[i], PREFACE);
        fds[i] = listener_fixture_next(&fixture, DEADLINE_MS);
        cr_assert_geq(fds[i], 0);
    }
    clients[3] = dial_tcp(&fixture);
    cr_assert(is_closed_by_peer(clients[3]));
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 1);
    close(clients[3]);

    close(fds[0]);
    clients[3] = dial_tcp(&fixture);
    send_text(clients[3], PREFACE);
    fds[0] = listener_fixture_next(&fixture, DEADLINE_MS);
    cr_assert_geq(fds[0], 0, "a connection is accepted as soon as one has closed");
    close(clients[3]);
    for (size_t i = 0; i < 3; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    listener_fixture_close(&fixture);
}

Test(listener_limits, a_new_connection_replaces_the_oldest_pending_one)
{
    struct settings settings = ample_settings();
    struct listener_fixture fixture;
    int silent[3], client;

    settings.max_connections = 2;
    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    for (size_t i = 0; i < 3; i++)
        silent[i] = dial_tcp(&fixture);
    cr_assert(is_closed_by_peer(silent[0]), "the oldest is refused");
    client = dial_tcp(&fixture);
    send_text(client, PREFACE);
    cr_assert_geq(listener_fixture_next(&fixture, DEADLINE_MS), 0);
    cr_assert(is_closed_by_peer(silent[1]), "then the next oldest");
    send_text(silent[2], PREFACE);
    cr_assert_geq(listener_fixture_next(&fixture, DEADLINE_MS), 0, "one pending connection still fits");
    close(client);
    for (size_t i = 0; i < 3; i++)
        close(silent[i]);
    listener_fixture_close(&fixture);
}

/* A connection that has sent its preface. Returns the client's descriptor. *fd_out is the
 * listener's, or -1 where the connection was refused. */
static int connected(struct listener_fixture *fixture, int *fd_out)
{
    int client = dial_tcp(fixture);

    send_text(client, PREFACE);
    *fd_out = listener_fixture_next(fixture, DEADLINE_MS);
    return client;
}

Test(listener_limits, a_new_version_of_the_settings_holds_for_the_next_connection)
{
    struct settings settings = ample_settings();
    struct listener_fixture fixture;
    int clients[3], fds[3], refused;

    settings.max_connections = 1;
    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    clients[0] = connected(&fixture, &fds[0]);
    refused = dial_tcp(&fixture);
    cr_assert(is_closed_by_peer(refused));
    close(refused);
    settings.max_connections = 3;
    cr_assert_eq(loop_publish_settings(fixture.loop, &settings), ERR_OK);
    for (size_t i = 1; i < 3; i++) {
        clients[i] = connected(&fixture, &fds[i]);
        cr_assert_geq(fds[i], 0);
    }
    settings.max_connections = 2;
    cr_assert_eq(loop_publish_settings(fixture.loop, &settings), ERR_OK);
    refused = dial_tcp(&fixture);
    cr_assert(is_closed_by_peer(refused));
    close(refused);
    cr_assert_eq(h2socket_count(), 3, "a lower limit ends none");
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 2);
    for (size_t i = 0; i < 3; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    listener_fixture_close(&fixture);
}

static void max_descriptors(int max)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)max, .rlim_max = (rlim_t)max};

    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    close(fd);
    return fd;
}

Test(listener_limits, keeps_the_spare_descriptors_free)
{
    struct settings settings = ample_settings();
    struct listener_fixture fixture;
    int first, second;

    settings.spare_descriptors = 8;
    listener_fixture_open(&fixture, &settings, "127.0.0.1:0");
    /* The client gets the lowest free descriptor and its connection the next one: that is the last
     * descriptor below the spare eight. */
    max_descriptors(lowest_free() + 2 + 8);
    first = dial_tcp(&fixture);
    send_text(first, PREFACE);
    cr_assert_geq(listener_fixture_next(&fixture, DEADLINE_MS), 0);
    second = dial_tcp(&fixture);
    cr_assert(is_closed_by_peer(second));
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 1);
    close(first);
    close(second);
    listener_fixture_close(&fixture);
}

Test(listener_limits, refuses_without_any_free_descriptor_and_accepts_again_later)
{
    struct listener_fixture fixture;
    int clients[8], hoard[256];
    size_t hoarded = 0;
    int64_t before_ns, spent_ns;

    listener_fixture_open(&fixture, NULL, "127.0.0.1:0");
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    max_descriptors(lowest_free() + 64);
    while (hoarded < ARRAY_LEN(hoard) && (hoard[hoarded] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        hoarded++;
    cr_assert_eq(errno, EMFILE);

    before_ns = process_cpu_ns();
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};

        address.sin_port = htons((uint16_t)atoi(strrchr(listener_address(fixture.listener, 0), ':') + 1));
        cr_assert_eq(connect(clients[i], (struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert(is_closed_by_peer(clients[i]), "refused, not left in the backlog");
    }
    cr_assert_eq(listener_fixture_next(&fixture, 200), -1);
    spent_ns = process_cpu_ns() - before_ns;
    cr_assert_lt(spent_ns, 100 * NS_PER_MS, "no spinning");
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), (int64_t)ARRAY_LEN(clients));

    while (hoarded > 0)
        close(hoard[--hoarded]);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        close(clients[i]);
    clients[0] = dial_tcp(&fixture);
    send_text(clients[0], PREFACE);
    cr_assert_geq(listener_fixture_next(&fixture, DEADLINE_MS), 0, "it accepts connections again");
    close(clients[0]);
    listener_fixture_close(&fixture);
}
