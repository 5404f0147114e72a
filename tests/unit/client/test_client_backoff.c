/* test_client_backoff.c - backoff times stay within their bounds, and differ. */
#include <criterion/criterion.h>

#include "client/lib/core/backoff.h"

Test(client_backoff, doubles_up_to_the_cap_and_is_shortened_by_at_most_a_half)
{
    static const int64_t whole[] = {100, 200, 400, 800, 1000, 1000};

    for (uint32_t attempt = 0; attempt < 6; attempt++) {
        cr_assert_eq(backoff_ns(100, 1000, attempt, 0), whole[attempt]);
        cr_assert_eq(backoff_ns(100, 1000, attempt, (uint64_t)whole[attempt] / 2), whole[attempt] / 2);
        for (uint64_t random = 0; random < 3000; random++) {
            const int64_t time_ns = backoff_ns(100, 1000, attempt, random * UINT64_C(0x9e3779b97f4a7c15));

            cr_assert_geq(time_ns, whole[attempt] / 2);
            cr_assert_leq(time_ns, whole[attempt]);
        }
    }
}

Test(client_backoff, a_base_above_the_cap_counts_as_the_cap)
{
    cr_assert_eq(backoff_ns(5000, 1000, 0, 0), 1000);
}

Test(client_backoff, large_attempts_and_caps_do_not_overflow)
{
    cr_assert_eq(backoff_ns(1, INT64_MAX, UINT32_MAX, 0), INT64_MAX);
    cr_assert_eq(backoff_ns(INT64_MAX, INT64_MAX, 3, 0), INT64_MAX);
    cr_assert_geq(backoff_ns(INT64_MAX, INT64_MAX, 3, UINT64_MAX), INT64_MAX / 2);
}

Test(client_backoff, random_numbers_differ)
{
    uint64_t state = 1;
    const uint64_t first = random_next(&state);

    cr_assert_neq(random_next(&state), first);
    cr_assert_neq(state, 0);
}
