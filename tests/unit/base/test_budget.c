/* test_budget.c - the budget, its kinds, and who hears that it is short (finding 10). */
#include "base/budget.h"

#include <criterion/criterion.h>

static unsigned calls;

static void is_short(struct budget_callbacks *callbacks)
{
    (void)callbacks;
    calls++;
}

static struct budget_callbacks callbacks = {is_short};

static void open_budget(void)
{
    budget_set(1000);
    budget_notify(&callbacks);
}

TestSuite(budget, .init = open_budget);

Test(budget, all_kinds_share_the_limit_and_are_shown_each)
{
    cr_assert(budget_take(COUNT_LIVE_CHUNK_BYTES, 600));
    cr_assert(budget_take(COUNT_LIVE_FILTER_BYTES, 400));
    cr_assert_not(budget_take(COUNT_LIVE_FILTER_BYTES, 1));
    cr_assert_eq(budget_used(), 1000);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNK_BYTES), 600);
    cr_assert_eq(count_get(COUNT_LIVE_FILTER_BYTES), 400, "what was refused is in no counter");
    budget_give(COUNT_LIVE_CHUNK_BYTES, 600);
    cr_assert(budget_take(COUNT_LIVE_ENTRY_BYTES, 600));
}

Test(budget, what_cannot_be_refused_goes_beyond_the_limit)
{
    budget_add(COUNT_LIVE_COMMAND_BYTES, 1500);
    cr_assert_eq(budget_used(), 1500);
    cr_assert_not(budget_take(COUNT_LIVE_CHUNK_BYTES, 1));
    budget_give(COUNT_LIVE_COMMAND_BYTES, 1500);
    cr_assert_eq(count_get(COUNT_LIVE_COMMAND_BYTES), 0);
    cr_assert(budget_take(COUNT_LIVE_CHUNK_BYTES, 1000));
}

Test(budget, above_four_fifths_it_is_short_and_each_charge_says_so)
{
    cr_assert(budget_take(COUNT_LIVE_CHUNK_BYTES, 800));
    cr_assert_not(budget_is_short());
    cr_assert_eq(calls, 0);
    cr_assert(budget_take(COUNT_LIVE_ENTRY_BYTES, 1));
    cr_assert(budget_is_short());
    budget_add(COUNT_LIVE_COMMAND_BYTES, 1);
    cr_assert_eq(calls, 2);
    cr_assert_not(budget_take(COUNT_LIVE_CHUNK_BYTES, 500));
    cr_assert_eq(calls, 2);
    budget_notify(NULL);
    cr_assert(budget_take(COUNT_LIVE_CHUNK_BYTES, 100));
    cr_assert_eq(calls, 2);
}

Test(budget, without_a_limit_nothing_is_refused_or_short)
{
    budget_set(0);
    cr_assert(budget_take(COUNT_LIVE_CHUNK_BYTES, UINT64_C(1) << 50));
    cr_assert_not(budget_is_short());
    cr_assert_eq(calls, 0);
}
