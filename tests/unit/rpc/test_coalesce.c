/* test_coalesce.c - which messages of one publishing stream share a chunk while the thread is busy;
 * and that producer and consumer see no difference. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/counters.h"
#include "rpc_fixture.h"

static struct rpc_fixture fixture;

Test(coalesce, messages_between_two_polls_share_a_chunk_and_each_is_confirmed)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_publish(&fixture, "de");
    cr_expect_str_eq(rpc_fixture_read(&fixture), "", "it waits for the post-poll hook");
    rpc_fixture_poll(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abcde");
    cr_expect_eq(fixture.confirmed, 5);
    cr_expect_eq(fixture.last_sequence, 6);
    rpc_fixture_expect_counts(5, 2, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, an_idle_thread_offers_each_message_at_once)
{
    rpc_fixture_open(&fixture, false);
    fixture.thread.busy = false;
    rpc_fixture_publish(&fixture, "a");
    cr_expect_str_eq(rpc_fixture_read(&fixture), "a", "it waits for nothing");
    rpc_fixture_poll(&fixture);
    rpc_fixture_publish(&fixture, "b");
    cr_expect_str_eq(rpc_fixture_read(&fixture), "b");
    rpc_fixture_expect_counts(3, 3, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, the_coalesced_chunk_is_offered_first_when_the_thread_becomes_idle)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "ab");
    fixture.thread.busy = false;
    rpc_fixture_publish(&fixture, "c");
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_poll(&fixture);
    rpc_fixture_publish(&fixture, "d");
    rpc_fixture_poll(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "d");
    cr_expect_eq(fixture.confirmed, 5);
    rpc_fixture_expect_counts(5, 4, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, an_idle_stream_is_read_on_while_its_peer_reads_no_answers)
{
    rpc_fixture_open(&fixture, false);
    fixture.thread.busy = false;
    fixture.peer_reads_nothing = true;
    for (int i = 0; i < 5; i++) {
        rpc_fixture_publish(&fixture, "a");
        rpc_fixture_poll(&fixture);
    }
    cr_expect_str_eq(rpc_fixture_read(&fixture), "aaaaa");
    cr_expect_eq(fixture.confirmed, 2, "one answer is in flight");
    fixture.peer_reads_nothing = false;
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 6);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_full_chunk_is_followed_by_another)
{
    char sent[301] = "";

    rpc_fixture_open(&fixture, false);
    for (int i = 0; i < 300; i++)
        rpc_fixture_publish(&fixture, (char[]){sent[i] = (char)('a' + i % 26), '\0'});
    rpc_fixture_poll(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), sent);
    cr_expect_eq(fixture.confirmed, 301);
    rpc_fixture_expect_counts(301, 1 + 3, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, large_messages_and_those_of_many_events_get_their_own_chunk_in_order)
{
    struct buf large = {0};
    char many[1101], text[16000] = {0}, all[1200];

    rpc_fixture_open(&fixture, false);
    memset(many, 'm', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    memset(text, 't', sizeof(text) - 1);
    put_event(&large,
              &(struct event_view){.key = text_of("L"), .data = {(const uint8_t *)text, sizeof(text)}}, NULL,
              0);
    put_event(&large, &(struct event_view){.key = text_of("L"), .data = {(const uint8_t *)text, 400}}, NULL,
              0);
    rpc_fixture_publish_each(&fixture, "a");
    rpc_fixture_publish_bytes(&fixture, &large);
    rpc_fixture_publish_each(&fixture, "b");
    rpc_fixture_publish(&fixture, many); /* 1100 events in less than 16 KiB */
    cr_expect_eq(count_get(COUNT_LIVE_CHUNKS), 4, "what waits, and no coalesced chunk that is empty");
    rpc_fixture_publish_each(&fixture, "c");
    rpc_fixture_poll(&fixture);
    snprintf(all, sizeof(all), "aLLb%sc", many);
    cr_expect_str_eq(rpc_fixture_read(&fixture), all);
    cr_expect_eq(fixture.confirmed, 6);
    rpc_fixture_expect_counts(6, 6, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

static void publish_sized(char key, size_t size)
{
    static const uint8_t data[16000];
    struct buf message = {0};

    put_event(&message, &(struct event_view){.key = {(const uint8_t *)&key, 1}, .data = {data, size}}, NULL,
              0);
    rpc_fixture_publish_bytes(&fixture, &message);
}

Test(coalesce, messages_of_several_kib_share_a_chunk_of_64_kib)
{
    rpc_fixture_open(&fixture, false);
    for (int i = 0; i < 14; i++)
        publish_sized((char)('a' + i), 9000);
    publish_sized('o', 10); /* fits into the second chunk */
    rpc_fixture_poll(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abcdefghijklmno");
    cr_expect_eq(fixture.confirmed, 16);
    rpc_fixture_expect_counts(16, 1 + 2, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_larger_message_joins_a_chunk_of_small_ones_only_if_it_fits)
{
    rpc_fixture_open(&fixture, false);
    publish_sized('a', 10);
    publish_sized('b', 9000);
    publish_sized('c', 9000); /* the chunk began with a small message: it has 16 KiB */
    publish_sized('d', 9000);
    publish_sized('e', 10);
    rpc_fixture_poll(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abcde");
    cr_expect_eq(fixture.confirmed, 6);
    rpc_fixture_expect_counts(6, 1 + 2, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, an_unfinished_chunk_of_large_messages_is_freed_with_its_stream)
{
    rpc_fixture_open(&fixture, true);
    publish_sized('a', 9000);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, events_may_have_other_fields_between_them)
{
    struct buf message = {0};

    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "a");
    put_event(&message, &(struct event_view){.key = text_of("b")}, NULL, 0);
    put_field(&message, 2, text_of("web"));
    put_field(&message, 15, text_of("a field of a later version"));
    put_event(&message, &(struct event_view){.key = text_of("c")}, NULL, 0);
    rpc_fixture_publish_bytes(&fixture, &message);
    rpc_fixture_publish_each(&fixture, "d");
    rpc_fixture_poll(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abcd");
    rpc_fixture_expect_counts(4, 2, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

static void publish_bad_enum(void)
{
    struct buf message = {0};

    put_event(&message, &(struct event_view){.key = text_of("!")}, NULL, 0);
    put_tag(&message, 3, WIRE_VARINT);
    put_varint(&message, 7);
    rpc_fixture_publish_bytes(&fixture, &message);
}

static void publish_other_name(void)
{
    struct buf message = {0};

    put_event(&message, &(struct event_view){.key = text_of("!")}, NULL, 0);
    put_field(&message, 2, text_of("other"));
    rpc_fixture_publish_bytes(&fixture, &message);
}

Test(coalesce, only_the_wrong_message_is_refused_and_the_order_is_kept)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "ab");
    rpc_fixture_publish_bad_text(&fixture); /* 4 */
    rpc_fixture_publish_each(&fixture, "c");
    publish_bad_enum();   /* 6 */
    publish_other_name(); /* 7 */
    rpc_fixture_publish_each(&fixture, "de");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abcde");
    cr_expect_str_eq(fixture.refused, "4 BAD_UTF8, 6 UNKNOWN_ENUM, 7 PRODUCER_CHANGED");
    cr_expect_eq(fixture.confirmed, 9);
    cr_expect_eq(fixture.last_sequence, 6);
    rpc_fixture_expect_counts(6, 4, 3);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_message_without_events_is_confirmed_in_order)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "a");
    rpc_fixture_publish(&fixture, "");
    rpc_fixture_publish_each(&fixture, "b");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "ab");
    cr_expect_eq(fixture.confirmed, 4);
    rpc_fixture_expect_counts(3, 3, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, while_the_chunk_is_blocked_one_message_is_held_and_no_more_are_read)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_poll(&fixture); /* c is parked; a read is outstanding, so one message may still arrive */
    rpc_fixture_publish_each(&fixture, "d");
    rpc_fixture_run(&fixture);
    cr_expect_not(fixture.call.reading);
    cr_expect_eq(fixture.confirmed, 1);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "d");
    cr_expect_eq(fixture.confirmed, 5);
    cr_expect(fixture.call.reading);
    rpc_fixture_expect_counts(5, 3, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_held_message_that_came_compressed_is_taken_up_again)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_poll(&fixture);
    fixture.is_inflated = true;
    rpc_fixture_publish_each(&fixture, "d");
    fixture.is_inflated = false;
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "d");
    cr_expect_eq(fixture.confirmed, 5);
    cr_expect(fixture.call.reading);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_message_is_held_when_offering_the_chunk_before_it_blocks)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_publish_bad_text(&fixture); /* cannot be coalesced: the chunk is offered, and blocks */
    rpc_fixture_run(&fixture);
    cr_expect_not(fixture.call.reading);
    cr_expect_eq(fixture.confirmed, 1);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 5);
    cr_expect_str_eq(fixture.refused, "5 BAD_UTF8");
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, messages_get_their_own_chunks_where_the_memory_budget_is_short)
{
    rpc_fixture_open(&fixture, false);
    budget_set(budget_used() + 1000);
    rpc_fixture_publish_each(&fixture, "abc");
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_expect_counts(4, 4, 0);
    budget_set(budget_used() + 10);
    rpc_fixture_publish_each(&fixture, "d");
    budget_set(0);
    rpc_fixture_publish_each(&fixture, "ef");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "ef");
    cr_expect_str_eq(fixture.refused, "5 MEMORY_BUDGET");
    cr_expect_eq(fixture.confirmed, 7);
    rpc_fixture_expect_counts(6, 5, 1);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_stream_is_not_read_while_4_kib_of_refusals_wait_for_its_peer)
{
    unsigned bad = 0;

    rpc_fixture_open(&fixture, false);
    fixture.peer_reads_nothing = true;
    for (rpc_fixture_publish_each(&fixture, "a"), rpc_fixture_poll(&fixture);
         fixture.call.reading && bad < 3000; bad++)
        rpc_fixture_publish_bad_text(&fixture); /* an answer is in flight */
    cr_expect(bad >= 4096 / 256 && bad < 4096 / 32, "%u refusals, of about 100 bytes each", bad);
    fixture.peer_reads_nothing = false;
    rpc_fixture_run(&fixture);
    cr_expect(fixture.call.reading);
    cr_expect_eq(fixture.confirmed, 2 + bad);
    rpc_fixture_publish_each(&fixture, "b");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "ab");
    rpc_fixture_close(&fixture, FAULT_NONE);
}

/* ---- one scan for each message ---- */

static void publish_many_events(void)
{
    char many[1101];

    memset(many, 'm', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    rpc_fixture_publish(&fixture, many); /* less than 16 KiB, but more than 1024 events */
}

Test(coalesce, a_message_that_is_coalesced_is_scanned_once)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_poll(&fixture);
    rpc_fixture_expect_scanned_once(&fixture, 1); /* the first one makes the producer */
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_small_message_that_cannot_be_coalesced_is_scanned_once)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "a"); /* in the chunk that must be offered first */
    publish_many_events();
    rpc_fixture_expect_scanned_once(&fixture, 2);
    rpc_fixture_publish(&fixture, "");
    rpc_fixture_publish_each(&fixture, "b");
    rpc_fixture_publish_bad_text(&fixture);
    rpc_fixture_publish_each(&fixture, "c");
    publish_bad_enum();
    rpc_fixture_expect_scanned_once(&fixture, 2);
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(fixture.refused, "6 BAD_UTF8, 8 UNKNOWN_ENUM");
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_message_that_finds_the_chunk_full_is_scanned_once)
{
    rpc_fixture_open(&fixture, false);
    for (int i = 0; i < 300; i++)
        rpc_fixture_publish_each(&fixture, "a");
    rpc_fixture_poll(&fixture);
    rpc_fixture_expect_counts(301, 1 + 3, 0);
    rpc_fixture_expect_scanned_once(&fixture, 1);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_message_that_must_wait_for_the_chunk_before_it_is_scanned_once)
{
    static const unsigned pieces[] = {1, 3};

    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        rpc_fixture_open(&fixture, true);
        fixture.pieces = pieces[i];
        rpc_fixture_publish_each(&fixture, "abc");
        fixture.thread.busy = false;
        rpc_fixture_publish(&fixture, "de"); /* its result is held, since abc blocks */
        rpc_fixture_expect_scanned_once(&fixture, 1);
        fixture.thread.scan.count = 77; /* other calls use the thread's scan meanwhile */
        rpc_fixture_run(&fixture);
        cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
        rpc_fixture_run(&fixture);
        cr_expect_str_eq(rpc_fixture_read(&fixture), "de");
        cr_expect_eq(fixture.confirmed, 5);
        rpc_fixture_expect_scanned_once(&fixture, 2);
        rpc_fixture_close(&fixture, FAULT_NONE);
    }
}

Test(coalesce, a_wrong_message_that_must_wait_is_scanned_once_and_refused_with_its_own_reason)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abc");
    publish_bad_enum();
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(fixture.refused, "5 UNKNOWN_ENUM");
    rpc_fixture_expect_scanned_once(&fixture, 1);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce, a_scanned_message_that_waits_may_be_coalesced_afterwards)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abc");
    fixture.thread.busy = false;
    rpc_fixture_publish(&fixture, "d");
    fixture.thread.busy = true;
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_poll(&fixture);
    rpc_fixture_publish(&fixture, "e");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "de");
    cr_expect_eq(fixture.confirmed, 6);
    rpc_fixture_expect_scanned_once(&fixture, 1);
    rpc_fixture_close(&fixture, FAULT_NONE);
}
