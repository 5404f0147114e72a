/* test_stream_table.c - streams come and go, and the table finds those that are there. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "h2guard/stream_table.h"
#include "lib/events.h"

#define MAX_ID 4001u

static bool memory_is_out;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_is_out ? NULL : __real_calloc(count, size);
}

static struct stream *add(struct stream_table *table, uint32_t id)
{
    struct stream *stream = NULL;

    cr_assert_eq(stream_table_add(table, id, &stream), ERR_OK);
    return stream;
}

Test(stream_table, finds_what_a_plain_array_has_after_any_sequence_of_changes)
{
    static bool is_open[MAX_ID + 1];
    struct dice dice = dice_new("stream_table");
    struct stream_table table;
    uint32_t count = 0;

    stream_table_init(&table, 100);
    for (int step = 0; step < 200000; step++) {
        uint32_t id = 1 + (uint32_t)dice_roll(&dice, MAX_ID);
        struct stream *stream = stream_table_find(&table, id);
        cr_assert_eq(stream ? 1 : 0, is_open[id], "stream %u after %d steps", id, step);
        if (stream) {
            cr_assert_eq(stream->message_left, 3 * id, "it kept its content");
            stream_table_remove(&table, stream);
            count--;
        } else if (count < 100) {
            add(&table, id)->message_left = 3 * id;
            count++;
        } else {
            cr_assert_eq(stream_table_add(&table, id, &stream), ERR_FULL);
            continue;
        }
        is_open[id] = !is_open[id];
        cr_assert_eq(table.count, count);
    }
    cr_assert_eq(stream_table_memory(&table), 256 * sizeof(struct stream), "200 slots, and a power of two");
    stream_table_fini(&table);
}

Test(stream_table, takes_no_memory_before_the_first_stream_and_then_twice_what_is_open)
{
    struct stream_table table;

    stream_table_init(&table, 1024);
    cr_assert_eq(stream_table_memory(&table), 0);
    cr_assert_null(stream_table_find(&table, 1));
    for (uint32_t id = 1; id < 2048; id += 2) {
        add(&table, id);
        cr_assert_leq(stream_table_memory(&table), MAX_OF(16, 4 * (id + 1) / 2) * sizeof(struct stream));
    }
    cr_assert_eq(stream_table_memory(&table), 2048 * sizeof(struct stream));
    stream_table_fini(&table);
}

Test(stream_table, stays_as_it_is_when_memory_runs_out)
{
    struct stream_table table;
    struct stream *stream = NULL;

    stream_table_init(&table, 1024);
    for (uint32_t id = 1; id <= 8; id++)
        add(&table, id);
    memory_is_out = true;
    cr_assert_eq(stream_table_add(&table, 9, &stream), ERR_NO_MEMORY);
    memory_is_out = false;
    cr_assert_null(stream);
    for (uint32_t id = 1; id <= 8; id++)
        cr_assert_not_null(stream_table_find(&table, id));
    add(&table, 9);
    stream_table_fini(&table);
}
