/* test_chunk.c - what chunks own and share: bytes, sources, budget. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <string.h>

#include "base/budget.h"
#include "base/counters.h"
#include "lib/events.h"

static struct framing_scan scan;
static struct buf message;

static void end(void)
{
    framing_fini(&scan);
    buf_fini(&message);
    cr_expect_eq(budget_used(), 0);
    cr_expect_eq(count_get(COUNT_LIVE_CHUNKS), 0);
    cr_expect_eq(count_get(COUNT_LIVE_CHUNK_BYTES), 0);
}

TestSuite(chunk, .fini = end);
TestSuite(budget, .fini = end);

static void fill(uint32_t count, bool gaps)
{
    struct fault fault;

    for (uint32_t i = 0; i < count; i++) {
        if (gaps)
            put_field(&message, 2, text_of("gap"));
        put_event(&message, &(struct event_view){.topic = text_of("t"), .time_unix_nano = i + 1}, NULL, 0);
    }
    cr_assert_eq(
        framing_scan(&scan, (struct bytes){message.data, message.size}, &settings_defaults.framing, &fault),
        FAULT_NONE);
}

static uint64_t number_of(const struct chunk *chunk, uint32_t i)
{
    struct event_view view;

    event_view(chunk_range(chunk, i, i + 1), &view);
    return view.time_unix_nano;
}

struct borrowed {
    struct chunk_memory memory;
    int released;
};

static void count_release(struct chunk_memory *memory)
{
    container_of(memory, struct borrowed, memory)->released++;
}

Test(chunk, keeps_the_memory_until_its_last_reference)
{
    struct borrowed borrowed = {.memory = {count_release}};
    struct chunk *chunk;

    put_field(&message, 2, text_of("in front of the events"));
    fill(5, false);
    cr_assert_eq(chunk_new(&borrowed.memory, message.data + scan.offsets[0], &scan, message.size, &chunk),
                 ERR_OK);
    cr_assert_eq(chunk->count, 5);
    cr_assert_eq(chunk->offsets[0], 0);
    cr_assert_eq(chunk_bytes(chunk, 0, 5), scan.events_bytes);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(number_of(chunk, i), i + 1);
    cr_assert_eq(chunk_retain(chunk), chunk);
    chunk_release(chunk);
    cr_assert_eq(borrowed.released, 0);
    chunk_release(chunk);
    cr_assert_eq(borrowed.released, 1);
    chunk_release(NULL);
}

Test(chunk, copies_a_message_with_gaps_into_one_piece)
{
    OWNED(chunk_release) struct chunk *chunk = NULL;

    fill(100, true);
    cr_assert_not(scan.contiguous);
    cr_assert_eq(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk), ERR_OK);
    memset(message.data, 0, message.size); /* the chunk has its own copy */
    cr_assert_eq(chunk->count, 100);
    cr_assert_eq(chunk_range(chunk, 0, 100).size, scan.events_bytes);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(number_of(chunk, i), i + 1);
}

Test(chunk, copies_a_contiguous_message_as_well)
{
    OWNED(chunk_release) struct chunk *chunk = NULL;

    put_field(&message, 2, text_of("web"));
    fill(3, false);
    cr_assert(scan.contiguous);
    cr_assert_eq(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk), ERR_OK);
    cr_assert_eq(number_of(chunk, 2), 3);
}

Test(chunk, copies_a_range_with_source_sequence_and_times)
{
    struct source *source = source_new(text_of("web"), 17);
    struct chunk *chunk = NULL;
    struct chunk *part = NULL;

    fill(10, false);
    cr_assert_eq(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk), ERR_OK);
    chunk->source = source; /* the chunk's own reference */
    chunk->first_sequence = 100;
    chunk->observed_wall_ns = 5;
    chunk->observed_mono_ns = 6;
    cr_assert_eq(chunk_copy(chunk, 3, 7, &part), ERR_OK);
    cr_assert_eq(atomic_load(&source->refs), 2);
    chunk_release(chunk);
    cr_assert_eq(atomic_load(&source->refs), 1);
    cr_assert_eq(part->count, 4);
    cr_assert_eq(part->first_sequence, 103);
    cr_assert_eq(part->observed_wall_ns, 5);
    cr_assert_eq(part->observed_mono_ns, 6);
    cr_assert_eq(part->source->epoch, 17);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(number_of(part, i), i + 4);
    chunk_release(part);
}

/* Events 2, 3, 6 and 9 of ten, from sequence 100 on. */
static struct chunk *picked_of_ten(void)
{
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct chunk *picked;

    fill(10, false);
    cr_assert_eq(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk), ERR_OK);
    chunk->source = source_new(text_of("web"), 17);
    chunk->first_sequence = 100;
    chunk->observed_wall_ns = 5;
    chunk->observed_mono_ns = 6;
    picked = chunk_picked(4, chunk_bytes(chunk, 2, 4) + chunk_bytes(chunk, 6, 7) + chunk_bytes(chunk, 9, 10));
    cr_assert(picked);
    chunk_pick(picked, chunk, 2, 4);
    chunk_pick(picked, chunk, 6, 7);
    chunk_pick(picked, chunk, 9, 10);
    return picked;
}

static void check_picked(const struct chunk *chunk, uint32_t event, uint32_t number)
{
    cr_assert_eq(number_of(chunk, event), number + 1);
    cr_assert_eq(chunk_sequence(chunk, event), 100 + number);
}

Test(chunk, of_picked_events_keeps_their_sequences)
{
    struct chunk *picked = picked_of_ten();

    cr_assert_eq(picked->count, 4);
    cr_assert_eq(picked->first_sequence, 102);
    check_picked(picked, 0, 2);
    check_picked(picked, 1, 3);
    check_picked(picked, 2, 6);
    check_picked(picked, 3, 9);
    cr_assert_eq(picked->source->epoch, 17);
    cr_assert_eq(atomic_load(&picked->source->refs), 1, "the whole chunk was freed");
    cr_assert_eq(picked->observed_wall_ns, 5);
    cr_assert_eq(picked->observed_mono_ns, 6);
    cr_assert_eq(budget_used(), picked->pinned);
    chunk_release(picked);
    cr_assert_eq(budget_used(), 0);
}

Test(chunk, of_picked_events_can_be_copied_in_part)
{
    struct chunk *picked = picked_of_ten();
    struct chunk *one = NULL;
    struct chunk *two = NULL;

    cr_assert_eq(chunk_copy(picked, 2, 3, &one), ERR_OK);
    cr_assert_eq(chunk_copy(picked, 1, 3, &two), ERR_OK);
    chunk_release(picked);
    cr_assert_eq(one->count, 1);
    cr_assert_eq(one->sequences, NULL, "a single event needs no list");
    check_picked(one, 0, 6);
    cr_assert_eq(two->count, 2);
    check_picked(two, 0, 3);
    check_picked(two, 1, 6);
    cr_assert_eq(two->first_sequence, 103);
    chunk_release(one);
    chunk_release(two);
}

Test(chunk, of_picked_events_is_refused_beyond_the_budget)
{
    budget_set(100);
    cr_assert_eq(chunk_picked(4, 100), NULL);
    cr_assert_eq(budget_used(), 0);
    budget_set(0);
}

Test(chunk, of_one_event_can_be_copied_at_either_end)
{
    OWNED(chunk_release) struct chunk *chunk = sample_chunk(4, "t", 10);
    OWNED(chunk_release) struct chunk *first = NULL;
    OWNED(chunk_release) struct chunk *last = NULL;

    cr_assert_eq(chunk_copy(chunk, 0, 1, &first), ERR_OK);
    cr_assert_eq(chunk_copy(chunk, 3, 4, &last), ERR_OK);
    cr_assert_eq(first->count, 1);
    cr_assert_eq(memcmp(first->data, chunk->data, chunk_bytes(chunk, 0, 1)), 0);
    cr_assert_eq(memcmp(last->data, chunk_range(chunk, 3, 4).data, chunk_bytes(chunk, 3, 4)), 0);
}

Test(chunk, source_has_its_name_with_a_closing_nul)
{
    OWNED(source_release) struct source *source = source_new((struct bytes){(const uint8_t *)"webx", 3}, 9);
    OWNED(source_release) struct source *nameless = source_new((struct bytes){NULL, 0}, 0);

    cr_assert_str_eq(source->name, "web");
    cr_assert_eq(source_name(source).size, 3);
    cr_assert_str_eq(nameless->name, "");
}

Test(chunk, of_several_messages_has_their_events_in_order)
{
    struct chunk *chunk = chunk_begin(6, 1000);

    fill(3, false);
    cr_assert(chunk_add(chunk, (struct bytes){message.data, message.size}, &scan));
    buf_clear(&message);
    fill(2, true);
    cr_assert(chunk_add(chunk, (struct bytes){message.data, message.size}, &scan));
    uint64_t before = budget_used();
    chunk = chunk_end(chunk);
    cr_assert_eq(chunk->count, 5);
    cr_assert_eq(budget_used(), chunk->pinned);
    cr_assert_eq(before - chunk->pinned, 1000 - chunk_bytes(chunk, 0, 5) + sizeof(uint32_t),
                 "unused capacity was given back");
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(number_of(chunk, i), (i < 3 ? i : i - 3) + 1);
    chunk_release(chunk);
}

/* A rest of the block would be too small for the next one. */
Test(chunk, that_fills_half_of_its_block_keeps_it)
{
    fill(3, false);
    struct chunk *chunk = chunk_begin(100, 2 * scan.events_bytes), *before = chunk;

    cr_assert(chunk_add(chunk, (struct bytes){message.data, message.size}, &scan));
    chunk = chunk_end(chunk);
    cr_assert_eq(chunk, before);
    cr_assert_eq(chunk->pinned, sizeof(*chunk) + 101 * sizeof(uint32_t) + 2 * scan.events_bytes);
    cr_assert_eq(budget_used(), chunk->pinned);
    cr_assert_eq(chunk->observed_wall_ns, 0);
    chunk_release(chunk);
    cr_assert_eq(budget_used(), 0);
}

/* What malloc() has for chunks of few bytes that live long, while each was begun in a large
 * block. */
Test(chunk, that_fills_little_of_its_block_leaves_no_hole_behind)
{
    static struct chunk *chunks[1000];
    const size_t block = 16 << 10;
    uint64_t pinned = 0;

    fill(1, false);
    const size_t before = mallinfo2().arena;
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
        struct chunk *chunk = chunk_begin(128, (uint32_t)block);
        cr_assert(chunk && chunk_add(chunk, (struct bytes){message.data, message.size}, &scan));
        chunks[i] = chunk_end(chunk);
        pinned += chunks[i]->pinned;
    }
    cr_assert_lt(mallinfo2().arena - before, 2 * pinned + 32 * block);
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
        chunk_release(chunks[i]);
}

Test(chunk, of_several_messages_may_have_its_events_in_memory_that_it_was_given)
{
    struct borrowed borrowed = {.memory = {count_release}};
    uint8_t data[1000] = {0};
    struct chunk *chunk = chunk_begin_in(&borrowed.memory, data, 6, sizeof(data));

    cr_assert_eq(budget_used(), sizeof(*chunk) + 7 * sizeof(uint32_t) + sizeof(data));
    fill(3, false);
    cr_assert(chunk_add(chunk, (struct bytes){message.data, message.size}, &scan));
    cr_assert(chunk_add(chunk, (struct bytes){message.data, message.size}, &scan));
    cr_assert_not(chunk_add(chunk, (struct bytes){message.data, message.size}, &scan), "7 events or more");
    chunk = chunk_end(chunk);
    cr_assert_eq(chunk->data, data);
    cr_assert_eq(chunk->count, 6);
    cr_assert_eq(budget_used(), sizeof(*chunk) + 7 * sizeof(uint32_t) + chunk_bytes(chunk, 0, 6),
                 "less than half of the memory is used: its owner moves the bytes");
    cr_assert_eq(number_of(chunk, 5), 3);
    chunk_release(chunk);
    cr_assert_eq(borrowed.released, 1);
    cr_assert_eq(budget_used(), 0);
}

Test(chunk, that_was_given_memory_gives_unused_offsets_back)
{
    struct borrowed borrowed = {.memory = {count_release}};
    uint8_t data[1000] = {0};
    struct chunk *chunk = chunk_begin_in(&borrowed.memory, data, 100, sizeof(data));

    fill(2, false);
    cr_assert(chunk_add(chunk, (struct bytes){message.data, message.size}, &scan));
    chunk = chunk_end(chunk);
    cr_assert_eq(chunk->pinned, sizeof(*chunk) + 3 * sizeof(uint32_t) + chunk_bytes(chunk, 0, 2));
    cr_assert_eq(budget_used(), chunk->pinned);
    chunk_release(chunk);
    cr_assert_eq(borrowed.released, 1);
}

Test(chunk, refuses_a_message_that_does_not_fit_and_does_not_change)
{
    fill(2, false);
    uint32_t bytes = scan.events_bytes;
    struct chunk *few = chunk_begin(3, 10 * bytes), *narrow = chunk_begin(100, 2 * bytes - 1),
                 *exact = chunk_begin(4, 2 * bytes);

    cr_assert(chunk_add(few, (struct bytes){message.data, message.size}, &scan));
    cr_assert_not(chunk_add(few, (struct bytes){message.data, message.size}, &scan));
    cr_assert(chunk_add(narrow, (struct bytes){message.data, message.size}, &scan));
    cr_assert_not(chunk_add(narrow, (struct bytes){message.data, message.size}, &scan));
    cr_assert(chunk_add(exact, (struct bytes){message.data, message.size}, &scan));
    cr_assert(chunk_add(exact, (struct bytes){message.data, message.size}, &scan));
    cr_assert_eq(few->count, 2);
    cr_assert_eq(number_of(few, 1), 2);
    chunk_release(few);
    chunk_release(narrow);
    exact = chunk_end(exact);
    cr_assert_eq(number_of(exact, 3), 2);
    chunk_release(exact);
}

Test(budget, is_charged_with_the_memory_and_the_chunk_itself)
{
    struct borrowed borrowed = {.memory = {count_release}};
    struct chunk *chunk;

    fill(5, false);
    cr_assert_eq(chunk_new(&borrowed.memory, message.data, &scan, 1000, &chunk), ERR_OK);
    cr_assert_eq(chunk->pinned, 1000 + sizeof(*chunk) + 6 * sizeof(uint32_t));
    cr_assert_eq(budget_used(), chunk->pinned);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNK_BYTES), (int64_t)chunk->pinned);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 1);
    chunk_release(chunk);
    cr_assert_eq(budget_used(), 0);
}

Test(budget, refuses_to_be_exceeded_and_leaves_the_memory_with_the_caller)
{
    struct borrowed borrowed = {.memory = {count_release}};
    struct chunk *first;
    struct chunk *second = NULL;
    uint64_t each = 1000 + sizeof(struct chunk) + 6 * sizeof(uint32_t);

    fill(5, false);
    budget_set(2 * each - 1);
    cr_assert_eq(budget_limit(), 2 * each - 1);
    cr_assert_eq(chunk_new(&borrowed.memory, message.data, &scan, 1000, &first), ERR_OK);
    cr_assert_eq(chunk_new(&borrowed.memory, message.data, &scan, 1000, &second), ERR_NO_MEMORY);
    cr_assert_null(second);
    cr_assert_eq(borrowed.released, 0);
    cr_assert_eq(budget_used(), each, "the refused chunk is not charged");
    cr_assert_eq(chunk_new(&borrowed.memory, message.data, &scan, 999, &second), ERR_OK, "exactly the limit");
    cr_assert_eq(budget_used(), budget_limit());
    chunk_release(first);
    chunk_release(second);
    cr_assert_eq(borrowed.released, 2);
}

Test(budget, holds_for_copies_too)
{
    OWNED(chunk_release) struct chunk *chunk = sample_chunk(4, "t", 100);
    OWNED(chunk_release) struct chunk *copy = NULL;

    budget_set(budget_used() + 100);
    cr_assert_eq(chunk_copy(chunk, 0, 4, &copy), ERR_NO_MEMORY);
    budget_set(0);
    cr_assert_eq(chunk_copy(chunk, 0, 4, &copy), ERR_OK, "0 is no limit");
}
