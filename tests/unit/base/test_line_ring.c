/* test_line_ring.c - lines come out whole and in order, and every byte of the block is used. */
#include "base/line_ring.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define CAPACITY (4u * MAX_RING_LINE)
#define RESERVE 1024u

static struct line_ring ring;
static char text[MAX_RING_LINE];

static void init(void)
{
    cr_assert_eq(line_ring_init(&ring, CAPACITY, RESERVE), ERR_OK);
}

static void fini(void)
{
    line_ring_fini(&ring);
}

TestSuite(line_ring, .init = init, .fini = fini);

/* The line of a number: `size` bytes that differ from those of other numbers. */
static const char *line_of(unsigned number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(number * 31 + i);
    return text;
}

static bool put(unsigned number, unsigned level, size_t size)
{
    return line_ring_put(&ring, level, line_of(number, size), size);
}

static void check_front(unsigned number, unsigned level, size_t size)
{
    unsigned got_level = 99;
    struct bytes got = {0};

    cr_assert(line_ring_front(&ring, &got_level, &got));
    cr_assert_eq(got_level, level);
    cr_assert_eq(got.size, size);
    cr_assert(memcmp(got.data, line_of(number, size), size) == 0, "line %u", number);
    line_ring_pop(&ring);
}

Test(line_ring, lines_come_out_whole_and_in_order)
{
    unsigned level;
    struct bytes line;

    cr_assert_not(line_ring_front(&ring, &level, &line));
    cr_assert(put(1, 0, 10));
    cr_assert(put(2, 3, 0));
    cr_assert(put(3, 1, MAX_RING_LINE));
    check_front(1, 0, 10);
    check_front(2, 3, 0);
    check_front(3, 1, MAX_RING_LINE);
    cr_assert_not(line_ring_front(&ring, &level, &line));
    cr_assert_eq(ring.used, 0u);
}

Test(line_ring, refuses_what_does_not_fit_and_keeps_the_rest)
{
    unsigned count = 0;

    while (put(count, 0, 96))
        count++;
    cr_assert_eq(count, (CAPACITY - RESERVE) / 100);
    cr_assert_not(put(count, 1, 96));
    for (unsigned i = 0; i < count; i++)
        check_front(i, 0, 96);
    cr_assert(put(0, 0, 96));
}

Test(line_ring, higher_levels_use_the_reserve)
{
    unsigned low = 0, high = 0;

    while (put(low, LINE_RESERVE_LEVEL - 1, 96))
        low++;
    while (put(low + high, LINE_RESERVE_LEVEL, 96))
        high++;
    cr_assert_eq(low + high, CAPACITY / 100);
    cr_assert_geq(high, RESERVE / 100);
    for (unsigned i = 0; i < low + high; i++)
        check_front(i, i < low ? LINE_RESERVE_LEVEL - 1 : LINE_RESERVE_LEVEL, 96);
}

Test(line_ring, every_byte_is_used_when_the_last_line_ends_with_the_block)
{
    for (unsigned i = 0; i < CAPACITY / 1024; i++)
        cr_assert(put(i, 3, 1020));
    cr_assert_eq(ring.used, CAPACITY);
    cr_assert_not(put(0, 3, 0));
    check_front(0, 3, 1020);
    cr_assert(put(16, 3, 1020));
    cr_assert_not(put(0, 3, 0));
    for (unsigned i = 1; i <= 16; i++)
        check_front(i, 3, 1020);
    cr_assert_eq(ring.used, 0u);
}

Test(line_ring, any_schedule_keeps_order_and_contents)
{
    enum { QUEUED = 4096 };
    static size_t sizes[QUEUED];
    unsigned first = 0, next = 0, wraps = 0;

    srand(1);
    for (int step = 0; step < 200000; step++) {
        const size_t size = (size_t)rand() % (rand() % 50 == 0 ? MAX_RING_LINE + 1 : 300);
        const size_t tail = ring.tail;

        /* phases that fill it, and phases that empty it */
        if (rand() % 100 < (step / 1000 % 2 ? 65 : 35)) {
            if (!put(next, next % LINE_LEVELS, size))
                continue;
            wraps += ring.tail < tail;
            sizes[next++ % QUEUED] = size;
        } else if (first < next) {
            check_front(first, first % LINE_LEVELS, sizes[first % QUEUED]);
            first++;
        }
        cr_assert_eq(ring.count, next - first);
        cr_assert_leq(ring.used, ring.capacity);
    }
    cr_assert_gt(wraps, 100u, "it went around");
    for (; first < next; first++)
        check_front(first, first % LINE_LEVELS, sizes[first % QUEUED]);
    cr_assert_eq(ring.used, 0u);
}

Test(line_ring, a_ring_that_is_never_full_touches_only_its_start)
{
    for (unsigned i = 0; i < 10000; i++) {
        cr_assert(put(i, 0, 100));
        cr_assert(put(i + 1, 0, 100));
        cr_assert_lt(ring.tail, 300u);
        check_front(i, 0, 100);
        check_front(i + 1, 0, 100);
    }
}
