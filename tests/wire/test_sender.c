/* test_sender.c - what the sender puts into its messages. */
#include <stdio.h>
#include <string.h>

#include "event/field_write.h"
#include "flow/feed.h"
#include "flow/feed_catch.h"
#include "lib/chunks.h"
#include "sender_fixture.h"

static struct sender_fixture fixture;

static void close_fixture(void)
{
    sender_fixture_close(&fixture);
}

TestSuite(sender, .fini = close_fixture);

Test(sender, started_comes_before_everything_else)
{
    OWNED(buf_fini) struct buf bytes = {0};

    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.states = true;
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert(client_read(&fixture.client, &bytes));
    cr_assert_eq(bytes.data[0], 6 << 3 | 2, "the field `started` comes first");
}

Test(sender, started_comes_at_once)
{
    sender_fixture_open(&fixture, NULL, 1);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
}

Test(sender, events_that_waited_come_in_one_message)
{
    sender_fixture_open(&fixture, NULL, 3);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 1, 0), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 2, 2000), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 2, 70, 2000), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; a1-3; b1; a4-5; c1-70");
}

Test(sender, entries_of_a_source_that_follow_each_other_become_one_run)
{
    sender_fixture_open(&fixture, NULL, 2);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 5000), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    sender_fixture_skip(&fixture, 0, 1);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 1, 10), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; a1-6; a8-9; b1; a10-11");
}

Test(sender, part_of_a_chunk_has_the_right_sequences)
{
    sender_fixture_open(&fixture, NULL, 1);
    OWNED(chunk_release) struct chunk *chunk = sender_fixture_chunk(&fixture, 0, 100, 10);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 90, 100, NULL), ERR_OK);
    OWNED(buf_fini) struct buf bytes = {0};
    sender_fixture_subscribe(&fixture);
    cr_assert(client_read(&fixture.client, &bytes));
    /* first_sequence is 91 and the time is the chunk's. The fixture's reader knows only whole
     * chunks, so this test reads the bytes. */
    static const uint8_t first_sequence[] = {4 << 3 | 1, 91, 0, 0, 0, 0, 0, 0, 0};
    cr_assert(memmem(bytes.data, bytes.size, first_sequence, sizeof(first_sequence)));
    cr_assert(memmem(bytes.data, bytes.size,
                     "\x1a\x02"
                     "91",
                     4));
    cr_assert_not(memmem(bytes.data, bytes.size,
                         "\x1a\x02"
                         "90",
                         4));
}

Test(sender, a_message_holds_no_more_than_batch_events)
{
    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.batch_events = 3;
    cr_assert_eq(sender_fixture_put(&fixture, 0, 7, 10), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; a1-3");
}

Test(sender, events_beyond_batch_events_come_with_the_next_message)
{
    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.batch_events = 3;
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; a1-3");
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, FILLER_BYTES), ERR_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    sender_fixture_read_events(&fixture, 5);
    cr_assert_eq(fixture.progress, 0);
}

Test(sender, a_message_holds_no_more_than_batch_bytes)
{
    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.batch_bytes = 1000;
    cr_assert_eq(sender_fixture_put(&fixture, 0, 7, 300), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 3000), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; a1-3");
}

Test(sender, events_that_come_while_a_message_is_in_flight_are_sent_together)
{
    sender_fixture_open(&fixture, NULL, 2);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    sender_fixture_fill_window(&fixture);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
        wire_fixture_turn(&fixture.wire);
    }
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_str_eq(sender_fixture_read(&fixture), "a2-21");
}

Test(sender, a_loss_comes_before_the_next_event_of_its_source)
{
    static const struct chan_limits two = {
        .max_events = 2, .max_bytes = 1u << 30, .overflow = OVERFLOW_DROP_OLDEST};

    sender_fixture_open(&fixture, &two, 2);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; lost a 1-3 OLDEST; a4-5");
}

Test(sender, a_loss_is_reported_without_a_following_event)
{
    static const struct chan_limits two = {
        .max_events = 2, .max_bytes = 1u << 30, .overflow = OVERFLOW_DROP_NEWEST};

    sender_fixture_open(&fixture, &two, 1);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    feed_gap(fixture.chan, fixture.feeds[0], 1, 4, false);
    cr_assert_str_eq(sender_fixture_read(&fixture), "lost a 1-4 GAP");
}

Test(sender, states_are_reported_if_the_settings_ask_for_them)
{
    sender_fixture_open(&fixture, NULL, 2);
    fixture.settings.states = true;
    cr_assert_eq(sender_fixture_put(&fixture, 1, 1, 10), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; b1; a is 3; b is 3");
    feed_state(fixture.chan, fixture.feeds[0], &(struct source_state){.state = 1});
    cr_assert_str_eq(sender_fixture_read(&fixture), "a is 1");
    sender_fixture_fill_window(&fixture);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    feed_close(fixture.chan, fixture.feeds[0], 8, 0, NULL);
    fixture.feeds[0] = NULL;
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_str_eq(sender_fixture_read(&fixture), "a2; a is 8",
                     "the state comes after the feed's last event");
}

Test(sender, states_are_not_reported_otherwise)
{
    sender_fixture_open(&fixture, NULL, 2);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    feed_state(fixture.chan, fixture.feeds[0], &(struct source_state){.state = 1});
    cr_assert_eq(sender_fixture_put(&fixture, 1, 1, 10), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "b1");
    feed_close(fixture.chan, fixture.feeds[0], 8, 0, NULL);
    fixture.feeds[0] = NULL;
    cr_assert_eq(sender_fixture_put(&fixture, 1, 1, 10), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "b2");
}

static uint32_t count_states(const char *text)
{
    uint32_t count = 0;

    while (text && (text = strstr(text, " is 3"))) {
        text++;
        count++;
    }
    return count;
}

Test(sender, a_message_holds_a_thousand_states_and_the_next_one_the_rest)
{
    static struct feed *feeds[1001];
    struct source *crowd;

    sender_fixture_open(&fixture, NULL, 0);
    fixture.settings.states = true;
    crowd = source_named("z", 26);
    for (size_t i = 0; i < ARRAY_LEN(feeds); i++)
        feeds[i] = feed_open(fixture.chan, crowd, 3, NULL);
    sender_fixture_subscribe(&fixture);
    cr_assert_eq(count_states(sender_fixture_read(&fixture)), 1000);
    cr_assert_eq(count_states(sender_fixture_read(&fixture)), 1);
    for (size_t i = 0; i < ARRAY_LEN(feeds); i++)
        feed_close(fixture.chan, feeds[i], 3, 0, NULL);
    source_release(crowd);
}

static void act_add_closing(void *ctx)
{
    OWNED(buf_fini) struct buf note = {0};

    (void)ctx;
    field_bytes_always(&note, 5, (struct bytes){0});
    sender_add_note(fixture.sender, &note);
}

Test(sender, a_note_is_sent_without_events)
{
    sender_fixture_open(&fixture, NULL, 1);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    wire_fixture_run(&fixture.wire, act_add_closing, NULL);
    cr_assert_str_eq(sender_fixture_read(&fixture), "closing");
}

Test(sender, a_note_waits_for_the_message_in_flight)
{
    sender_fixture_open(&fixture, NULL, 1);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    sender_fixture_fill_window(&fixture);
    wire_fixture_run(&fixture.wire, act_add_closing, NULL);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 1), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_str_eq(sender_fixture_read(&fixture), "a2; closing");
}

static void act_send_closing(void *ctx)
{
    (void)ctx;
    sender_add_closing(fixture.sender);
}

Test(sender, a_closing_counts_the_events_of_its_message)
{
    sender_fixture_open(&fixture, NULL, 1);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    sender_fixture_fill_window(&fixture);
    wire_fixture_run(&fixture.wire, act_send_closing, NULL);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 1), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_str_eq(sender_fixture_read(&fixture), "a2-4; closing 4");
    sender_fixture_wait_sent(&fixture);
    wire_fixture_run(&fixture.wire, act_send_closing, NULL);
    cr_assert_str_eq(sender_fixture_read(&fixture), "closing 4", "it needs no events");
}

Test(sender, thousands_of_chunks_arrive_whole_and_in_order)
{
    uint64_t seen[2] = {0}, first, last;
    char name;

    sender_fixture_open(&fixture, NULL, 2);
    sender_fixture_subscribe(&fixture);
    for (uint32_t i = 0; i < 4000; i++)
        cr_assert_eq(sender_fixture_put(&fixture, i % 3 == 0, 1 + i % 5, i % 97 == 0 ? 3000 : i % 50),
                     ERR_OK);
    while (seen[0] + 1 < fixture.next[0] || seen[1] + 1 < fixture.next[1]) {
        char *save = NULL;
        cr_assert(sender_fixture_read(&fixture));
        for (char *word = strtok_r(fixture.text, "; ", &save); word; word = strtok_r(NULL, "; ", &save)) {
            int parts = sscanf(word, "%c%lu-%lu", &name, &first, &last);
            if (parts < 2)
                continue;
            cr_assert_eq(first, seen[name - 'a'] + 1);
            seen[name - 'a'] = parts == 2 ? first : last;
        }
    }
}

static void set_paused(void *ctx, bool pause)
{
    (void)ctx;
    (void)pause;
}

/* Feed 0 is that of a stored topic's reader. */
static void open_with_reader(void)
{
    const struct pause_port pause = {.set_paused = set_paused};

    sender_fixture_open(&fixture, NULL, 2);
    feed_close(fixture.chan, fixture.feeds[0], 3, 0, NULL);
    fixture.feeds[0] = feed_open(fixture.chan, fixture.sources[0], 3, &pause);
}

Test(sender, what_a_reader_notes_comes_with_its_events_without_other_notices)
{
    open_with_reader();
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    feed_caught_up(fixture.chan, fixture.feeds[0], 3);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 1, 10), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; a1-3; b1; a has 3");
    feed_fell_behind(fixture.chan, fixture.feeds[0], 4);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a fell 4");
    feed_caught_up(fixture.chan, fixture.feeds[0], 3);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a has 3");
}

Test(sender, a_caught_up_waits_for_the_message_with_the_last_event_before_it)
{
    open_with_reader();
    fixture.settings.batch_events = 2;
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    feed_caught_up(fixture.chan, fixture.feeds[0], 3);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; a1-2");
    cr_assert_str_eq(sender_fixture_read(&fixture), "a3-4; a has 3");
    cr_assert_str_eq(sender_fixture_read(&fixture), "a5");
}

Test(sender, more_of_them_than_a_message_may_have_come_with_the_next_one)
{
    const struct pause_port pause = {.set_paused = set_paused};
    struct source *source = source_named("topic", 1);
    const char *text;
    uint32_t first = 0, second = 0;

    sender_fixture_open(&fixture, NULL, 0);
    for (uint32_t i = 0; i < 1500; i++)
        feed_caught_up(fixture.chan, feed_open(fixture.chan, source, 3, &pause), 0);
    source_release(source);
    sender_fixture_subscribe(&fixture);
    text = sender_fixture_read(&fixture);
    while ((text = strstr(text, "topic has 0"))) {
        text++;
        first++;
    }
    text = sender_fixture_read(&fixture);
    while ((text = strstr(text, "topic has 0"))) {
        text++;
        second++;
    }
    cr_assert_eq(first, 1000);
    cr_assert_eq(second, 500);
}
