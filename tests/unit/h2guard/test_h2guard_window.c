/* test_h2guard_window.c - when a window is lent to a connection and taken back, what is held back
 * for it, and what is received and not read. */
#include <criterion/criterion.h>
#include <string.h>

#include "h2guard/h2guard_window.h"
#include "h2guard_fixture.h"

#define FIRST_WINDOW 65535u
#define FIRST_LOAN 65536u
#define MAX_LENT 983040u
#define FRAME 16384u
#define MS_NS INT64_C(1000000)
#define FAR_NS (10 * MS_NS)
#define ROUNDS 4 /* after so many a window is lent */

/* A connection with its guard, the peer that fills its window, and the core that makes room. */
struct far {
    struct h2guard_fixture fixture;
    uint32_t core; /* what the core's window takes */
    uint32_t lent; /* beyond that */
};

static void open_lending(struct far *far)
{
    *far = (struct far){.core = FIRST_WINDOW};
    fixture_init(&far->fixture);
    far->fixture.limits.max_frame_bytes = MAX_LENT_FRAME;
    far->fixture.limits.max_lent_bytes = MAX_LENT;
    cr_assert_null(h2guard_limits_wrong(&far->fixture.limits));
    fixture_open(&far->fixture, H2GUARD_SERVER, STARTED);
    put_headers(&far->fixture.in, 1, 0);
    put_headers(&far->fixture.in, 3, 0);
    fixture_passes(&far->fixture);
}

/* DATA of `bytes`, in frames; more than 5 bytes are in the last one. */
static void put_data(struct h2guard_fixture *fixture, uint32_t stream, size_t bytes)
{
    while (bytes > 0) {
        uint32_t size = (uint32_t)MIN_OF(bytes, FRAME);

        put_message_frame(&fixture->in, stream, 0, size - 5);
        bytes -= size;
    }
}

/* The core announces so much that its window is full again. */
static void announce(struct far *far)
{
    put_update(&far->fixture.out, 0, FIRST_WINDOW - far->core);
    fixture_send(&far->fixture);
    if (h2guard_round_is_new(far->fixture.guard))
        h2guard_begin_round(far->fixture.guard, far->fixture.now_ns);
    far->core = FIRST_WINDOW;
}

/* The peer sends DATA, and the core makes room for it. */
static void peer_sends(struct far *far, uint32_t bytes)
{
    while (bytes > 0) {
        uint32_t size = MIN_OF(bytes, FRAME);

        if (far->core < size)
            announce(far);
        put_data(&far->fixture, 1, size);
        fixture_passes(&far->fixture);
        far->core -= size;
        bytes -= size;
    }
}

/* The core announces more, the peer sends what it may without that, and `more`. Then we wait for it
 * until it has heard of the announcement. Returns what the guard lends then, and lends it. */
static uint32_t round_trip(struct far *far, uint32_t more, int64_t trip_ns)
{
    uint8_t frame[H2GUARD_LEND_BYTES];
    uint32_t bytes = 0;

    peer_sends(far, 2 * FRAME);
    announce(far);
    peer_sends(far, FIRST_WINDOW - 2 * FRAME + far->lent + more);
    announce(far);
    far->fixture.now_ns += trip_ns;
    h2guard_turn(far->fixture.guard, far->fixture.now_ns);
    h2guard_waited(far->fixture.guard);
    if (h2guard_lend(far->fixture.guard, frame) == 0)
        return 0;
    cr_assert_eq(memcmp(frame, "\0\0\4\10\0\0\0\0\0", FRAME_HEAD_BYTES), 0);
    bytes = frame_read_u32(frame + FRAME_HEAD_BYTES);
    h2guard_lent(far->fixture.guard);
    far->lent += bytes;
    cr_assert_eq(h2guard_lend(far->fixture.guard, frame), 0, "it is lent once");
    return bytes;
}

/* Lends the first window. */
static void lend_first(struct far *far)
{
    open_lending(far);
    for (int i = 1; i < ROUNDS; i++)
        cr_assert_eq(round_trip(far, 0, FAR_NS), 0);
    cr_assert_eq(round_trip(far, 0, FAR_NS), FIRST_LOAN);
}

Test(h2guard_window, is_lent_in_steps_to_a_peer_for_which_we_have_to_wait)
{
    struct far far;
    const uint32_t steps[] = {65536, 131072, 262144, 458752, 0, 0};

    lend_first(&far);
    for (size_t step = 0; step < ARRAY_LEN(steps); step++) {
        for (int i = 1; i < ROUNDS; i++)
            cr_assert_eq(round_trip(&far, 0, FAR_NS), 0);
        cr_assert_eq(round_trip(&far, 0, FAR_NS), steps[step], "step %zu", step);
    }
    cr_assert_eq(far.lent, MAX_LENT);
    fixture_close(&far.fixture);
}

Test(h2guard_window, is_not_lent_where_the_peer_never_had_to_wait)
{
    struct far far;

    open_lending(&far);
    for (int i = 0; i < 5 * ROUNDS; i++) /* each time but once, more came before it could be late */
        cr_assert_eq(round_trip(&far, i % ROUNDS == 0 ? FRAME : 0, FAR_NS), 0, "round %d", i);
    fixture_close(&far.fixture);
}

Test(h2guard_window, is_not_lent_where_it_is_enough_or_the_peer_is_slow)
{
    const int64_t trips_ns[] = {0, MS_NS / 10, 650000, 1001 * MS_NS};
    struct far far;

    for (size_t trip = 0; trip < ARRAY_LEN(trips_ns); trip++) {
        open_lending(&far);
        for (int i = 0; i < 3 * ROUNDS; i++)
            cr_assert_eq(round_trip(&far, 0, trips_ns[trip]), 0, "%ld ns", (long)trips_ns[trip]);
        fixture_close(&far.fixture);
    }
    /* 131 KB in 1 ms are enough. */
    open_lending(&far);
    for (int i = 0; i < 5 * ROUNDS; i++)
        (void)round_trip(&far, 0, MS_NS);
    cr_assert_eq(far.lent, FIRST_LOAN);
    fixture_close(&far.fixture);
}

Test(h2guard_window, is_announced_behind_a_whole_frame)
{
    struct far far;
    uint8_t frame[H2GUARD_LEND_BYTES];

    open_lending(&far);
    for (int i = 1; i < ROUNDS; i++)
        cr_assert_eq(round_trip(&far, 0, FAR_NS), 0);
    peer_sends(&far, 2 * FRAME);
    announce(&far);
    peer_sends(&far, FIRST_WINDOW - 2 * FRAME);
    announce(&far);
    put_zeros(&far.fixture.out, FRAME_PING, 0, 0, 8);
    far.fixture.out.size--;
    fixture_send(&far.fixture);
    far.fixture.now_ns += FAR_NS;
    h2guard_turn(far.fixture.guard, far.fixture.now_ns);
    h2guard_waited(far.fixture.guard);
    cr_assert_eq(h2guard_lend(far.fixture.guard, frame), 0, "inside of a frame");
    buf_byte(&far.fixture.out, 0);
    fixture_send(&far.fixture);
    cr_assert_eq(h2guard_lend(far.fixture.guard, frame), H2GUARD_LEND_BYTES);
    cr_assert_eq(h2guard_lend(far.fixture.guard, frame), H2GUARD_LEND_BYTES, "it was not sent yet");
    fixture_close(&far.fixture);
}

Test(h2guard_window, without_one_nothing_is_lent_or_held_back)
{
    struct far far;

    open_lending(&far);
    far.fixture.limits.max_lent_bytes = 0;
    for (int i = 0; i < 3 * ROUNDS; i++)
        cr_assert_eq(round_trip(&far, 0, FAR_NS), 0);
    put_data(&far.fixture, 1, 1000000);
    fixture_passes(&far.fixture);
    cr_assert_not(h2guard_holds_back(far.fixture.guard));
    fixture_close(&far.fixture);
}

Test(h2guard_window, large_frames_cannot_be_combined_with_it)
{
    struct h2guard_limits limits = h2guard_defaults;

    limits.max_lent_bytes = 1;
    cr_assert_str_eq(h2guard_limits_wrong(&limits), "max_lent_bytes");
    limits.max_frame_bytes = MAX_LENT_FRAME;
    cr_assert_null(h2guard_limits_wrong(&limits));
    limits.max_lent_bytes = (1u << 30) + 1;
    cr_assert_str_eq(h2guard_limits_wrong(&limits), "max_lent_bytes");
}

/* Feeds more than the core's window, in pieces. Returns how many bytes passed before one was held
 * back. */
static size_t passed_in_pieces(size_t piece)
{
    struct far far;
    struct h2guard_fixture *fixture = &far.fixture;
    size_t done = 0;

    lend_first(&far);
    put_data(fixture, 1, FIRST_WINDOW + FIRST_LOAN);
    h2guard_turn(fixture->guard, fixture->now_ns);
    while (!h2guard_holds_back(fixture->guard)) {
        struct bytes bytes = {fixture->in.data + done, MIN_OF(piece, fixture->in.size - done)};
        struct h2guard_verdict verdict = h2guard_in(fixture->guard, bytes);

        done += verdict.passed;
        cr_assert_eq(verdict.decision == H2GUARD_WAIT, h2guard_holds_back(fixture->guard));
        cr_assert_lt(done, fixture->in.size);
    }
    cr_assert_eq(fixture->counters.window_waits, 1);
    cr_assert_eq(h2guard_portion(fixture->guard), 0);
    const int64_t wait_ns = h2guard_wait_ns(fixture->guard);

    cr_assert_gt(wait_ns, 0);

    struct h2guard_verdict verdict = h2guard_in(fixture->guard, (struct bytes){fixture->in.data + done, 1});

    cr_assert(verdict.decision == H2GUARD_WAIT && verdict.passed == 0);
    put_update(&fixture->out, 0, FIRST_LOAN + 255);
    fixture->out.size--;
    fixture_send(fixture);
    cr_assert(h2guard_holds_back(fixture->guard), "the increment is not complete");
    buf_byte(&fixture->out, 0xff);
    fixture_send(fixture);
    cr_assert_not(h2guard_holds_back(fixture->guard));
    cr_assert_lt(h2guard_wait_ns(fixture->guard), wait_ns);

    memmove(fixture->in.data, fixture->in.data + done, fixture->in.size -= done);
    fixture_passes(fixture);
    fixture_close(fixture);
    return done;
}

Test(h2guard_window, a_frame_that_the_core_does_not_take_is_held_back_before_its_header_is_whole)
{
    /* Three frames of 16384 bytes fit into 65535, and not a fourth one. */
    const size_t expected = 3 * (9 + FRAME) + 8;

    cr_assert_eq(passed_in_pieces(WHOLE), expected);
    for (size_t piece = 1; piece <= 12; piece++)
        cr_assert_eq(passed_in_pieces(piece), expected, "pieces of %zu", piece);
}

Test(h2guard_window, a_portion_is_no_larger_than_the_window_of_the_core)
{
    struct far far;

    lend_first(&far);
    far.fixture.limits.max_read_bytes = 1 << 20;
    cr_assert_eq(h2guard_portion(far.fixture.guard), FIRST_WINDOW);
    put_data(&far.fixture, 1, 4 * FRAME - 1);
    fixture_passes(&far.fixture);
    cr_assert_eq(h2guard_portion(far.fixture.guard), far.fixture.limits.min_read_bytes);
    fixture_close(&far.fixture);
}

Test(h2guard_window, frames_without_data_are_never_held_back_before_a_frame_with_data_is)
{
    struct far far;

    lend_first(&far);
    put_data(&far.fixture, 1, FIRST_WINDOW);
    put_zeros(&far.fixture.in, FRAME_PING, 0, 0, 8);
    put_headers(&far.fixture.in, 5, 0);
    put_zeros(&far.fixture.in, FRAME_DATA, 0, 5, 0);
    fixture_passes(&far.fixture);
    cr_assert_not(h2guard_holds_back(far.fixture.guard));
    fixture_close(&far.fixture);
}

/* The core refuses DATA beyond its window, and goes on. */
Test(h2guard_window, what_the_core_refuses_takes_nothing_of_its_window)
{
    struct far far;

    open_lending(&far);
    put_data(&far.fixture, 1, FIRST_WINDOW);
    put_data(&far.fixture, 3, 3 * FRAME);
    fixture_passes(&far.fixture);
    far.core = 0;
    announce(&far);
    for (int i = 0; far.lent == 0 && i < 2 * ROUNDS; i++)
        (void)round_trip(&far, 0, FAR_NS);
    cr_assert_eq(far.lent, FIRST_LOAN);
    put_zeros(&far.fixture.in, FRAME_DATA, 0, 1, 0);
    put_data(&far.fixture, 1, FRAME);
    fixture_passes(&far.fixture);
    cr_assert_not(h2guard_holds_back(far.fixture.guard));
    fixture_close(&far.fixture);
}

Test(h2guard_window, a_frame_is_held_back_for_five_seconds_at_most)
{
    struct far far;
    struct h2guard_fixture *fixture = &far.fixture;

    lend_first(&far);
    put_data(fixture, 1, FIRST_WINDOW + FRAME);
    h2guard_turn(fixture->guard, fixture->now_ns);
    size_t done = h2guard_in(fixture->guard, (struct bytes){fixture->in.data, fixture->in.size}).passed;
    cr_assert(h2guard_holds_back(fixture->guard));
    fixture->now_ns += 4999 * MS_NS;
    h2guard_turn(fixture->guard, fixture->now_ns);
    cr_assert(h2guard_holds_back(fixture->guard));
    fixture->now_ns += MS_NS;
    h2guard_turn(fixture->guard, fixture->now_ns);
    cr_assert_not(h2guard_holds_back(fixture->guard));
    memmove(fixture->in.data, fixture->in.data + done, fixture->in.size -= done);
    fixture_passes(fixture);
    fixture_close(fixture);
}

Test(h2guard_window, a_frame_that_is_too_large_ends_the_connection_and_does_not_wait_for_ever)
{
    struct far far;

    lend_first(&far);
    put_data(&far.fixture, 1, 3 * FRAME);
    put_frame_head(&far.fixture.in, FRAME_DATA, 0, 1, MAX_LENT_FRAME + 1);
    fixture_ends(&far.fixture, H2GUARD_FRAME_TOO_LARGE);
    fixture_close(&far.fixture);
}

/* A connection that has been behind for so long, since its latest turn. */
static void fall_behind(struct far *far, int64_t ns)
{
    h2guard_keeps_up(far->fixture.guard, false);
    far->fixture.now_ns += ns;
    h2guard_turn(far->fixture.guard, far->fixture.now_ns);
    h2guard_keeps_up(far->fixture.guard, false);
}

Test(h2guard_window, is_taken_back_while_the_server_is_behind)
{
    struct far far;

    open_lending(&far);
    fall_behind(&far, SECOND_NS);
    cr_assert_not(h2guard_takes_back(far.fixture.guard), "nothing is lent");
    fixture_close(&far.fixture);

    lend_first(&far);
    fall_behind(&far, 99 * MS_NS);
    cr_assert_not(h2guard_takes_back(far.fixture.guard));
    fall_behind(&far, MS_NS);
    cr_assert(h2guard_takes_back(far.fixture.guard));
    h2guard_keeps_up(far.fixture.guard, true);
    cr_assert_not(h2guard_takes_back(far.fixture.guard));
    fall_behind(&far, 99 * MS_NS);
    cr_assert_not(h2guard_takes_back(far.fixture.guard), "it begins anew");
    fixture_close(&far.fixture);
}

/* Three announcements of the connection and one of a stream, split at `split`. Returns what is left
 * of them for the peer; the core has announced 3 * 40000. */
static uint32_t announced_after(struct far *far, size_t split, size_t *changed_out)
{
    struct buf *out = &far->fixture.out;
    uint32_t left = 0;

    put_update(out, 0, 40000);
    put_update(out, 1, 40000);
    put_update(out, 0, 40000);
    put_zeros(out, FRAME_PING, FRAME_ACK, 0, 8);
    put_update(out, 0, 40000);
    const struct iovec pieces[] = {{.iov_base = out->data, .iov_len = split},
                                   {.iov_base = out->data + split, .iov_len = out->size - split}};

    h2guard_take_back(far->fixture.guard, pieces, ARRAY_LEN(pieces));
    *changed_out = 0;
    for (size_t at = 0; at < out->size; at += 9 + out->data[at + 2]) {
        uint32_t bytes = frame_read_u32(out->data + at + 9);

        if (out->data[at + 3] != FRAME_WINDOW_UPDATE)
            continue;
        if (out->data[at + 8] == 1)
            cr_assert_eq(bytes, 40000, "streams are the core's alone");
        else
            left += bytes;
        *changed_out += bytes != 40000;
    }
    fixture_send(&far->fixture);
    return left;
}

Test(h2guard_window, is_taken_out_of_the_announcements_of_the_core_however_they_are_split)
{
    struct far far;

    for (size_t split = 0; split <= 4 * 13 + 17; split++) {
        size_t changed = 0;

        lend_first(&far);
        fall_behind(&far, SECOND_NS);
        cr_assert_eq(announced_after(&far, split, &changed), 3 * 40000 - FIRST_LOAN, "split at %zu", split);
        cr_assert_eq(changed, 3);
        cr_assert_not(h2guard_takes_back(far.fixture.guard), "nothing is lent any more");
        put_data(&far.fixture, 1, FIRST_WINDOW + 3 * 40000);
        fixture_passes(&far.fixture);
        cr_assert_eq(far.fixture.counters.window_waits, 0, "the core takes all that it has announced");
        fixture_close(&far.fixture);
    }
}

Test(h2guard_window, a_small_part_of_an_announcement_is_left)
{
    struct far far;
    struct h2guard_fixture *fixture = &far.fixture;

    lend_first(&far);
    fall_behind(&far, SECOND_NS);
    for (uint32_t bytes = 1; bytes < 50; bytes++) {
        put_update(&fixture->out, 0, bytes);
        const struct iovec piece = {.iov_base = fixture->out.data, .iov_len = fixture->out.size};

        h2guard_take_back(fixture->guard, &piece, 1);
        cr_assert_geq(4 * frame_read_u32(fixture->out.data + 9), bytes);
        fixture_send(fixture);
    }
    fixture_close(fixture);
}

Test(h2guard_window, a_frame_that_was_sent_in_part_is_not_changed)
{
    struct far far;
    struct h2guard_fixture *fixture = &far.fixture;

    lend_first(&far);
    fall_behind(&far, SECOND_NS);
    put_update(&fixture->out, 0, 40000);
    OWNED(buf_fini) struct buf rest = {0};

    buf_bytes(&rest, fixture->out.data + 10, 3);
    fixture->out.size = 10;
    fixture_send(fixture);
    const struct iovec piece = {.iov_base = rest.data, .iov_len = rest.size};

    h2guard_take_back(fixture->guard, &piece, 1);
    cr_assert_eq(memcmp(rest.data, "\0\x9c\x40", 3), 0);
    fixture_close(fixture);
}

Test(h2guard_window, what_is_not_read_is_kept_until_the_core_announces_it_again)
{
    struct h2guard_fixture fixture;
    uint64_t streams = 0;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    put_headers(&fixture.in, 1, 0);
    put_headers(&fixture.in, 3, 0);
    fixture_passes(&fixture);
    streams = h2guard_kept(fixture.guard);
    cr_assert_eq(streams, 2 * fixture.limits.stream_bytes);
    put_message_frame(&fixture.in, 1, 0, 995);
    put_message_frame(&fixture.in, 3, 0, 495);
    fixture_passes(&fixture);
    cr_assert_eq(h2guard_kept(fixture.guard), streams + 1500, "all of it is complete, and unread");
    put_update(&fixture.out, 1, 1600);
    put_update(&fixture.out, 0, 1500);
    fixture_send(&fixture);
    cr_assert_eq(h2guard_kept(fixture.guard), streams + 500, "more was announced than came");
    put_message_frame(&fixture.in, 1, 0, 695);
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
