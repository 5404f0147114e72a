/* test_listener.c - the accept loop against plain sockets, with a fake port in place of the
 * core. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "server/wire/listener.h"

#define DEADLINE_MS 5000
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* A listener with one address, and a pipe through which its sockets come. */
struct house {
    struct listener *listener;
    int given[2];
};

static const struct listener_settings roomy = {.max_connections = 100,
                                               .spare_descriptors = 0,
                                               .preface_ns = 60 * NS_PER_S,
                                               .user_timeout_ns = 5 * NS_PER_S};

static void on_connected(void *ctx, int fd)
{
    struct house *house = ctx;

    cr_assert_eq(write(house->given[1], &fd, sizeof(fd)), (ssize_t)sizeof(fd));
}

static void house_open(struct house *house, const struct listener_settings *settings, const char *address)
{
    const struct listener_port port = {.connected = on_connected, .ctx = house};

    log_setup(LOG_OFF, LOG_AS_TEXT, STDERR_FILENO);
    cr_assert_eq(pipe2(house->given, O_CLOEXEC), 0);
    cr_assert_eq(listener_new(settings, &port, &house->listener).code, ERR_OK);
    cr_assert_eq(listener_add(house->listener, address).code, ERR_OK);
    cr_assert_eq(listener_start(house->listener).code, ERR_OK);
}

static void house_close(struct house *house)
{
    listener_free(house->listener);
    close(house->given[0]);
    close(house->given[1]);
}

static bool readable(int fd, int within_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, within_ms) == 1;
}

/* The next socket that was given away, or -1 when none comes in time. */
static int given(struct house *house, int within_ms)
{
    int fd = -1;

    if (readable(house->given[0], within_ms))
        cr_assert_eq(read(house->given[0], &fd, sizeof(fd)), (ssize_t)sizeof(fd));
    return fd;
}

static int dial(const struct house *house)
{
    const char *text = listener_address(house->listener, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)atoi(strrchr(text, ':') + 1));
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0, "connect: %s",
                 strerror(errno));
    return fd;
}

static int dial_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0, "connect: %s",
                 strerror(errno));
    return fd;
}

static void say(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Whether the other side ends the connection in time. */
static bool ended(int fd)
{
    char byte;

    return readable(fd, DEADLINE_MS) && recv(fd, &byte, 1, 0) <= 0;
}

/* Dials until one connection is given away; the listener looks again at most every few
 * milliseconds. */
static bool is_taken_again(struct house *house)
{
    int64_t until_ns = clock_mono_ns() + DEADLINE_MS * NS_PER_MS;
    int fd = -1;

    while (fd < 0 && clock_mono_ns() < until_ns) {
        int client = dial(house);

        (void)!send(client, PREFACE, strlen(PREFACE), MSG_NOSIGNAL);
        fd = given(house, 100);
        close(client);
    }
    return fd >= 0;
}

static char *temporary_folder(void)
{
    static char folder[] = "/tmp/test_listener.XXXXXX";

    cr_assert_not_null(mkdtemp(folder));
    return folder;
}

Test(listener, gives_a_socket_away_with_its_preface_unread)
{
    struct house house;
    char text[sizeof(PREFACE)] = "";
    char peer[64], expected[64];
    struct sockaddr_in mine;
    socklen_t size = sizeof(mine);
    unsigned timeout_ms = 0;
    int on = 0, client, fd;

    house_open(&house, &roomy, "127.0.0.1:0");
    client = dial(&house);
    say(client, PREFACE);
    fd = given(&house, DEADLINE_MS);
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

    size = sizeof(mine);
    cr_assert_eq(getsockname(client, (struct sockaddr *)&mine, &size), 0);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(mine.sin_port));
    listener_peer(house.listener, fd, peer, sizeof(peer));
    cr_assert_str_eq(peer, expected);
    cr_assert_eq(listener_connections(house.listener), 1);
    cr_assert_eq(count_get(COUNT_CONNECTIONS), 1);
    cr_assert_eq(count_get(COUNT_LIVE_CONNECTIONS), 1);

    close(fd);
    cr_assert_eq(listener_connections(house.listener), 0);
    listener_peer(house.listener, fd, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    listener_peer(house.listener, -1, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    listener_peer(house.listener, INT_MAX, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    cr_assert_eq(count_get(COUNT_LIVE_CONNECTIONS), 0);
    close(client);
    house_close(&house);
}

Test(listener, a_descriptor_that_is_used_for_something_else_is_no_connection)
{
    struct house house;
    char peer[64];
    int client, fd;

    house_open(&house, &roomy, "127.0.0.1:0");
    client = dial(&house);
    say(client, PREFACE);
    fd = given(&house, DEADLINE_MS);
    cr_assert_geq(fd, 0);
    cr_assert_eq(dup3(house.given[0], fd, O_CLOEXEC), fd);
    cr_assert_eq(listener_connections(house.listener), 0);
    listener_peer(house.listener, fd, peer, sizeof(peer));
    cr_assert_str_eq(peer, "unknown");
    close(fd);
    close(client);
    house_close(&house);
}

Test(listener, takes_a_preface_that_comes_byte_by_byte)
{
    struct house house;
    int client;

    house_open(&house, &roomy, "127.0.0.1:0");
    client = dial(&house);
    for (size_t i = 0; i < strlen(PREFACE); i++) {
        char byte[2] = {PREFACE[i], '\0'};

        cr_assert_eq(given(&house, 0), -1, "given away after %zu bytes", i);
        say(client, byte);
        poll(NULL, 0, 1); /* so that the bytes travel one by one; nothing is decided by it */
    }
    cr_assert_geq(given(&house, DEADLINE_MS), 0);
    close(client);
    house_close(&house);
}

Test(listener, half_a_preface_does_not_keep_the_thread_busy)
{
    struct house house;
    struct timespec before, after;
    int64_t spent_ns;
    int client;

    house_open(&house, &roomy, "127.0.0.1:0");
    client = dial(&house);
    say(client, "PRI * HTTP");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    cr_assert_eq(given(&house, 300), -1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    spent_ns = (after.tv_sec - before.tv_sec) * NS_PER_S + after.tv_nsec - before.tv_nsec;
    cr_assert_lt(spent_ns, 100 * NS_PER_MS, "%ld ns of CPU in 300 ms of waiting", (long)spent_ns);
    close(client);
    house_close(&house);
}

Test(listener, ends_what_is_not_http2_at_once)
{
    static const char *const wrong[] = {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", "PRJ",
                                        "\x16\x03\x01"};
    struct house house;

    house_open(&house, &roomy, "127.0.0.1:0");
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        int client = dial(&house);

        say(client, wrong[i]);
        cr_assert(ended(client), "number %zu", i);
        close(client);
    }
    cr_assert_eq(given(&house, 0), -1);
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), (int64_t)ARRAY_LEN(wrong));
    cr_assert_eq(count_get(COUNT_CONNECTIONS), 0);
    house_close(&house);
}

Test(listener, ends_a_peer_that_hangs_up_with_half_a_preface)
{
    struct house house;
    int client;

    house_open(&house, &roomy, "127.0.0.1:0");
    client = dial(&house);
    say(client, "PRI *");
    shutdown(client, SHUT_WR);
    cr_assert(ended(client));
    close(client);
    house_close(&house);
}

Test(listener, ends_the_silent_at_the_deadline_and_not_before)
{
    struct listener_settings settings = roomy;
    struct house house;
    int silent, slow;
    int64_t began_ns;

    settings.preface_ns = 200 * NS_PER_MS;
    house_open(&house, &settings, "127.0.0.1:0");
    began_ns = clock_mono_ns();
    silent = dial(&house);
    slow = dial(&house);
    say(slow, "PRI * HTTP/2.0\r\n");
    cr_assert(ended(silent));
    cr_assert_geq(clock_mono_ns() - began_ns, 190 * NS_PER_MS);
    cr_assert(ended(slow));
    cr_assert_eq(given(&house, 0), -1);
    close(silent);
    close(slow);
    house_close(&house);
}

Test(listener, refuses_beyond_the_most_and_takes_again_when_one_has_gone)
{
    struct listener_settings settings = roomy;
    struct house house;
    int clients[4], fds[3];

    settings.max_connections = 3;
    house_open(&house, &settings, "127.0.0.1:0");
    for (size_t i = 0; i < 3; i++) {
        clients[i] = dial(&house);
        say(clients[i], PREFACE);
        fds[i] = given(&house, DEADLINE_MS);
        cr_assert_geq(fds[i], 0);
    }
    clients[3] = dial(&house);
    cr_assert(ended(clients[3]));
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 1);
    close(clients[3]);

    /* One goes, and its number is used for something else: only a new look at all of them can
     * tell. */
    cr_assert_eq(dup3(house.given[0], fds[0], O_CLOEXEC), fds[0]);
    cr_assert(is_taken_again(&house), "who comes when one has gone is taken");
    for (size_t i = 0; i < 3; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    house_close(&house);
}

Test(listener, the_silent_give_way_to_those_who_come)
{
    struct listener_settings settings = roomy;
    struct house house;
    int silent[3], client;

    settings.max_connections = 2;
    house_open(&house, &settings, "127.0.0.1:0");
    for (size_t i = 0; i < 3; i++)
        silent[i] = dial(&house);
    cr_assert(ended(silent[0]), "the oldest goes");
    client = dial(&house);
    say(client, PREFACE);
    cr_assert_geq(given(&house, DEADLINE_MS), 0);
    cr_assert(ended(silent[1]), "then the next");
    say(silent[2], PREFACE);
    cr_assert_geq(given(&house, DEADLINE_MS), 0, "who still fits stays");
    close(client);
    for (size_t i = 0; i < 3; i++)
        close(silent[i]);
    house_close(&house);
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

Test(listener, keeps_the_spare_descriptors_free)
{
    struct listener_settings settings = roomy;
    struct house house;
    int first, second;

    settings.spare_descriptors = 8;
    house_open(&house, &settings, "127.0.0.1:0");
    /* One client takes the lowest free number, its connection the next: that is the last one below
     * the spare eight. */
    max_descriptors(lowest_free() + 2 + 8);
    first = dial(&house);
    say(first, PREFACE);
    cr_assert_geq(given(&house, DEADLINE_MS), 0);
    second = dial(&house);
    cr_assert(ended(second));
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), 1);
    close(first);
    close(second);
    house_close(&house);
}

Test(listener, survives_the_end_of_all_descriptors)
{
    struct house house;
    struct timespec before, after;
    int clients[8], hoard[256];
    size_t hoarded = 0;
    int64_t spent_ns;

    house_open(&house, &roomy, "127.0.0.1:0");
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    max_descriptors(lowest_free() + 64);
    while (hoarded < ARRAY_LEN(hoard) && (hoard[hoarded] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        hoarded++;
    cr_assert_eq(errno, EMFILE);

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};

        address.sin_port = htons((uint16_t)atoi(strrchr(listener_address(house.listener, 0), ':') + 1));
        cr_assert_eq(connect(clients[i], (struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert(ended(clients[i]), "refused, not left hanging");
    }
    cr_assert_eq(given(&house, 200), -1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    spent_ns = (after.tv_sec - before.tv_sec) * NS_PER_S + after.tv_nsec - before.tv_nsec;
    cr_assert_lt(spent_ns, 100 * NS_PER_MS, "no spinning");
    cr_assert_eq(count_get(COUNT_CONNECTIONS_REFUSED), (int64_t)ARRAY_LEN(clients));

    while (hoarded > 0)
        close(hoard[--hoarded]);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        close(clients[i]);
    clients[0] = dial(&house);
    say(clients[0], PREFACE);
    cr_assert_geq(given(&house, DEADLINE_MS), 0, "it takes connections again");
    close(clients[0]);
    house_close(&house);
}

Test(listener, a_socket_file_is_for_its_owner_and_goes_with_the_listener)
{
    struct house house;
    struct stat about;
    char address[128], peer[64], expected[64];
    char *folder = temporary_folder();
    int client, fd;

    snprintf(address, sizeof(address), "unix:%s/socket", folder);
    house_open(&house, &roomy, address);
    cr_assert_str_eq(listener_address(house.listener, 0), address);
    cr_assert_eq(stat(address + 5, &about), 0);
    cr_assert(S_ISSOCK(about.st_mode));
    cr_assert_eq(about.st_mode & 0777, 0600);
    client = dial_unix(address + 5);
    say(client, PREFACE);
    fd = given(&house, DEADLINE_MS);
    cr_assert_geq(fd, 0);
    listener_peer(house.listener, fd, peer, sizeof(peer));
    snprintf(expected, sizeof(expected), "unix:pid=%d,uid=%u", getpid(), getuid());
    cr_assert_str_eq(peer, expected);
    close(client);
    listener_stop(house.listener);
    cr_assert_eq(stat(address + 5, &about), -1);
    house_close(&house);
    cr_assert_eq(rmdir(folder), 0);
}

Test(listener, replaces_a_stale_socket_file_and_not_a_live_one)
{
    struct house first, second;
    struct listener *third;
    struct listener_port port = {.connected = on_connected, .ctx = &second};
    struct sockaddr_un stale = {.sun_family = AF_UNIX};
    char address[sizeof(stale.sun_path)];
    char *folder = temporary_folder();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct status status;

    snprintf(address, sizeof(address), "unix:%s/socket", folder);
    memcpy(stale.sun_path, address + 5, strlen(address + 5) + 1);
    cr_assert_eq(bind(fd, (struct sockaddr *)&stale, sizeof(stale)), 0);
    close(fd);
    house_open(&first, &roomy, address);

    cr_assert_eq(listener_new(&roomy, &port, &third).code, ERR_OK);
    status = listener_add(third, address);
    cr_assert_eq(status.code, ERR_IO);
    cr_assert_eq(status.sys, EADDRINUSE);
    cr_assert_eq(listener_count(third), 0);
    listener_free(third);
    fd = dial_unix(address + 5);
    say(fd, PREFACE);
    cr_assert_geq(given(&first, DEADLINE_MS), 0, "the live one was not disturbed");
    close(fd);

    /* Somebody removes the file and a second server takes the place: the first one, going, must
     * leave it. */
    cr_assert_eq(unlink(address + 5), 0);
    house_open(&second, &roomy, address);
    house_close(&first);
    close(dial_unix(address + 5));
    house_close(&second);
    cr_assert_eq(rmdir(folder), 0);
}

Test(listener, does_not_remove_what_is_no_socket)
{
    struct listener_port port = {.connected = on_connected};
    struct listener *listener;
    struct status status;
    char address[128];
    char *folder = temporary_folder();
    int fd;

    snprintf(address, sizeof(address), "unix:%s/precious", folder);
    fd = open(address + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(listener_new(&roomy, &port, &listener).code, ERR_OK);
    status = listener_add(listener, address);
    cr_assert_eq(status.code, ERR_IO);
    cr_assert_eq(status.sys, EEXIST);
    listener_free(listener);
    cr_assert_eq(unlink(address + 5), 0, "it is still there");
    cr_assert_eq(rmdir(folder), 0);
}

Test(listener, says_what_is_wrong_with_an_address)
{
    static const char *const garbage[] = {"",
                                          "7227",
                                          "localhost",
                                          "127.0.0.1:",
                                          ":7227",
                                          "127.0.0.1:65536",
                                          "127.0.0.1:-1",
                                          "127.0.0.1:1x",
                                          "::1:7227",
                                          "[::1]",
                                          "[::1]x:1",
                                          "[127.0.0.1]:1",
                                          "[localhost]:1",
                                          "[]:1",
                                          "unix:",
                                          "no.such.name.invalid:1"};
    struct listener_port port = {.connected = on_connected};
    struct listener *listener;
    char long_path[256];

    cr_assert_eq(listener_new(&roomy, &port, &listener).code, ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++)
        cr_assert_eq(listener_add(listener, garbage[i]).code, ERR_INVALID, "\"%s\"", garbage[i]);
    snprintf(long_path, sizeof(long_path), "unix:/tmp/%0103d", 0);
    cr_assert_eq(listener_add(listener, long_path).code, ERR_INVALID, "a path of 108 bytes");
    cr_assert_eq(listener_count(listener), 0);
    listener_free(listener);
}

Test(listener, says_when_an_address_is_taken)
{
    struct house house;
    struct listener_port port = {.connected = on_connected, .ctx = &house};
    struct listener *second;
    struct status status;

    house_open(&house, &roomy, "localhost:0");
    cr_assert_eq(strncmp(listener_address(house.listener, 0), "127.0.0.1:", 10), 0);
    cr_assert_eq(listener_new(&roomy, &port, &second).code, ERR_OK);
    status = listener_add(second, listener_address(house.listener, 0));
    cr_assert_eq(status.code, ERR_IO);
    cr_assert_eq(status.sys, EADDRINUSE);
    listener_free(second);
    house_close(&house);
}

Test(listener, sixteen_addresses_and_no_more)
{
    struct listener_port port = {.connected = on_connected};
    struct listener *listener;

    cr_assert_eq(listener_new(&roomy, &port, &listener).code, ERR_OK);
    for (size_t i = 0; i < 16; i++)
        cr_assert_eq(listener_add(listener, "127.0.0.1:0").code, ERR_OK);
    cr_assert_eq(listener_add(listener, "127.0.0.1:0").code, ERR_FULL);
    cr_assert_eq(listener_count(listener), 16);
    listener_free(listener);
}

Test(listener, stops_with_connections_in_every_state)
{
    struct house house;
    char peer[64];
    int silent, client, fd;

    house_open(&house, &roomy, "127.0.0.1:0");
    silent = dial(&house);
    say(silent, "PRI");
    client = dial(&house);
    say(client, PREFACE);
    fd = given(&house, DEADLINE_MS);
    cr_assert_geq(fd, 0);
    listener_stop(house.listener);
    listener_stop(house.listener);
    cr_assert(ended(silent), "who waits for nothing is let go");
    say(client, "x");
    cr_assert(readable(fd, DEADLINE_MS), "what was given away lives on");
    listener_peer(house.listener, fd, peer, sizeof(peer));
    cr_assert_str_neq(peer, "unknown");
    close(fd);
    close(silent);
    close(client);
    house_close(&house);
}

Test(listener, knows_what_is_local)
{
    static const char *const local[] = {
        "127.0.0.1:0", "127.255.255.255:65535",   "localhost:7227",           "LocalHost:7227",
        "[::1]:7227",  "[::ffff:127.0.0.1]:7227", "unix:/run/tributary.sock", "unix:here"};
    static const char *const elsewhere[] = {"0.0.0.0:7227",
                                            "[::]:7227",
                                            "128.0.0.1:7227",
                                            "126.255.255.255:7227",
                                            "10.0.0.1:7227",
                                            "[::2]:7227",
                                            "[::ffff:10.0.0.1]:7227",
                                            "[::ffff:0.0.0.0]:7227",
                                            "[fe80::1]:7227",
                                            "example.org:7227",
                                            "localhost.example.org:7227",
                                            "127.0.0.1.example.org:7227",
                                            "127.1:7227",
                                            "127.0.0.1",
                                            "",
                                            ":",
                                            ":7227",
                                            "unix:",
                                            "[::1]",
                                            "::1:7227",
                                            "garbage"};

    for (size_t i = 0; i < ARRAY_LEN(local); i++)
        cr_assert(listener_is_local(local[i]), "\"%s\"", local[i]);
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
        cr_assert_not(listener_is_local(elsewhere[i]), "\"%s\"", elsewhere[i]);
}
