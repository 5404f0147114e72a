/* test_h2guard_window.c - the window that is lent to a connection, what is held back for it, and
 * what is received and not read. */
#include <criterion/criterion.h>
#include <string.h>

#include "h2guard_fixture.h"

#define FIRST_WINDOW 65535u

/* A connection with streams 1 and 3 open, that lends. */
static void open_lending(struct h2guard_fixture *fixture)
{
    fixture_init(fixture);
    fixture->limits.max_frame_bytes = MAX_LENT_FRAME;
    fixture->limits.lent_window_bytes = 0x01020304;
    cr_assert_null(h2guard_limits_wrong(&fixture->limits));
    fixture_open(fixture, H2GUARD_SERVER, STARTED);
    put_headers(&fixture->in, 1, 0);
    put_headers(&fixture->in, 3, 0);
    fixture_passes(fixture);
}

/* Feeds DATA of `bytes`, in frames that are as large as they may be. */
static void put_data(struct h2guard_fixture *fixture, uint32_t stream, size_t bytes)
{
    while (bytes > 0) {
        uint32_t size = (uint32_t)MIN_OF(bytes, MAX_LENT_FRAME);

        put_message_frame(&fixture->in, stream, 0, size - 5);
        bytes -= size;
    }
}

Test(h2guard_window, is_lent_once_behind_the_first_frames_of_the_core)
{
    struct h2guard_fixture fixture;
    uint8_t frame[H2GUARD_LEND_BYTES];

    fixture_init(&fixture);
    fixture.limits.max_frame_bytes = MAX_LENT_FRAME;
    fixture.limits.lent_window_bytes = 0x01020304;
    fixture_open(&fixture, H2GUARD_SERVER, BARE);
    cr_assert_eq(h2guard_lend(fixture.guard, frame), 0, "SETTINGS come first");
    put_zeros(&fixture.out, FRAME_SETTINGS, 0, 0, 6);
    fixture.out.size--;
    fixture_send(&fixture);
    cr_assert_eq(h2guard_lend(fixture.guard, frame), 0, "inside of a frame");
    buf_byte(&fixture.out, 0);
    fixture_send(&fixture);
    cr_assert_eq(h2guard_lend(fixture.guard, frame), H2GUARD_LEND_BYTES);
    cr_assert_eq(memcmp(frame, "\0\0\4\10\0\0\0\0\0\1\2\3\4", sizeof(frame)), 0);
    cr_assert_eq(h2guard_lend(fixture.guard, frame), 0, "once");
    fixture_close(&fixture);
}

Test(h2guard_window, without_one_nothing_is_lent_or_held_back)
{
    struct h2guard_fixture fixture;
    uint8_t frame[H2GUARD_LEND_BYTES];

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    cr_assert_eq(h2guard_lend(fixture.guard, frame), 0);
    put_headers(&fixture.in, 1, 0);
    put_data(&fixture, 1, 1000000);
    fixture_passes(&fixture);
    fixture_close(&fixture);
}

Test(h2guard_window, large_frames_cannot_be_combined_with_it)
{
    struct h2guard_limits limits = h2guard_defaults;

    limits.lent_window_bytes = 1;
    cr_assert_str_eq(h2guard_limits_wrong(&limits), "lent_window_bytes");
    limits.max_frame_bytes = MAX_LENT_FRAME;
    cr_assert_null(h2guard_limits_wrong(&limits));
    limits.lent_window_bytes = (1u << 30) + 1;
    cr_assert_str_eq(h2guard_limits_wrong(&limits), "lent_window_bytes");
}

/* Feeds more than the core's window, in pieces. Returns how many bytes passed before one was held
 * back. */
static size_t passed_in_pieces(size_t piece)
{
    struct h2guard_fixture fixture;
    size_t done = 0;

    open_lending(&fixture);
    put_data(&fixture, 1, 2 * (size_t)FIRST_WINDOW);
    h2guard_turn(fixture.guard, fixture.now_ns);
    while (!h2guard_holds_back(fixture.guard)) {
        struct bytes bytes = {fixture.in.data + done, MIN_OF(piece, fixture.in.size - done)};
        struct h2guard_verdict verdict = h2guard_in(fixture.guard, bytes);

        done += verdict.passed;
        cr_assert_eq(verdict.decision == H2GUARD_WAIT, h2guard_holds_back(fixture.guard));
        cr_assert_lt(done, fixture.in.size);
    }
    cr_assert_eq(fixture.counters.window_waits, 1);
    cr_assert_eq(h2guard_portion(fixture.guard), 0);
    const int64_t wait_ns = h2guard_wait_ns(fixture.guard);

    cr_assert_gt(wait_ns, 0);

    struct h2guard_verdict verdict = h2guard_in(fixture.guard, (struct bytes){fixture.in.data + done, 1});

    cr_assert(verdict.decision == H2GUARD_WAIT && verdict.passed == 0);
    put_update(&fixture.out, 0, FIRST_WINDOW);
    fixture.out.size--;
    fixture_send(&fixture);
    cr_assert(h2guard_holds_back(fixture.guard), "the increment is not complete");
    buf_byte(&fixture.out, 0xff);
    fixture_send(&fixture);
    cr_assert_not(h2guard_holds_back(fixture.guard));
    cr_assert_lt(h2guard_wait_ns(fixture.guard), wait_ns);

    memmove(fixture.in.data, fixture.in.data + done, fixture.in.size -= done);
    fixture_passes(&fixture);
    fixture_close(&fixture);
    return done;
}

Test(h2guard_window, a_frame_that_the_core_does_not_take_is_held_back_before_its_header_is_whole)
{
    /* Three frames of 16384 bytes fit into 65535, and not a fourth one. */
    const size_t expected = 3 * (9 + MAX_LENT_FRAME) + 8;

    cr_assert_eq(passed_in_pieces(WHOLE), expected);
    for (size_t piece = 1; piece <= 12; piece++)
        cr_assert_eq(passed_in_pieces(piece), expected, "pieces of %zu", piece);
}

Test(h2guard_window, frames_without_data_are_never_held_back_before_a_frame_with_data_is)
{
    struct h2guard_fixture fixture;

    open_lending(&fixture);
    put_data(&fixture, 1, FIRST_WINDOW);
    put_zeros(&fixture.in, FRAME_PING, 0, 0, 8);
    put_headers(&fixture.in, 5, 0);
    put_zeros(&fixture.in, FRAME_DATA, 0, 5, 0);
    fixture_passes(&fixture);
    cr_assert_not(h2guard_holds_back(fixture.guard));
    fixture_close(&fixture);
}

Test(h2guard_window, a_frame_that_is_too_large_ends_the_connection_and_does_not_wait_for_ever)
{
    struct h2guard_fixture fixture;

    open_lending(&fixture);
    put_data(&fixture, 1, 3 * MAX_LENT_FRAME);
    put_frame_head(&fixture.in, FRAME_DATA, 0, 1, MAX_LENT_FRAME + 1);
    fixture_ends(&fixture, H2GUARD_FRAME_TOO_LARGE);
    fixture_close(&fixture);
}

Test(h2guard_window, what_is_not_read_is_kept_until_the_core_announces_it_again)
{
    struct h2guard_fixture fixture;
    uint64_t streams = 0;

    open_lending(&fixture);
    streams = h2guard_kept(fixture.guard);
    cr_assert_eq(streams, 2 * fixture.limits.stream_bytes);
    put_data(&fixture, 1, 1000);
    put_data(&fixture, 3, 500);
    fixture_passes(&fixture);
    cr_assert_eq(h2guard_kept(fixture.guard), streams + 1500, "all of it is complete, and unread");
    put_update(&fixture.out, 1, 1600);
    put_update(&fixture.out, 0, 1500);
    fixture_send(&fixture);
    cr_assert_eq(h2guard_kept(fixture.guard), streams + 500, "more was announced than came");
    put_data(&fixture, 1, 700);
    fixture_passes(&fixture);
    cr_assert_eq(h2guard_kept(fixture.guard), streams + 600);
    put_zeros(&fixture.out, FRAME_RST_STREAM, 0, 3, 4);
    fixture_send(&fixture);
    cr_assert_eq(h2guard_kept(fixture.guard), fixture.limits.stream_bytes + 100);
    put_frame_head(&fixture.in, FRAME_DATA, 0, 1, 400);
    fixture_passes(&fixture);
    cr_assert_eq(h2guard_kept(fixture.guard), fixture.limits.stream_bytes + 100, "none of it came");
    fixture_close(&fixture);
}
