/* test_run_chunk.c - chunks of what a topic keeps: which events of a run they have. */
#include <criterion/criterion.h>

#include "event/chunk.h"
#include "topic/run_chunk.h"

/* Four events of 4, 4, 12 and 4 bytes, with tags and lengths. */
static const uint8_t events[] = {0x0a, 2, 0, 0, 0x0a, 2, 0, 0, 0x0a, 10, 0, 0,
                                 0,    0, 0, 0, 0,    0, 0, 0, 0x0a, 2,  0, 0};

/* Of the first `count` ones. */
static size_t bytes_of(uint32_t count)
{
    return (size_t)count * 4 + (count > 2 ? 8 : 0);
}

static uint32_t portion(uint32_t skip, size_t max_bytes)
{
    struct topic_run run = {.count = 4, .events = {events, sizeof(events)}};
    struct framing_scan scan = {0};
    struct chunk *chunk = NULL;
    uint32_t count;

    cr_assert_eq(run_chunk(&run, skip, max_bytes, &scan, &chunk), ERR_OK);
    count = chunk->count;
    cr_assert_eq(run.count, 4 - skip - count, "the others");
    cr_assert_eq(run.events.data + run.events.size, events + sizeof(events));
    cr_assert_eq(run.events.size, run.count == 0 ? 0 : sizeof(events) - bytes_of(skip + count));
    chunk_release(chunk);
    framing_fini(&scan);
    return count;
}

Test(run_chunk, has_the_next_event_and_what_fits)
{
    cr_assert_eq(portion(0, SIZE_MAX), 4);
    cr_assert_eq(portion(0, 24), 4, "all of it");
    cr_assert_eq(portion(0, 23), 3);
    cr_assert_eq(portion(0, 19), 2);
    cr_assert_eq(portion(0, 1), 1, "one event at least");
    cr_assert_eq(portion(2, 1), 1);
    cr_assert_eq(portion(2, 16), 2);
    cr_assert_eq(portion(3, 1), 1);
}

Test(run_chunk, refuses_what_is_too_long_or_too_short)
{
    struct topic_run few = {.count = 3, .events = {events, sizeof(events)}};
    struct topic_run many = {.count = 5, .events = {events, sizeof(events)}};
    struct framing_scan scan = {0};
    struct chunk *chunk = NULL;

    cr_assert_eq(run_chunk(&few, 0, SIZE_MAX, &scan, &chunk), ERR_INVALID);
    cr_assert_eq(run_chunk(&many, 0, SIZE_MAX, &scan, &chunk), ERR_INVALID);
    cr_assert_null(chunk);
    cr_assert_eq(few.count, 3);
    cr_assert_eq(many.count, 5);
    framing_fini(&scan);
}
