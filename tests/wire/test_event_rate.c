/* test_event_rate.c - whether it pays to gather events, by how many leave in each linger. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "server/wire/event_rate.h"

#define LINGER_NS (500 * NS_PER_US)

/* Messages with `events` each leave, one every `period_ns`. */
static struct event_rate rate_of(uint32_t events, int64_t period_ns, int messages)
{
    struct event_rate rate = {0};

    for (int i = 0; i < messages; i++)
        event_rate_add(&rate, events, LINGER_NS, NS_PER_S + i * period_ns);
    return rate;
}

Test(event_rate, is_low_at_first)
{
    cr_assert_not(rate_of(4096, LINGER_NS, 1).is_high);
}

Test(event_rate, is_high_where_many_events_leave_in_few_messages)
{
    cr_assert(rate_of(EVENTS_PER_MESSAGE, LINGER_NS, 2).is_high);
    cr_assert_not(rate_of(EVENTS_PER_MESSAGE - 1, LINGER_NS, 2).is_high);
}

Test(event_rate, does_not_depend_on_the_size_of_messages)
{
    cr_assert(rate_of(1, LINGER_NS / EVENTS_PER_MESSAGE, 100).is_high);
    cr_assert_not(rate_of(1, LINGER_NS / 10, 100).is_high, "20 000 single events/s");
    cr_assert(rate_of(10 * EVENTS_PER_MESSAGE, 10 * LINGER_NS, 3).is_high);
    cr_assert_not(rate_of(10 * EVENTS_PER_MESSAGE, 11 * LINGER_NS, 3).is_high);
}

Test(event_rate, is_low_again_after_a_pause)
{
    struct event_rate rate = rate_of(100, LINGER_NS, 10);

    cr_assert(rate.is_high);
    event_rate_add(&rate, 100, LINGER_NS, 2 * NS_PER_S);
    cr_assert_not(rate.is_high);
}
