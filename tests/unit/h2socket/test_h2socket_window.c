/* test_h2socket_window.c - the window that is lent to a connection: the peer is told, and a frame
 * that was held back is read when the core announces room. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "h2socket_fixture.h"

static struct h2socket_fixture fixture;

static void begin(void)
{
    fixture_init(&fixture, 1 << 20);
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

/* A connection that lends a window. One frame more came than the core's own window takes. */
static void holding_back(struct ends *pair)
{
    OWNED(buf_fini) struct buf buf = {0};
    struct h2guard_limits *limits = &fixture.limits;

    limits->first_read_bytes = limits->max_read_bytes = 1 << 20;
    limits->max_frame_bytes = MAX_LENT_FRAME;
    limits->lent_window_bytes = 1 << 20;
    fixture_connect(&fixture, UNIX, pair);
    peer_starts(pair);
    for (int i = 0; i < 4; i++)
        put_message_frame(&buf, 1, 0, MAX_LENT_FRAME - 5);
    peer_sends(pair, &buf);
    cr_assert_eq(core_polls(&fixture, -1), 1);
    reads(pair, START_BYTES + 3 * (9 + MAX_LENT_FRAME) + 8);
}

Test(h2socket_window, a_frame_that_was_held_back_is_read_when_the_core_announces_room)
{
    OWNED(buf_fini) struct buf update = {0};
    struct ends pair;

    holding_back(&pair);
    cr_assert_eq(core_polls(&fixture, 10), 0, "nothing is announced yet");
    put_update(&update, 0, 49152);
    cr_assert_eq(core_sends(&pair, update.data, update.size), (ssize_t)update.size);

    int64_t began_ns = clock_mono_ns();

    cr_assert_eq(core_polls(&fixture, -1), 1);
    cr_assert_eq(core_event(0), &pair);
    cr_assert_lt(clock_mono_ns() - began_ns, 50 * NS_PER_MS, "at once");
    reads(&pair, 1 + MAX_LENT_FRAME);
    fixture_disconnect(&pair);
}

Test(h2socket_window, the_peer_is_told_of_the_window_that_is_lent)
{
    OWNED(buf_fini) struct buf settings = {0};
    uint8_t got[64];
    struct ends pair;

    holding_back(&pair);
    put_zeros(&settings, FRAME_SETTINGS, 0, 0, 6);
    cr_assert_eq(core_sends(&pair, settings.data, settings.size), (ssize_t)settings.size);
    cr_assert_eq(core_sends(&pair, settings.data, settings.size), (ssize_t)settings.size);
    cr_assert_eq(read(pair.peer, got, sizeof(got)), 2 * (ssize_t)settings.size + H2GUARD_LEND_BYTES);
    cr_assert_eq(memcmp(got + settings.size, "\0\0\4\10\0\0\0\0\0\0\20\0\0", H2GUARD_LEND_BYTES), 0);
    cr_assert_eq(memcmp(got + settings.size + H2GUARD_LEND_BYTES, settings.data, settings.size), 0);
    fixture_disconnect(&pair);
}
