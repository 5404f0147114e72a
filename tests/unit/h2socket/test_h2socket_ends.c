/* test_h2socket_ends.c - how a connection ends: what the peer and the core get, what is logged and
 * counted, and what ends by time. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "h2socket_fixture.h"

#define TURN 100000

static struct h2socket_fixture fixture;

static void begin(void)
{
    fixture_init(&fixture, TURN);
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(h2socket_ends, .init = begin, .fini = end);

static void sends_text(const struct ends *pair, const char *text)
{
    cr_assert_eq(send(pair->peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The core sees once that the connection has ended, and may try again. */
static void core_sees_the_end(const struct ends *pair)
{
    char data[16];

    for (int i = 0; i < 2; i++) {
        cr_assert(core_reads(pair, data, sizeof(data)) == -1 && errno == ECONNRESET);
        cr_assert(core_sends(pair, "x", 1) == -1 && errno == EPIPE);
    }
}

/* Waits for what the peer gets. Returns the bytes, 0 at the end of the stream, or -1 with errno. */
static ssize_t peer_gets(const struct ends *pair, void *data, size_t size)
{
    struct pollfd poll_fd = {.fd = pair->peer, .events = POLLIN};

    cr_assert_eq(poll(&poll_fd, 1, 10000), 1);
    return recv(pair->peer, data, size, 0);
}

/* The peer gets a GOAWAY of this reason, and then the end of the stream. */
static void peer_gets_goaway(const struct ends *pair, enum h2guard_reason reason)
{
    uint8_t frame[256];
    const char *name = h2guard_reason_name(reason);
    ssize_t size = peer_gets(pair, frame, sizeof(frame));

    cr_assert_eq(size, (ssize_t)(17 + strlen(name)));
    cr_assert_eq(frame[3], FRAME_GOAWAY);
    cr_assert_eq(memcmp(frame + 17, name, strlen(name)), 0);
    cr_assert_eq(peer_gets(pair, frame, sizeof(frame)), 0);
}

/* Makes a connection whose peer then breaks the rules, which the core has not read. */
static void wrong_peer(struct ends *pair, enum transport transport)
{
    fixture_connect(&fixture, transport, pair);
    sends_text(pair, "GET / HTTP/1.1\r\n\r\n");
    cr_assert_geq(core_polls(&fixture, -1), 1);
}

Test(h2socket_ends, at_a_frame_boundary_the_peer_gets_goaway)
{
    for (enum transport transport = UNIX; transport <= TCP; transport++) {
        struct ends pair;

        wrong_peer(&pair, transport);
        core_sees_the_end(&pair);
        peer_gets_goaway(&pair, H2GUARD_PREFACE);
        cr_assert_eq(count_get(COUNT_GUARD_ENDED), 1 + transport);
        cr_assert_eq(h2socket_counters()->ends[H2GUARD_PREFACE], 1 + transport);
        cr_assert_eq(h2socket_count(), 1, "the core has not closed it");
        fixture_disconnect(&pair);
        cr_assert_eq(h2socket_count(), 0);
    }
}

Test(h2socket_ends, within_a_frame_the_connection_is_reset)
{
    static const uint8_t half[] = {0, 0, 100, FRAME_DATA, 0, 0, 0, 0, 1, 'x'};
    char data[64];

    for (int size = 1; size <= (int)sizeof(half); size++) {
        struct ends pair;

        wrong_peer(&pair, TCP);
        cr_assert_eq(core_sends(&pair, half, (size_t)size), size);
        cr_assert_eq(peer_gets(&pair, data, sizeof(data)), size);
        core_sees_the_end(&pair);
        cr_assert(peer_gets(&pair, data, sizeof(data)) == -1 && errno == ECONNRESET, "after %d bytes", size);
        cr_assert_eq(core_polls(&fixture, -1), 1);
        cr_assert(core_event_bits(0) & EPOLLIN, "the core hears of it");
        fixture_disconnect(&pair);
    }
}

Test(h2socket_ends, a_full_socket_is_reset)
{
    struct ends pair;
    struct buf frame = {0};
    char data[65536];
    ssize_t size;
    int small = 1;

    fixture_connect(&fixture, TCP, &pair);
    setsockopt(pair.core, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    put_zeros(&frame, FRAME_DATA, 0, 1, 16384);
    do { /* until nothing fits in either end */
        size = core_sends(&pair, frame.data, frame.size);
    } while (size > 0 || poll(&(struct pollfd){.fd = pair.core, .events = POLLOUT}, 1, 100) > 0);
    sends_text(&pair, "GET / HTTP/1.1\r\n\r\n");
    cr_assert_eq(core_polls(&fixture, -1), 1);
    core_sees_the_end(&pair);
    do {
        size = peer_gets(&pair, data, sizeof(data));
    } while (size > 0);
    cr_assert(size == -1 && errno == ECONNRESET);
    fixture_disconnect(&pair);
    buf_fini(&frame);
}

Test(h2socket_ends, a_log_line_is_written_once_for_each_reason_and_second)
{
    struct ends pairs[4];
    int64_t now_ns = clock_mono_ns();

    for (int i = 0; i < 3; i++) {
        wrong_peer(&pairs[i], UNIX);
        core_sees_the_end(&pairs[i]);
        h2socket_check(now_ns);
        cr_assert_eq(fixture_log_count(&fixture, "connection.ended"), 1);
    }
    cr_assert(strstr(fixture_log(&fixture), "warn  connection.ended reason=\"PREFACE\""), "%s",
              fixture_log(&fixture));
    cr_assert(strstr(fixture_log(&fixture), "peer=\"a peer\" count=1\n"));
    cr_assert(h2socket_needs_check());
    fixture_connect(&fixture, UNIX, &pairs[3]);
    peer_starts(&pairs[3]);
    peer_sends_message(&pairs[3], 5);
    sends_text(&pairs[3], "\xff\xff\xff larger than any frame");
    cr_assert_geq(core_polls(&fixture, -1), 1);
    (void)core_reads_all(&pairs[3], &(int){0});
    core_sees_the_end(&pairs[3]);
    cr_assert_eq(fixture_log_count(&fixture, "connection.ended"), 2, "another reason");
    for (int i = 0; i < 4; i++)
        fixture_disconnect(&pairs[i]);
    cr_assert(h2socket_needs_check(), "two ends of the first reason are not in the log yet");
    h2socket_check(now_ns + 3 * NS_PER_S);
    cr_assert_eq(fixture_log_count(&fixture, "connection.ended"), 3);
    cr_assert_eq(fixture_log_count(&fixture, "count=2\n"), 1);
    cr_assert_not(h2socket_needs_check());
    h2socket_check(now_ns + 6 * NS_PER_S);
    cr_assert_eq(fixture_log_count(&fixture, "connection.ended"), 3);
}

Test(h2socket_ends, what_waits_for_the_log_is_written_at_the_end)
{
    struct ends pair;

    for (int i = 0; i < 5; i++) {
        wrong_peer(&pair, UNIX);
        core_sees_the_end(&pair);
        fixture_disconnect(&pair);
    }
    h2socket_report(INT64_MAX);
    cr_assert_eq(fixture_log_count(&fixture, "connection.ended"), 2);
    cr_assert_eq(fixture_log_count(&fixture, "count=4\n"), 1);
}

/* ---- what lingers ---- */

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Returns the descriptor that the core has closed. */
static int closes(struct ends *pair)
{
    int fd = pair->core;

    cr_assert_eq(shutdown(fd, SHUT_RDWR), 0, "as the core does");
    cr_assert_eq(close(fd), 0);
    pair->core = -1;
    return fd;
}

#define AFTER_LINGER_NS (LINGER_NS + NS_PER_S)

Test(h2socket_ends, a_peer_that_still_sends_reads_why)
{
    static const char more[100000];
    char data[16];

    for (enum transport transport = UNIX; transport <= TCP; transport++) {
        struct ends pair;

        wrong_peer(&pair, transport);
        cr_assert_gt(send(pair.peer, more, sizeof(more), MSG_NOSIGNAL), 0);
        cr_assert(core_reads(&pair, data, sizeof(data)) == -1 && errno == ECONNRESET);
        int fd = closes(&pair);
        cr_assert(is_open(fd) && h2socket_needs_check());
        if (transport == TCP)
            cr_assert_gt(send(pair.peer, more, 1000, MSG_NOSIGNAL), 0, "errno %d", errno);
        peer_gets_goaway(&pair, H2GUARD_PREFACE);
        cr_assert_eq(core_polls(&fixture, 0), 0, "the core hears no more of it");
        h2socket_check(clock_mono_ns() + AFTER_LINGER_NS);
        cr_assert(!is_open(fd) && !h2socket_needs_check());
        fixture_disconnect(&pair);
    }
}

/* The core writes as much as the socket keeps, of which the peer reads nothing. Returns how
 * much. */
static size_t fills_the_socket(const struct ends *pair)
{
    static const char data[4096];
    struct pollfd poll_fd = {.fd = pair->core, .events = POLLOUT};
    const int small = 1;
    size_t total = 0;
    ssize_t size;

    setsockopt(pair->core, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    do {
        size = core_sends(pair, data, sizeof(data));
        total += size > 0 ? (size_t)size : 0;
    } while (size > 0 || poll(&poll_fd, 1, 50) > 0);
    cr_assert(errno == EAGAIN && total > 0);
    return total;
}

/* Without the linger, the peer's bytes are answered with a reset, and what the socket has not sent
 * is lost. */
Test(h2socket_ends, what_was_written_arrives_though_the_peer_still_sends)
{
    for (enum transport transport = UNIX; transport <= TCP; transport++) {
        struct ends pair;
        char data[4096];
        ssize_t size;

        fixture_connect_with(&fixture, transport, NULL, true, &pair);
        size_t left = fills_the_socket(&pair);
        sends_text(&pair, "unread when the core closes");
        closes(&pair);
        sends_text(&pair, "after that");
        while ((size = peer_gets(&pair, data, sizeof(data))) > 0)
            left -= (size_t)size;
        cr_assert_eq(size, 0, "errno %d", errno);
        cr_assert_eq(left, 0);
        sends_text(&pair, "the peer hears of no error before it closes");
        fixture_disconnect(&pair);
    }
}

Test(h2socket_ends, it_lingers_until_the_peer_closes_and_counts_to_it)
{
    for (enum transport transport = UNIX; transport <= TCP; transport++) {
        struct ends pairs[3];
        int fds[3];

        fixture.peer = (struct peer_key){PEER_UNIX, 7};
        for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
            fixture_connect(&fixture, transport, &pairs[i]);
            cr_assert_eq(core_sends(&pairs[i], "x", 1), 1);
            fds[i] = closes(&pairs[i]);
        }
        h2socket_check(clock_mono_ns());
        cr_assert_eq(h2socket_count_of(fixture.peer), 3);
        sends_text(&pairs[1], "last words");
        fixture_disconnect(&pairs[1]);
        h2socket_check(clock_mono_ns());
        cr_assert(is_open(fds[0]) && !is_open(fds[1]) && is_open(fds[2]));
        cr_assert_eq(h2socket_count_of(fixture.peer), 2);
        h2socket_check(clock_mono_ns() + AFTER_LINGER_NS);
        cr_assert(!is_open(fds[0]) && !is_open(fds[2]));
        cr_assert_eq(h2socket_count() + h2socket_count_of(fixture.peer), 0);
        fixture_disconnect(&pairs[0]);
        fixture_disconnect(&pairs[2]);
    }
}

Test(h2socket_ends, where_nothing_was_written_or_the_peer_has_closed_nothing_lingers)
{
    for (enum transport transport = UNIX; transport <= TCP; transport++) {
        struct ends pair;
        int error;

        fixture_connect(&fixture, transport, &pair);
        cr_assert_not(is_open(closes(&pair)));
        fixture_disconnect(&pair);

        fixture_connect(&fixture, transport, &pair);
        cr_assert_eq(core_sends(&pair, "x", 1), 1);
        shutdown(pair.peer, SHUT_WR);
        cr_assert_eq(core_polls(&fixture, -1), 1);
        cr_assert_eq(core_reads_all(&pair, &error), 0);
        cr_assert_eq(error, 0);
        cr_assert_not(is_open(closes(&pair)));
        fixture_disconnect(&pair);
    }
}

Test(h2socket_ends, at_the_end_of_the_program_peers_that_close_are_waited_for)
{
    struct ends pair;

    h2socket_close_lingering(INT64_MAX); /* nothing lingers */
    fixture_connect(&fixture, TCP, &pair);
    cr_assert_eq(core_sends(&pair, "x", 1), 1);
    int fd = closes(&pair);
    sends_text(&pair, "last words");
    cr_assert_eq(close(pair.peer), 0);
    const int64_t began_ns = clock_mono_ns();
    h2socket_close_lingering(INT64_MAX);
    cr_assert_not(is_open(fd));
    cr_assert_lt(clock_mono_ns() - began_ns, LINGER_NS);
}

/* Neither one that is silent nor one that sends without end. */
Test(h2socket_ends, a_peer_that_does_not_close_is_not_waited_for_longer)
{
    static const char more[100000];

    for (enum transport transport = UNIX; transport <= TCP; transport++) {
        struct ends pairs[2];
        int fds[2];

        for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
            fixture_connect(&fixture, transport, &pairs[i]);
            cr_assert_eq(core_sends(&pairs[i], "x", 1), 1);
            fds[i] = closes(&pairs[i]);
        }
        for (int i = 0; i < 10; i++) {
            (void)send(pairs[1].peer, more, sizeof(more), MSG_NOSIGNAL);
            h2socket_check(clock_mono_ns());
        }
        cr_assert(is_open(fds[0]) && is_open(fds[1]));
        h2socket_close_lingering(clock_from_now_ns(NS_PER_MS));
        cr_assert(!is_open(fds[0]) && !is_open(fds[1]));
        cr_assert_eq(h2socket_count(), 0);
        for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
            fixture_disconnect(&pairs[i]);
    }
}

/* ---- what nobody wants any more ---- */

Test(h2socket_ends, what_is_given_up_is_neither_read_nor_written)
{
    const struct h2guard_limits *const limits[] = {NULL, &fixture.limits};
    char data[16];

    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct ends pair;

        fixture_connect_with(&fixture, TCP, limits[i], true, &pair);
        struct h2socket_end *end = h2socket_end_retain(pair.core);
        sends_text(&pair, "it has come");
        cr_assert_eq(core_polls(&fixture, -1), 1);
        h2socket_give_up(pair.core, end);
        cr_assert_eq(core_polls(&fixture, -1), 1, "the core hears it");
        cr_assert(core_reads(&pair, data, sizeof(data)) == -1 && errno == ECONNRESET);
        cr_assert(core_sends(&pair, "x", 1) == -1 && errno == EPIPE);
        cr_assert_eq(h2socket_end_reason(end), H2GUARD_NO_REASON);
        cr_assert_not(is_open(closes(&pair)));
        fixture_disconnect(&pair);
        h2socket_end_release(end);
    }
}

Test(h2socket_ends, another_connection_at_its_descriptor_stays)
{
    struct ends first, second;
    char data[16];

    fixture_connect(&fixture, UNIX, &first);
    int fd = first.core;
    struct h2socket_end *end = h2socket_end_retain(fd);
    fixture_disconnect(&first);
    fixture_connect_with(&fixture, UNIX, NULL, true, &second);
    cr_assert_eq(second.core, fd, "the kernel gives the lowest number");
    h2socket_give_up(fd, end);
    h2socket_give_up(fd, NULL);
    sends_text(&second, "x");
    cr_assert_eq(core_reads(&second, data, sizeof(data)), 1);
    fixture_disconnect(&second);
    h2socket_end_release(end);
}

/* ---- ends by time ---- */

/* The peer has sent its preface, and the core has read it. */
static void opening(struct ends *pair)
{
    fixture_connect(&fixture, UNIX, pair);
    sends_text(pair, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    cr_assert_eq(core_polls(&fixture, -1), 1);
    cr_assert_eq(core_reads_all(pair, &(int){0}), 24);
}

Test(h2socket_ends, what_stays_half_done_ends_by_time)
{
    struct ends pair;
    int64_t now_ns = clock_mono_ns();

    fixture.limits.open_timeout_ns = NS_PER_S;
    opening(&pair);
    h2socket_check(now_ns + NS_PER_S / 2);
    cr_assert_eq(core_polls(&fixture, 0), 0);
    h2socket_check(now_ns + 3 * NS_PER_S);
    cr_assert_eq(core_polls(&fixture, 0), 1, "the core hears of it");
    peer_gets_goaway(&pair, H2GUARD_OPEN_TIMEOUT);
    core_sees_the_end(&pair);
    /* A core that never closes it does no harm. */
    for (int i = 4; i < 10; i++)
        h2socket_check(now_ns + i * NS_PER_S);
    cr_assert_eq(count_get(COUNT_GUARD_ENDED), 1);
    cr_assert_eq(fixture_log_count(&fixture, "connection.ended"), 1);
    h2socket_shutdown_all();
    core_sees_the_end(&pair);
    fixture_disconnect(&pair);
}

Test(h2socket_ends, bytes_that_the_core_has_not_read_are_in_time)
{
    struct ends pair;
    struct buf settings = {0};
    int64_t now_ns = clock_mono_ns();
    int error;

    fixture.limits.open_timeout_ns = NS_PER_S;
    opening(&pair);
    put_zeros(&settings, FRAME_SETTINGS, 0, 0, 0);
    peer_sends(&pair, &settings);
    h2socket_check(now_ns + 10 * NS_PER_S); /* the core's thread was busy for so long */
    cr_assert_eq(core_polls(&fixture, 0), 1);
    cr_assert_eq(core_reads_all(&pair, &error), 9);
    cr_assert_eq(error, EAGAIN);
    h2socket_check(now_ns + 20 * NS_PER_S);
    cr_assert_eq(count_get(COUNT_GUARD_ENDED), 0);
    fixture_disconnect(&pair);
    buf_fini(&settings);
}

Test(h2socket_ends, a_socket_that_waits_does_not_end_by_time)
{
    struct ends pair;
    int error;

    fixture.limits.turn_cost = 100;
    fixture.limits.frame_timeout_ns = NS_PER_S;
    fixture_connect(&fixture, UNIX, &pair);
    peer_starts(&pair);
    peer_sends_message(&pair, 1000);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    (void)core_reads_all(&pair, &error);
    for (int i = 0; i < 5; i++) {
        h2socket_check(clock_mono_ns() + 100 * NS_PER_S);
        cr_assert_eq(core_polls(&fixture, 0), 1);
        (void)core_reads_all(&pair, &error);
        cr_assert_eq(error, EAGAIN);
    }
    cr_assert_eq(count_get(COUNT_GUARD_ENDED), 0);
    fixture_disconnect(&pair);
}

Test(h2socket_ends, the_end_of_the_stream_comes_behind_what_waits)
{
    for (enum transport transport = UNIX; transport <= TCP; transport++) {
        struct ends pair;
        size_t size = 0;
        int error;

        fixture.limits.turn_cost = 100;
        fixture_connect(&fixture, transport, &pair);
        peer_starts(&pair);
        peer_sends_message(&pair, 1000);
        close(pair.peer);
        pair.peer = -1;
        do {
            cr_assert_geq(core_polls(&fixture, 10000), 1);
            size += core_reads_all(&pair, &error);
        } while (error == EAGAIN);
        cr_assert_eq(error, 0);
        cr_assert_eq(size, START_BYTES + 9 + 1000);
        fixture_disconnect(&pair);
    }
}
