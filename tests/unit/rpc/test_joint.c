/* test_joint.c - what of one publishing stream shares a chunk while the thread is busy, and that
 * nothing shows of it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "desk.h"

static struct desk desk;
Test(coalesced, messages_of_one_tick_are_one_chunk_and_confirmed_each)
{
    desk_open(&desk, false);
    desk_say_each(&desk, "abc");
    desk_say(&desk, "de");
    cr_expect_str_eq(desk_read(&desk), "", "it waits for the end of the tick");
    desk_tick(&desk);
    cr_expect_str_eq(desk_read(&desk), "abcde");
    cr_expect_eq(desk.confirmed, 5);
    cr_expect_eq(desk.last_sequence, 6);
    desk_counted(5, 2, 0);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, is_not_made_while_the_thread_is_idle)
{
    desk_open(&desk, false);
    desk.thread.busy = false;
    desk_say(&desk, "a");
    cr_expect_str_eq(desk_read(&desk), "a", "it waits for nothing");
    desk_tick(&desk);
    desk_say(&desk, "b");
    cr_expect_str_eq(desk_read(&desk), "b");
    desk_counted(3, 3, 0);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, is_offered_first_when_the_thread_falls_idle_in_between)
{
    desk_open(&desk, false);
    desk_say_each(&desk, "ab");
    desk.thread.busy = false;
    desk_say(&desk, "c");
    cr_expect_str_eq(desk_read(&desk), "abc");
    desk_tick(&desk);
    desk_say(&desk, "d");
    desk_tick(&desk);
    cr_expect_str_eq(desk_read(&desk), "d");
    cr_expect_eq(desk.confirmed, 5);
    desk_counted(5, 4, 0);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, or_none_an_idle_stream_is_read_on_though_its_peer_is_deaf)
{
    desk_open(&desk, false);
    desk.thread.busy = false;
    desk.deaf = true;
    for (int i = 0; i < 5; i++) {
        desk_say(&desk, "a");
        desk_tick(&desk);
    }
    cr_expect_str_eq(desk_read(&desk), "aaaaa");
    cr_expect_eq(desk.confirmed, 2, "one answer is in flight");
    desk.deaf = false;
    desk_settle(&desk);
    cr_expect_eq(desk.confirmed, 6);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, is_followed_by_another_when_it_is_full)
{
    char sent[301] = "";

    desk_open(&desk, false);
    for (int i = 0; i < 300; i++)
        desk_say(&desk, (char[]){sent[i] = (char)('a' + i % 26), '\0'});
    desk_tick(&desk);
    cr_expect_str_eq(desk_read(&desk), sent);
    cr_expect_eq(desk.confirmed, 301);
    desk_counted(301, 1 + 3, 0);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, leaves_out_what_is_large_or_of_many_events_and_keeps_the_order)
{
    struct buf large = {0};
    char many[200], text[4000] = {0}, all[256];

    desk_open(&desk, false);
    memset(many, 'm', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    memset(text, 't', sizeof(text) - 1);
    put_event(&large,
              &(struct event_view){.key = text_of("L"), .data = {(const uint8_t *)text, sizeof(text)}}, NULL,
              0);
    put_event(&large, &(struct event_view){.key = text_of("L"), .data = {(const uint8_t *)text, 200}}, NULL,
              0);
    desk_say_each(&desk, "a");
    desk_say_bytes(&desk, &large);
    desk_say_each(&desk, "b");
    desk_say(&desk, many); /* 199 events in less than 1 KiB */
    cr_expect_eq(count_get(COUNT_LIVE_CHUNKS), 4, "what waits, and no joint that nothing fits into");
    desk_say_each(&desk, "c");
    desk_tick(&desk);
    snprintf(all, sizeof(all), "aLLb%sc", many);
    cr_expect_str_eq(desk_read(&desk), all);
    cr_expect_eq(desk.confirmed, 6);
    desk_counted(6, 6, 0);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, takes_events_with_other_fields_in_between)
{
    struct buf message = {0};

    desk_open(&desk, false);
    desk_say_each(&desk, "a");
    put_event(&message, &(struct event_view){.key = text_of("b")}, NULL, 0);
    put_field(&message, 2, text_of("web"));
    put_field(&message, 15, text_of("a field of later days"));
    put_event(&message, &(struct event_view){.key = text_of("c")}, NULL, 0);
    desk_say_bytes(&desk, &message);
    desk_say_each(&desk, "d");
    desk_tick(&desk);
    cr_expect_str_eq(desk_read(&desk), "abcd");
    desk_counted(4, 2, 0);
    desk_close(&desk, FAULT_NONE);
}

static void say_bad_enum(void)
{
    struct buf message = {0};

    put_event(&message, &(struct event_view){.key = text_of("!")}, NULL, 0);
    put_tag(&message, 3, WIRE_VARINT);
    put_varint(&message, 7);
    desk_say_bytes(&desk, &message);
}

static void say_other_name(void)
{
    struct buf message = {0};

    put_event(&message, &(struct event_view){.key = text_of("!")}, NULL, 0);
    put_field(&message, 2, text_of("other"));
    desk_say_bytes(&desk, &message);
}

Test(coalesced, refuses_the_very_message_that_is_wrong_and_keeps_the_order)
{
    desk_open(&desk, false);
    desk_say_each(&desk, "ab");
    desk_say_bad_text(&desk); /* 4 */
    desk_say_each(&desk, "c");
    say_bad_enum();   /* 6 */
    say_other_name(); /* 7 */
    desk_say_each(&desk, "de");
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "abcde");
    cr_expect_str_eq(desk.refused, "4 BAD_UTF8, 6 UNKNOWN_ENUM, 7 PRODUCER_CHANGED");
    cr_expect_eq(desk.confirmed, 9);
    cr_expect_eq(desk.last_sequence, 6);
    desk_counted(6, 4, 3);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, lets_a_message_without_events_be_confirmed_in_its_turn)
{
    desk_open(&desk, false);
    desk_say_each(&desk, "a");
    desk_say(&desk, "");
    desk_say_each(&desk, "b");
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "ab");
    cr_expect_eq(desk.confirmed, 4);
    desk_counted(3, 3, 0);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, that_blocks_holds_one_message_back_and_reads_no_more)
{
    desk_open(&desk, true);
    desk_say_each(&desk, "abc");
    desk_tick(&desk); /* c is parked; what was asked for may still come */
    desk_say_each(&desk, "d");
    desk_settle(&desk);
    cr_expect_not(desk.call.reading);
    cr_expect_eq(desk.confirmed, 1);
    cr_expect_str_eq(desk_read(&desk), "abc");
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "d");
    cr_expect_eq(desk.confirmed, 5);
    cr_expect(desk.call.reading);
    desk_counted(5, 3, 0);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, that_blocks_behind_a_message_holds_that_one)
{
    desk_open(&desk, true);
    desk_say_each(&desk, "abc");
    desk_say_bad_text(&desk); /* cannot be joined: what was is offered, and blocks */
    desk_settle(&desk);
    cr_expect_not(desk.call.reading);
    cr_expect_eq(desk.confirmed, 1);
    cr_expect_str_eq(desk_read(&desk), "abc");
    desk_settle(&desk);
    cr_expect_eq(desk.confirmed, 5);
    cr_expect_str_eq(desk.refused, "5 BAD_UTF8");
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, gives_way_to_single_chunks_where_the_budget_has_no_room_for_it)
{
    desk_open(&desk, false);
    chunk_budget_set(chunk_budget_used() + 1000);
    desk_say_each(&desk, "abc");
    cr_expect_str_eq(desk_read(&desk), "abc");
    desk_counted(4, 4, 0);
    chunk_budget_set(chunk_budget_used() + 10);
    desk_say_each(&desk, "d");
    chunk_budget_set(0);
    desk_say_each(&desk, "ef");
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "ef");
    cr_expect_str_eq(desk.refused, "5 MEMORY_BUDGET");
    cr_expect_eq(desk.confirmed, 7);
    desk_counted(6, 5, 1);
    desk_close(&desk, FAULT_NONE);
}

Test(coalesced, is_not_read_on_while_many_refusals_wait_for_a_peer_that_is_deaf)
{
    unsigned bad = 0;

    desk_open(&desk, false);
    desk.deaf = true;
    for (desk_say_each(&desk, "a"), desk_tick(&desk); desk.call.reading && bad < 3000; bad++)
        desk_say_bad_text(&desk); /* an answer is in flight */
    cr_expect_eq(bad, 1024);
    desk.deaf = false;
    desk_settle(&desk);
    cr_expect(desk.call.reading);
    cr_expect_eq(desk.confirmed, 2 + bad);
    desk_say_each(&desk, "b");
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "ab");
    desk_close(&desk, FAULT_NONE);
}
