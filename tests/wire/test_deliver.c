/* test_deliver.c - what the pump puts into its messages. */
#include <stdio.h>
#include <string.h>

#include "event/encode.h"
#include "flow/feed.h"
#include "lib/chunks.h"
#include "pump_rig.h"

static struct rig rig;

static void close_rig(void)
{
    rig_close(&rig);
}

TestSuite(sender, .fini = close_rig);

Test(sender, started_comes_before_everything_else)
{
    OWNED(buf_fini) struct buf bytes = {0};

    rig_open(&rig, NULL, 1);
    rig.settings.states = true;
    cr_assert_eq(rig_put(&rig, 0, 3, 10), ERR_OK);
    rig_subscribe(&rig);
    cr_assert(client_read(&rig.client, &bytes));
    cr_assert_eq(bytes.data[0], 6 << 3 | 2, "field `started` leads");
}

Test(sender, started_comes_at_once)
{
    rig_open(&rig, NULL, 1);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
}

Test(sender, what_waited_comes_in_one_message)
{
    rig_open(&rig, NULL, 3);
    cr_assert_eq(rig_put(&rig, 0, 3, 10), ERR_OK);
    cr_assert_eq(rig_put(&rig, 1, 1, 0), ERR_OK);
    cr_assert_eq(rig_put(&rig, 0, 2, 2000), ERR_OK);
    cr_assert_eq(rig_put(&rig, 2, 70, 2000), ERR_OK);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started; a1-3; b1; a4-5; c1-70");
}

Test(sender, entries_of_a_source_that_follow_each_other_become_one_run)
{
    rig_open(&rig, NULL, 2);
    cr_assert_eq(rig_put(&rig, 0, 3, 10), ERR_OK);
    cr_assert_eq(rig_put(&rig, 0, 1, 5000), ERR_OK);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    rig_skip(&rig, 0, 1);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    cr_assert_eq(rig_put(&rig, 1, 1, 10), ERR_OK);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started; a1-6; a8-9; b1; a10-11");
}

Test(sender, parts_of_a_chunk_are_numbered_right)
{
    rig_open(&rig, NULL, 1);
    OWNED(chunk_release) struct chunk *chunk = rig_chunk(&rig, 0, 100, 10);
    cr_assert_eq(chan_put(rig.chan, rig.feeds[0], chunk, 90, 100, NULL), ERR_OK);
    OWNED(buf_fini) struct buf bytes = {0};
    rig_subscribe(&rig);
    cr_assert(client_read(&rig.client, &bytes));
    /* first_sequence is 91, and the time is the chunk's, so the rig's reader, which knows whole
     * chunks, is of no use here. */
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

Test(sender, a_message_holds_so_many_events_at_most)
{
    rig_open(&rig, NULL, 1);
    rig.settings.batch_events = 3;
    cr_assert_eq(rig_put(&rig, 0, 7, 10), ERR_OK);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started; a1-3");
}

Test(sender, events_beyond_the_bound_come_with_the_next_message)
{
    rig_open(&rig, NULL, 1);
    rig.settings.batch_events = 3;
    cr_assert_eq(rig_put(&rig, 0, 3, 10), ERR_OK);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started; a1-3");
    cr_assert_eq(rig_put(&rig, 0, 1, STUFFING), ERR_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    rig_read_events(&rig, 5);
    cr_assert_eq(rig.progress, 0);
}

Test(sender, a_message_holds_so_many_bytes_at_most)
{
    rig_open(&rig, NULL, 1);
    rig.settings.batch_bytes = 1000;
    cr_assert_eq(rig_put(&rig, 0, 7, 300), ERR_OK);
    cr_assert_eq(rig_put(&rig, 0, 1, 3000), ERR_OK);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started; a1-3");
}

Test(sender, what_comes_while_a_message_is_in_flight_gathers)
{
    rig_open(&rig, NULL, 2);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    rig_stuff(&rig);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
        house_turn(&rig.house);
    }
    cr_assert_str_eq(rig_read(&rig), "a1");
    cr_assert_str_eq(rig_read(&rig), "a2-21");
}

Test(sender, a_loss_comes_before_the_next_event_of_its_source)
{
    static const struct chan_limits two = {
        .max_events = 2, .max_bytes = 1u << 30, .overflow = OVERFLOW_DROP_OLDEST};

    rig_open(&rig, &two, 2);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started; lost a 1-3 OLDEST; a4-5");
}

Test(sender, a_loss_that_nothing_follows_is_told_all_the_same)
{
    static const struct chan_limits two = {
        .max_events = 2, .max_bytes = 1u << 30, .overflow = OVERFLOW_DROP_NEWEST};

    rig_open(&rig, &two, 1);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    feed_gap(rig.chan, rig.feeds[0], 1, 4, false);
    cr_assert_str_eq(rig_read(&rig), "lost a 1-4 GAP");
}

Test(sender, states_are_told_to_who_asks)
{
    rig_open(&rig, NULL, 2);
    rig.settings.states = true;
    cr_assert_eq(rig_put(&rig, 1, 1, 10), ERR_OK);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started; b1; a is 3; b is 3");
    feed_state(rig.chan, rig.feeds[0], 1);
    cr_assert_str_eq(rig_read(&rig), "a is 1");
    rig_stuff(&rig);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    feed_close(rig.chan, rig.feeds[0], 8, 0, NULL);
    rig.feeds[0] = NULL;
    cr_assert_str_eq(rig_read(&rig), "a1");
    cr_assert_str_eq(rig_read(&rig), "a2; a is 8", "not before its last event");
}

Test(sender, states_are_not_told_to_who_does_not_ask)
{
    rig_open(&rig, NULL, 2);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    feed_state(rig.chan, rig.feeds[0], 1);
    cr_assert_eq(rig_put(&rig, 1, 1, 10), ERR_OK);
    cr_assert_str_eq(rig_read(&rig), "b1");
    feed_close(rig.chan, rig.feeds[0], 8, 0, NULL);
    rig.feeds[0] = NULL;
    cr_assert_eq(rig_put(&rig, 1, 1, 10), ERR_OK);
    cr_assert_str_eq(rig_read(&rig), "b2");
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

Test(sender, a_thousand_states_in_a_message_and_the_rest_in_the_next)
{
    static struct feed *feeds[1001];
    struct source *crowd;

    rig_open(&rig, NULL, 0);
    rig.settings.states = true;
    crowd = source_named("z", 26);
    for (size_t i = 0; i < ARRAY_LEN(feeds); i++)
        feeds[i] = feed_open(rig.chan, crowd, 3, NULL);
    rig_subscribe(&rig);
    cr_assert_eq(count_states(rig_read(&rig)), 1000);
    cr_assert_eq(count_states(rig_read(&rig)), 1);
    for (size_t i = 0; i < ARRAY_LEN(feeds); i++)
        feed_close(rig.chan, feeds[i], 3, 0, NULL);
    source_release(crowd);
}

static void act_say_closing(void *ctx)
{
    OWNED(buf_fini) struct buf block = {0};

    (void)ctx;
    field_bytes_always(&block, 5, (struct bytes){0});
    sender_block(rig.sender, &block);
}

Test(sender, a_block_goes_out_though_nothing_else_does)
{
    rig_open(&rig, NULL, 1);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    house_run(&rig.house, act_say_closing, NULL);
    cr_assert_str_eq(rig_read(&rig), "closing");
}

Test(sender, a_block_waits_for_the_message_in_flight)
{
    rig_open(&rig, NULL, 1);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    rig_stuff(&rig);
    house_run(&rig.house, act_say_closing, NULL);
    cr_assert_eq(rig_put(&rig, 0, 1, 1), ERR_OK);
    cr_assert_str_eq(rig_read(&rig), "a1");
    cr_assert_str_eq(rig_read(&rig), "a2; closing");
}

Test(sender, thousands_of_chunks_arrive_whole_and_in_order)
{
    uint64_t seen[2] = {0}, first, last;
    char name;

    rig_open(&rig, NULL, 2);
    rig_subscribe(&rig);
    for (uint32_t i = 0; i < 4000; i++)
        cr_assert_eq(rig_put(&rig, i % 3 == 0, 1 + i % 5, i % 97 == 0 ? 3000 : i % 50), ERR_OK);
    while (seen[0] + 1 < rig.next[0] || seen[1] + 1 < rig.next[1]) {
        char *save = NULL;
        cr_assert(rig_read(&rig));
        for (char *word = strtok_r(rig.text, "; ", &save); word; word = strtok_r(NULL, "; ", &save)) {
            int parts = sscanf(word, "%c%lu-%lu", &name, &first, &last);
            if (parts < 2)
                continue;
            cr_assert_eq(first, seen[name - 'a'] + 1);
            seen[name - 'a'] = parts == 2 ? first : last;
        }
    }
}
