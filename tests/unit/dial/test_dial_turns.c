/* test_dial_turns.c - the turns of endpoints that fail: one after the other, and how soon the next
 * one is. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "server/dial/dial_turns.h"

#define COUNT 4

static struct dial_turns turns;
static struct dial_turn all[COUNT];
static struct loop *loop;
static int order[2 * COUNT], count;
static bool needs_another;

static bool come(struct dial_turn *turn)
{
    order[count++] = (int)(turn - all);
    loop_stop(loop);
    return needs_another;
}

static void open_turns(void)
{
    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    dial_turns_init(&turns, loop);
    for (int i = 0; i < COUNT; i++)
        dial_turn_init(&all[i], NO_PEER, come);
}

static void close_turns(void)
{
    for (int i = 0; i < COUNT; i++)
        dial_turns_leave(&turns, &all[i]);
    dial_turns_fini(&turns);
    loop_free(loop);
}

TestSuite(dial_turns, .init = open_turns, .fini = close_turns);

Test(dial_turns, they_come_one_by_one_in_their_order)
{
    const int64_t began_ns = clock_mono_ns();

    for (int i = 0; i < COUNT; i++)
        dial_turns_wait(&turns, &all[i]);
    dial_turns_wait(&turns, &all[0]); /* again: it waits */
    dial_turns_leave(&turns, &all[2]);
    for (int i = 0; i < COUNT - 1; i++)
        loop_run(loop);
    cr_assert_eq(count, COUNT - 1);
    cr_assert(order[0] == 0 && order[1] == 1 && order[2] == 3);
    cr_assert_geq(clock_mono_ns() - began_ns, 2 * NS_PER_S / DIAL_TURNS_PER_S);
}

Test(dial_turns, who_needs_another_turn_stands_behind_the_others)
{
    needs_another = true;
    dial_turns_wait(&turns, &all[0]);
    dial_turns_wait(&turns, &all[1]);
    for (int i = 0; i < 3; i++)
        loop_run(loop);
    cr_assert(order[0] == 0 && order[1] == 1 && order[2] == 0);
}

Test(dial_turns, a_peer_waits_for_one_of_another_peer_and_not_for_all)
{
    dial_turn_init(&all[3], (struct peer_key){PEER_IPV4, 7}, come);
    for (int i = 0; i < COUNT; i++)
        dial_turns_wait(&turns, &all[i]);
    for (int i = 0; i < 3; i++)
        loop_run(loop);
    cr_assert(order[0] == 0 && order[1] == 3 && order[2] == 1);
}

Test(dial_turns, after_a_turn_that_succeeds_the_next_one_comes_sooner)
{
    dial_turns_wait(&turns, &all[0]);
    dial_turns_wait(&turns, &all[1]);
    loop_run(loop);
    cr_assert_eq(turns.next_ns - turns.last_ns, NS_PER_S / DIAL_TURNS_PER_S);
    for (int i = 0; i < 3; i++)
        dial_turns_succeeded(&turns);
    cr_assert_eq(turns.next_ns - turns.last_ns, NS_PER_S / GOOD_DIAL_TURNS_PER_S);
    loop_run(loop);
    cr_assert_eq(count, 2);
    cr_assert_eq(turns.next_ns - turns.last_ns, NS_PER_S / DIAL_TURNS_PER_S, "each has to succeed");
    dial_turns_succeeded(&turns); /* nobody waits */
}
