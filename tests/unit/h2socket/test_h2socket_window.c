/* test_h2socket_window.c - the window that is lent to a connection: what a thread that sleeps and
 * one that is busy do, how the peer learns of it, and what is held back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "h2guard/h2guard_window.h"
#include "h2socket_fixture.h"

#define FIRST_WINDOW 65535u
#define FIRST_HALF (FIRST_WINDOW - MAX_LENT_FRAME)
#define UPDATE_BYTES 13u
#define DISTANCE_NS (3 * NS_PER_MS) /* longer than what the first window is enough for */
#define PATIENCE_NS (20 * NS_PER_S)

static struct h2socket_fixture fixture;

static void begin(void)
{
    struct h2guard_limits *limits = &fixture.limits;

    fixture_init(&fixture, 1 << 20);
    limits->first_read_bytes = limits->max_read_bytes = 1 << 20;
    limits->max_frame_bytes = MAX_LENT_FRAME;
    limits->max_lent_bytes = 1 << 20;
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(h2socket_window, .init = begin, .fini = end);

/* The core reads until EAGAIN. */
static void reads(const struct ends *pair, size_t size)
{
    int error;
    size_t got = core_reads_all(pair, &error);

    cr_assert_eq(got, size, "%zu bytes, and not %zu", got, size);
    cr_assert_eq(error, EAGAIN);
}

static void core_announces(const struct ends *pair, uint32_t bytes)
{
    OWNED(buf_fini) struct buf update = {0};

    put_update(&update, 0, bytes);
    cr_assert_eq(core_sends(pair, update.data, update.size), (ssize_t)update.size);
}

static void starts(struct ends *pair)
{
    fixture_connect(&fixture, UNIX, pair);
    peer_starts(pair);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    reads(pair, START_BYTES);
}

/* The first half of a window, in two frames, and the second half in one frame, the largest. */
static void put_first_half(struct buf *buf)
{
    put_message_frame(buf, 1, 0, FIRST_HALF / 2 - 5);
    put_message_frame(buf, 1, 0, FIRST_HALF / 2 - 5);
}

static void put_second_half(struct buf *buf)
{
    put_message_frame(buf, 1, 0, MAX_LENT_FRAME - 5);
}

static void *send_later(void *arg)
{
    const struct timespec distance = {.tv_nsec = DISTANCE_NS};
    const struct ends *pair = (const struct ends *)arg;

    nanosleep(&distance, NULL);
    cr_assert_eq(write(pair->peer, "\0\0\10\6\0\0\0\0\0PINGPING", 17), 17);
    return NULL;
}

/* The peer uses its window, and the core announces a new one. Then a PING comes, DISTANCE_NS later:
 * while the core's thread sleeps, or before it polls. Returns the bytes that the peer was sent. */
static size_t window_later(const struct ends *pair, bool sleeps, uint8_t got[64])
{
    OWNED(buf_fini) struct buf buf = {0};
    pthread_t thread;

    put_first_half(&buf);
    peer_sends(pair, &buf);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    reads(pair, 2 * 9 + FIRST_HALF);
    core_announces(pair, FIRST_HALF);
    put_second_half(&buf);
    peer_sends(pair, &buf);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    reads(pair, 9 + MAX_LENT_FRAME);
    core_announces(pair, MAX_LENT_FRAME);

    cr_assert_eq(pthread_create(&thread, NULL, send_later, (void *)pair), 0);
    if (!sleeps)
        pthread_join(thread, NULL);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    reads(pair, 17);
    if (sleeps)
        pthread_join(thread, NULL);
    cr_assert_eq(core_sends(pair, "\0\0\10\6\1\0\0\0\0PINGPING", 17), 17);
    return (size_t)read(pair->peer, got, 64);
}

/* Rounds in which the peer is waited for, until the first window is lent. A thread that was not
 * scheduled in time spoils a round, not the test. */
static void lend_first(struct ends *pair)
{
    const int64_t until_ns = clock_from_now_ns(PATIENCE_NS);
    const size_t usual = 2 * UPDATE_BYTES + 17;
    size_t size = usual;
    uint8_t got[64];

    starts(pair);
    while (size == usual && clock_mono_ns() < until_ns)
        size = window_later(pair, true, got);
    cr_assert_eq(size, usual + UPDATE_BYTES);
    cr_assert_eq(memcmp(got + usual, "\0\0\4\10\0\0\0\0\0\0\1\0\0", UPDATE_BYTES), 0);
}

Test(h2socket_window, is_lent_where_the_thread_sleeps_until_the_peer_goes_on)
{
    struct ends pair;

    lend_first(&pair);
    fixture_disconnect(&pair);
}

Test(h2socket_window, is_not_lent_by_a_thread_that_is_busy)
{
    struct ends pair;
    uint8_t got[64];

    starts(&pair);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(window_later(&pair, false, got), 2 * UPDATE_BYTES + 17, "round %d", i);
    fixture_disconnect(&pair);
}

Test(h2socket_window, a_frame_that_was_held_back_is_read_when_the_core_announces_room)
{
    OWNED(buf_fini) struct buf buf = {0};
    struct ends pair;

    lend_first(&pair);
    put_first_half(&buf);
    put_second_half(&buf);
    put_second_half(&buf);
    peer_sends(&pair, &buf);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    reads(&pair, 3 * 9 + FIRST_WINDOW + 8);
    cr_assert_eq(core_polls(&fixture, 10), 0, "nothing is announced yet");
    core_announces(&pair, MAX_LENT_FRAME);

    int64_t began_ns = clock_mono_ns();

    cr_assert_eq(core_polls(&fixture, -1), 1);
    cr_assert_eq(core_event(0), &pair);
    cr_assert_lt(clock_mono_ns() - began_ns, 50 * NS_PER_MS, "at once");
    reads(&pair, 1 + MAX_LENT_FRAME);
    fixture_disconnect(&pair);
}

/* For longer than the guard allows, each read leaves something in the socket, and no poll sleeps.
 */
static void fall_behind(const struct ends *pair)
{
    const int64_t until_ns = clock_from_now_ns(150 * NS_PER_MS);
    const struct timespec pause = {.tv_nsec = NS_PER_MS};
    uint8_t some[40];

    for (bool is_late = false; !is_late;) {
        OWNED(buf_fini) struct buf buf = {0};

        is_late = clock_mono_ns() > until_ns;
        put_message_frame(&buf, 1, 0, 50);
        peer_sends(pair, &buf);
        cr_assert_eq(core_polls(&fixture, 0), 1);
        cr_assert_eq(core_reads(pair, some, sizeof(some)), (ssize_t)sizeof(some));
        nanosleep(&pause, NULL);
    }
}

Test(h2socket_window, is_taken_back_from_a_thread_that_falls_behind)
{
    struct ends pair;
    uint8_t got[64];

    lend_first(&pair);
    fall_behind(&pair);
    core_announces(&pair, 40000);
    cr_assert_eq(read(pair.peer, got, sizeof(got)), UPDATE_BYTES);
    cr_assert_eq(memcmp(got, "\0\0\4\10\0\0\0\0\0\0\0\x27\x10", UPDATE_BYTES), 0, "10000 are left");
    fixture_disconnect(&pair);
}
