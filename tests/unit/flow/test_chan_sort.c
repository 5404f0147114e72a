/* test_chan_sort.c - sorting by time: what is held, for how long, and in which order it goes. */
#include <criterion/criterion.h>

#include "event/field_write.h"
#include "flow/chan_report.h"
#include "flow/feed.h"
#include "lib/events.h"
#include "timed.h"

static const struct chan_limits sorting = {.max_events = 1000,
                                           .max_bytes = 1 << 20,
                                           .overflow = OVERFLOW_DROP_NEWEST,
                                           .sort = {.duration_ns = 100 * MS, .max_events = 500}};

Test(chan_sort, merges_the_feeds_by_time_when_the_oldest_is_due)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 3);
    cr_assert_eq(timed_put(&fixture, 0, 10, "1 4 7"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "2 5"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 2, 12, "0 3 6 8 9"), ERR_OK);
    cr_assert_eq(timed_due_ms(&fixture), 110);
    cr_assert_str_eq(timed_deliver(&fixture, 109), "");
    cr_assert_str_eq(timed_deliver(&fixture, 110), "c1 a1 b1 c2 a2 b2 c3 a3",
                     "up to the last event that is due, and no further");
    cr_assert_eq(timed_due_ms(&fixture), 112);
    cr_assert_str_eq(timed_deliver(&fixture, 112), "c4-5");
    cr_assert_eq(timed_due_ms(&fixture), INT64_MAX);
    cr_assert_eq(flow_fixture_balance(&fixture).sorted_late, 0);
    flow_fixture_close(&fixture);
}

Test(chan_sort, the_taker_is_called_for_the_first_event_and_not_for_others)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "10"), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 1, "it must set its timer");
    chan_rearm(fixture.chan);
    cr_assert_eq(timed_put(&fixture, 1, 11, "5"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 0, 12, "12"), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 1, "nothing goes earlier because of these");
    cr_assert_str_eq(timed_deliver(&fixture, 112), "b1 a1 a2");
    cr_assert_eq(timed_put(&fixture, 1, 113, "113"), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 2, "it was empty again");
    flow_fixture_close(&fixture);
}

Test(chan_sort, a_full_window_lets_the_earliest_go)
{
    struct chan_limits limits = sorting;
    struct flow_fixture fixture;

    limits.sort.max_events = 3;
    flow_fixture_open(&fixture, &limits, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "3 4"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "1"), ERR_OK);
    chan_rearm(fixture.chan);
    fixture.readable_calls = 0;
    cr_assert_eq(timed_put(&fixture, 1, 12, "2 5"), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_eq(timed_due_ms(&fixture), -1);
    cr_assert_str_eq(timed_deliver(&fixture, 12), "b1 b2", "two are too many");
    cr_assert_eq(timed_due_ms(&fixture), 110);
    cr_assert_eq(flow_fixture_balance(&fixture).sort_full, 2);
    cr_assert_str_eq(timed_deliver(&fixture, 200), "a1-2 b3");
    cr_assert_eq(flow_fixture_balance(&fixture).sort_full, 2);
    flow_fixture_close(&fixture);
}

Test(chan_sort, a_window_is_full_at_half_of_the_bytes)
{
    struct chan_limits limits = sorting;
    struct flow_fixture fixture;

    limits.max_bytes = 2000;
    flow_fixture_open(&fixture, &limits, 1);
    cr_assert_eq(timed_put_many(&fixture, 0, 10, 2, 10, 400), ERR_OK);
    cr_assert_eq(timed_due_ms(&fixture), 110);
    cr_assert_eq(timed_put_many(&fixture, 0, 11, 2, 11, 400), ERR_OK);
    cr_assert_eq(timed_due_ms(&fixture), -1);
    cr_assert_str_eq(timed_deliver(&fixture, 11), "a1 a2", "one by one, until half is left");
    cr_assert_eq(flow_fixture_balance(&fixture).sort_full, 2);
    flow_fixture_close(&fixture);
}

Test(chan_sort, what_comes_too_late_goes_at_once_and_is_counted)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "10"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 110), "a1");
    cr_assert_eq(timed_put(&fixture, 0, 111, "111"), ERR_OK);
    chan_rearm(fixture.chan);
    fixture.readable_calls = 0;
    cr_assert_eq(timed_put(&fixture, 1, 112, "9"), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_eq(timed_due_ms(&fixture), -1);
    cr_assert_str_eq(timed_deliver(&fixture, 112), "b1", "the other one is still held");
    cr_assert_eq(flow_fixture_balance(&fixture).sorted_late, 1);
    cr_assert_eq(timed_put(&fixture, 1, 113, "10"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 113), "b2", "the same time is not too late");
    cr_assert_eq(flow_fixture_balance(&fixture).sorted_late, 1);
    flow_fixture_close(&fixture);
}

Test(chan_sort, equal_times_go_in_the_order_of_arrival)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 3);
    cr_assert_eq(timed_put(&fixture, 2, 10, "5 5"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 0, 11, "5"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 12, "5"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 2, 13, "5 5"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 120), "c1-2 a1 b1 c3-4");
    flow_fixture_close(&fixture);
}

Test(chan_sort, a_producer_whose_times_go_back_keeps_its_order)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "8 2 9"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "3 10"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 110), "b1 a1-3", "2 goes right after the 8 before it");
    cr_assert_eq(flow_fixture_balance(&fixture).sorted_late, 1);
    cr_assert_str_eq(timed_deliver(&fixture, 111), "b2");
    flow_fixture_close(&fixture);
}

Test(chan_sort, an_event_without_a_time_counts_by_its_arrival)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 4);
    cr_assert_eq(timed_put(&fixture, 0, 10, "-"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "9"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 2, 12, "inf"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 3, 13, "11"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 113), "b1 a1 d1 c1", "9 10 11 12");
    flow_fixture_close(&fixture);
}

Test(chan_sort, half_of_the_window_is_for_clocks_that_are_ahead)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 3);
    cr_assert_eq(timed_put(&fixture, 0, 10, "60"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "62"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 2, 12, "12"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 110), "b1 c1 a1",
                     "50 ms ahead is believed; 51 ms counts as the arrival");
    cr_assert_eq(timed_put(&fixture, 1, 111, "61"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 211), "b2");
    cr_assert_eq(flow_fixture_balance(&fixture).sorted_late, 0, "half of the window is left to the others");
    flow_fixture_close(&fixture);
}

Test(chan_sort, one_that_names_the_far_future_does_not_end_the_sorting)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 3);
    cr_assert_eq(timed_put(&fixture, 0, 10, "9000000000"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 110), "a1");
    cr_assert_eq(timed_put(&fixture, 1, 120, "119"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 2, 121, "118"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 220), "c1 b1");
    cr_assert_eq(flow_fixture_balance(&fixture).sorted_late, 0);
    flow_fixture_close(&fixture);
}

/* The clocks of test and server agree again after one event. */
Test(chan_sort, goes_on_when_the_clock_is_set_back)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 2);
    cr_assert_eq(timed_put(&fixture, 0, 100000, "100000"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 100100), "a1");
    fixture.observed_ns += 100200 * MS; /* the monotonic clock goes on */
    cr_assert_eq(timed_put(&fixture, 0, 0, "0"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 0), "a2");
    cr_assert_eq(timed_put(&fixture, 0, 60, "60"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 61, "55"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 61), "");
    cr_assert_str_eq(timed_deliver(&fixture, 160), "b1 a3");
    flow_fixture_close(&fixture);
}

Test(chan_sort, a_drain_lets_everything_go_at_once)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "7 9"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "8"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 11), "");
    fixture.readable_calls = 0;
    chan_drain(fixture.chan);
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_eq(timed_due_ms(&fixture), -1);
    cr_assert_str_eq(timed_deliver(&fixture, 11), "a1 b1 a2");
    cr_assert_eq(flow_fixture_balance(&fixture).sort_full, 0);
    cr_assert(chan_idle(fixture.chan));
    flow_fixture_close(&fixture);
}

Test(chan_sort, a_close_drops_what_is_held)
{
    struct flow_fixture fixture;
    struct chan_stats stats;

    flow_fixture_open(&fixture, &sorting, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "7 9"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "8"), ERR_OK);
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.queued.events, 3, "what is held is queued");
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.dropped[LOSS_DRAIN_CUT].events, 3);
    cr_assert_str_eq(timed_deliver(&fixture, 500), "");
    cr_assert_eq(chan_next_bytes(fixture.chan), 0);
    flow_fixture_close(&fixture);
}

Test(chan_sort, a_mark_lets_go_what_was_held_before_it)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 3);
    cr_assert_eq(timed_put(&fixture, 0, 10, "7 9"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "8"), ERR_OK);
    chan_rearm(fixture.chan);
    fixture.readable_calls = 0;
    chan_mark(fixture.chan, 1);
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_eq(timed_put(&fixture, 2, 12, "1"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 0, 12, "11"), ERR_OK);
    cr_assert_eq(chan_marked(fixture.chan), 0);
    cr_assert_str_eq(timed_deliver(&fixture, 12), "a1 b1 a2", "what came after the mark stays behind it");
    cr_assert_eq(chan_marked(fixture.chan), 1);
    cr_assert_str_eq(timed_deliver(&fixture, 12), "c1", "earlier than what has gone");
    cr_assert_str_eq(timed_deliver(&fixture, 112), "a3");
    flow_fixture_close(&fixture);
}

Test(chan_sort, positions_wait_for_what_is_held)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "7 9"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "8 20"), ERR_OK);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 99), "");
    cr_assert_str_eq(timed_deliver(&fixture, 110), "a1 b1 a2");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 99), "a=2 b=1");
    flow_fixture_feed_close(&fixture, 1, 7);
    cr_assert_str_eq(flow_fixture_states(&fixture, 99), "", "not before its last event");
    cr_assert_str_eq(timed_deliver(&fixture, 111), "b2");
    cr_assert_str_eq(flow_fixture_states(&fixture, 99), "b is 7");
    flow_fixture_close(&fixture);
}

Test(chan_sort, tells_the_size_of_the_earliest_event)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &sorting, 2);
    cr_assert_eq(timed_put_many(&fixture, 0, 10, 2, 10, 100), ERR_OK);
    cr_assert_gt(chan_next_bytes(fixture.chan), 100);
    cr_assert_eq(timed_put_many(&fixture, 1, 11, 1, 5, 10), ERR_OK);
    cr_assert_lt(chan_next_bytes(fixture.chan), 100);
    flow_fixture_close(&fixture);
}

/* ---- a field inside the data ---- */

static struct bytes bytes_of(const struct buf *buf)
{
    return (struct bytes){buf->data, buf->size};
}

/* An event whose data has a Timestamp in field 3 of field 2; `time_ms` NO_TIME: it has none. */
static void put_nested(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, int64_t time_ms,
                       int64_t own_ms)
{
    static const struct framing_limits limits = {.max_event_bytes = 1 << 20,
                                                 .max_batch_bytes = 1 << 20,
                                                 .max_batch_events = 16,
                                                 .max_name_bytes = 256};
    struct buf stamp = {0}, inner = {0}, data = {0}, message = {0};
    struct framing_scan scan = {0};
    struct event_view view = {0};
    struct chunk *chunk = NULL;
    struct fault fault;
    const int64_t wall_ns = TIMED_WALL_NS + (time_ms == NO_TIME ? 0 : time_ms * MS);

    if (time_ms != NO_TIME) {
        field_varint(&stamp, 1, (uint64_t)(wall_ns / (1000 * MS)));
        field_varint(&stamp, 2, (uint64_t)(wall_ns % (1000 * MS)));
        field_message(&inner, 3, &stamp);
    }
    field_message(&data, 2, &inner);
    view.data = bytes_of(&data);
    view.time_unix_nano = own_ms == NO_TIME ? 0 : (uint64_t)(TIMED_WALL_NS + own_ms * MS);
    put_event(&message, &view, NULL, 0);
    cr_assert_eq(framing_scan(&scan, bytes_of(&message), &limits, &fault), FAULT_NONE);
    cr_assert_eq(chunk_of(bytes_of(&message), &scan, &chunk), ERR_OK);
    chunk->source = source_retain(fixture->sources[feed]);
    chunk->first_sequence = fixture->next[feed]++;
    chunk->observed_mono_ns = fixture->observed_ns + at_ms * MS;
    chunk->observed_wall_ns = TIMED_WALL_NS + at_ms * MS;
    cr_assert_eq(chan_put(fixture->chan, fixture->feeds[feed], chunk, 0, 1, NULL), ERR_OK);
    chunk_release(chunk);
    framing_fini(&scan);
    buf_fini(&stamp);
    buf_fini(&inner);
    buf_fini(&data);
    buf_fini(&message);
}

Test(chan_sort, a_field_inside_the_data_says_the_time)
{
    struct chan_limits limits = sorting;
    struct flow_fixture fixture;

    cr_assert(field_path_parse("2.3", &limits.sort.field));
    flow_fixture_open(&fixture, &limits, 4);
    put_nested(&fixture, 0, 10, 9, 1);
    put_nested(&fixture, 1, 11, 8, 2);
    put_nested(&fixture, 2, 12, NO_TIME, 7);
    put_nested(&fixture, 3, 13, NO_TIME, NO_TIME);
    cr_assert_str_eq(timed_deliver(&fixture, 113), "c1 b1 a1 d1",
                     "without the field the event's own time counts, and then its arrival");
    flow_fixture_close(&fixture);
}
