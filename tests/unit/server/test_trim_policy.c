/* test_trim_policy.c - when memory is given back: after a burst that is over, and not too often. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "server/trim_policy.h"

#define MIB (INT64_C(1) << 20)

/* One sample each second. Returns in which one a trim is wanted first; 0: in none. */
static size_t first_wanted(struct trim_policy *policy, const int64_t *mib, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (trim_policy_sample(policy, mib[i] * MIB, 0, (int64_t)i * NS_PER_S))
            return i + 1;
    return 0;
}

#define FIRST_WANTED(policy, ...)                                                                            \
    first_wanted((policy), (const int64_t[]){__VA_ARGS__}, ARRAY_LEN(((const int64_t[]){__VA_ARGS__})))

Test(trim_policy, what_is_resident_from_the_start_is_left_alone)
{
    struct trim_policy policy = {0};

    cr_assert_eq(FIRST_WANTED(&policy, 500, 500, 500, 510), 0);
}

Test(trim_policy, what_a_burst_leaves_is_trimmed_once_it_has_lasted)
{
    struct trim_policy policy = {0};

    cr_assert_eq(FIRST_WANTED(&policy, 10, 210, 210), 3);
    policy = (struct trim_policy){0};
    cr_assert_eq(FIRST_WANTED(&policy, 10, 12, 12), 3, "2 MiB are enough");
    policy = (struct trim_policy){0};
    cr_assert_eq(FIRST_WANTED(&policy, 10, 11, 11, 11), 0, "1 is not");
}

Test(trim_policy, memory_that_is_used_again_within_a_second_is_not_trimmed)
{
    struct trim_policy policy = {0};

    cr_assert_eq(FIRST_WANTED(&policy, 10, 210, 11, 210, 11, 210, 11), 0);
}

Test(trim_policy, memory_that_is_allocated_and_was_never_touched_changes_nothing_for_long)
{
    struct trim_policy policy = {0};

    cr_assert_eq(FIRST_WANTED(&policy, 10, -190, 10, 10), 4, "one trim finds nothing");
    trim_policy_trimmed(&policy, 10 * MIB, 3 * NS_PER_S, 3 * NS_PER_S);
    cr_assert_not(trim_policy_sample(&policy, 10 * MIB, 0, 4 * NS_PER_S));
    cr_assert_not(trim_policy_sample(&policy, 10 * MIB, 0, 5 * NS_PER_S));
}

Test(trim_policy, what_a_trim_could_not_give_back_is_not_tried_again)
{
    struct trim_policy policy = {0};

    cr_assert_eq(FIRST_WANTED(&policy, 10, 210, 210), 3);
    trim_policy_trimmed(&policy, 100 * MIB, 0, 0); /* it took no time */
    cr_assert_eq(FIRST_WANTED(&policy, 100, 101, 101, 101), 0);
    cr_assert_eq(FIRST_WANTED(&policy, 120, 120), 2, "but 20 MiB more are");
}

Test(trim_policy, trims_take_a_hundredth_of_the_time_at_most)
{
    struct trim_policy policy = {0};
    const int64_t took_ns = 50 * NS_PER_MS, began_ns = 10 * NS_PER_S;

    cr_assert_eq(FIRST_WANTED(&policy, 10, 210, 210), 3);
    trim_policy_trimmed(&policy, 10 * MIB, began_ns, began_ns + took_ns);
    const int64_t again_ns = began_ns + took_ns + TRIM_TIME_SHARE * took_ns;
    cr_assert_not(trim_policy_sample(&policy, 210 * MIB, 0, began_ns + NS_PER_S));
    cr_assert_not(trim_policy_sample(&policy, 210 * MIB, 0, again_ns - 1));
    cr_assert(trim_policy_sample(&policy, 210 * MIB, 0, again_ns));
}

Test(trim_policy, where_much_is_allocated_a_sixteenth_of_it_is_wanted)
{
    struct trim_policy policy = {0};

    cr_assert_not(trim_policy_sample(&policy, 0, 320 * MIB, 0));
    cr_assert_not(trim_policy_sample(&policy, 19 * MIB, 320 * MIB, NS_PER_S));
    cr_assert_not(trim_policy_sample(&policy, 19 * MIB, 320 * MIB, 2 * NS_PER_S));
    cr_assert_not(trim_policy_sample(&policy, 20 * MIB, 320 * MIB, 3 * NS_PER_S));
    cr_assert(trim_policy_sample(&policy, 20 * MIB, 320 * MIB, 4 * NS_PER_S));
}
