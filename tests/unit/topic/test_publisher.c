/* test_publisher.c - what of a batch is new. A model that remembers every number agrees. */
#include <criterion/criterion.h>

#include "base/splitmix.h"
#include "topic/publisher.h"

TestSuite(publisher);

static struct publisher_decision decide(struct publisher_state state, uint64_t life, uint64_t first,
                                        uint32_t count)
{
    return publisher_decide(&state, &(struct publisher_batch){life, first, count});
}

Test(publisher, a_new_one_begins_at_1)
{
    const struct publisher_state nothing = {.is_known = false};
    const struct publisher_decision first = decide(nothing, 3, 1, 10);

    cr_assert_eq(first.verdict, PUBLISHER_ACCEPTED);
    cr_assert_eq(first.duplicates, 0u);
    cr_assert(first.as.is_known && first.as.life == 3 && first.as.last == 10);
    cr_assert_eq(decide(nothing, 3, 2, 10).verdict, PUBLISHER_UNKNOWN, "it was forgotten");
}

Test(publisher, what_is_stored_is_dropped_from_the_front)
{
    const struct publisher_state state = {true, 3, 10};

    cr_assert_eq(decide(state, 3, 11, 5).duplicates, 0u);
    cr_assert_eq(decide(state, 3, 11, 5).as.last, 15u);
    cr_assert_eq(decide(state, 3, 8, 5).duplicates, 3u);
    cr_assert_eq(decide(state, 3, 8, 5).as.last, 12u);
    cr_assert_eq(decide(state, 3, 1, 5).duplicates, 5u);
    cr_assert_eq(decide(state, 3, 1, 5).as.last, 10u, "an old batch takes nothing back");
}

Test(publisher, a_gap_says_what_is_expected)
{
    const struct publisher_decision gap = decide((struct publisher_state){true, 3, 10}, 3, 12, 1);

    cr_assert_eq(gap.verdict, PUBLISHER_GAP);
    cr_assert_eq(gap.expected, 11u);
}

Test(publisher, a_higher_life_begins_anew_and_fences_the_lower_one)
{
    const struct publisher_state state = {true, 3, 10};
    const struct publisher_decision next = decide(state, 4, 7, 2);

    cr_assert_eq(next.verdict, PUBLISHER_ACCEPTED);
    cr_assert_eq(next.duplicates, 0u);
    cr_assert(next.as.life == 4 && next.as.last == 8);
    cr_assert_eq(decide(next.as, 3, 11, 1).verdict, PUBLISHER_FENCED);
}

Test(publisher, numbers_beyond_their_bounds)
{
    const struct publisher_state state = {true, 1, UINT64_MAX - 1};

    cr_assert_eq(decide(state, 1, 0, 1).verdict, PUBLISHER_INVALID);
    cr_assert_eq(decide(state, 1, 5, 0).verdict, PUBLISHER_INVALID);
    cr_assert_eq(decide(state, 1, UINT64_MAX, 1).verdict, PUBLISHER_INVALID);
    cr_assert_eq(decide(state, 1, UINT64_MAX - 1, 1).duplicates, 1u);
}

/* A publisher that loses answers, sends again from anywhere behind, and starts anew now and then:
 * each number of each life is stored once, in order. */
Test(publisher, every_number_is_stored_once)
{
    struct publisher_state state = {.is_known = false};
    uint64_t random = 7, life = 1, stored = 0;

    for (unsigned i = 0; i < 100000; i++) {
        const uint64_t first = 1 + splitmix64(&random) % (stored + 3);
        const uint32_t count = 1 + (uint32_t)(splitmix64(&random) % 9);
        const struct publisher_decision decision = decide(state, life, first, count);

        if (first > stored + 1) {
            cr_assert_eq(decision.verdict, state.is_known ? PUBLISHER_GAP : PUBLISHER_UNKNOWN);
            continue;
        }
        cr_assert_eq(decision.verdict, PUBLISHER_ACCEPTED);
        cr_assert_eq(first + decision.duplicates, MIN_OF(stored + 1, first + count));
        stored = MAX_OF(stored, first + count - 1);
        state = decision.as;
        cr_assert_eq(state.last, stored);
        if (i % 1000 == 999) {
            life++;
            state = decide(state, life, 1, 1).as;
            stored = 1;
        }
    }
}
