/* test_credit.c - the arithmetic of credit. */
#include <criterion/criterion.h>

#include "client/lib/subscribe/credit.h"

Test(credit, without_an_amount_there_is_no_bound)
{
    struct credit credit = credit_of(0, false);

    credit_restart(&credit);
    credit_use(&credit, 1000);
    cr_assert_not(credit.bounded);
    cr_assert_not(credit_is_due(&credit, true));
    cr_assert_eq(credit_grant(&credit), 0);
}

Test(credit, a_window_is_granted_again_when_half_of_it_is_used)
{
    for (uint64_t window = 1; window < 20; window++) {
        struct credit credit = credit_of(window, false);
        const uint64_t half = window - window / 2;

        credit_restart(&credit);
        cr_assert(credit_is_due(&credit, false));
        cr_assert_eq(credit_grant(&credit), window);
        cr_assert_not(credit_is_due(&credit, true));
        credit_use(&credit, half - 1);
        cr_assert_not(credit_is_due(&credit, false));
        cr_assert_eq(credit_is_due(&credit, true), half > 1);
        credit_use(&credit, 1);
        cr_assert(credit_is_due(&credit, false));
        cr_assert_eq(credit_grant(&credit), half);
        cr_assert_eq(credit.left, window);
    }
}

Test(credit, at_most_the_window_is_on_its_way)
{
    struct credit credit = credit_of(7, false);
    uint64_t granted = 0;
    uint64_t sent = 0;
    unsigned seed = 1;

    credit_restart(&credit);
    while (sent < 10000) {
        uint64_t step = 0;

        if (credit_is_due(&credit, false))
            granted += credit_grant(&credit);
        cr_assert(granted > sent, "the stream never stands still");
        cr_assert_leq(granted - sent, 7);
        seed = seed * 1103515245u + 12345u;
        step = (seed >> 16) % (granted - sent + 1);
        sent += step;
        credit_use(&credit, step);
    }
}

Test(credit, events_before_the_first_credit_are_not_granted_twice)
{
    struct credit credit = credit_of(10, false);

    credit_restart(&credit);
    credit_grant(&credit);
    credit_use(&credit, 500);
    cr_assert_eq(credit_grant(&credit), 10, "not 500");
}

Test(credit, unused_credit_by_hand_is_granted_again_on_a_new_stream)
{
    struct credit credit = credit_of(5, true);

    credit_restart(&credit);
    cr_assert_eq(credit_grant(&credit), 5);
    credit_use(&credit, 3);
    cr_assert_not(credit_is_due(&credit, true));
    credit_add(&credit, 4);
    cr_assert(credit_is_due(&credit, false));
    credit_restart(&credit);
    cr_assert_eq(credit_grant(&credit), 6);
    credit_use(&credit, 6);
    credit_restart(&credit);
    cr_assert(credit.bounded);
    cr_assert_eq(credit.owed, 0);
    credit_add(&credit, UINT64_MAX);
    credit_add(&credit, UINT64_MAX);
    cr_assert_eq(credit_grant(&credit), UINT64_MAX);
}
