/* test_peer_turns.c - work for many peers in one slice. */
#include "loop/peer_turns.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"

#define GREEDY_COUNT 50

/* A piece of work that is never done by itself. */
struct endless {
    struct peer_work work;
    int done, left; /* `left` 0: it ends and frees itself, where it is on the heap */
    bool is_on_heap;
};

static struct loop *loop;
static struct peer_turns turns;
static int slice_steps;

static const struct peer_key greedy = {PEER_IPV4, 1}, modest = {PEER_IPV4, 2};

static bool spend_and_go_on(struct peer_work *work)
{
    struct endless *endless = container_of(work, struct endless, work);
    const int64_t until_ns = clock_mono_ns() + 20 * NS_PER_US;

    while (clock_mono_ns() < until_ns)
        continue;
    endless->done++;
    if (endless->left == 0 || --endless->left > 0)
        return true;
    peer_work_end(work);
    if (endless->is_on_heap)
        free(endless);
    return false;
}

static void begin_all(void)
{
    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    peer_turns_init(&turns, loop);
    slice_steps = 0;
}

static void end_all(void)
{
    peer_turns_fini(&turns);
    loop_free(loop);
}

TestSuite(peer_turns, .init = begin_all, .fini = end_all);

static void begin(struct endless *endless, struct peer_key peer)
{
    peer_work_begin(&turns, &endless->work, peer, spend_and_go_on);
}

/* Outside of a turn of the loop all steps would be taken at once. */
struct waking {
    struct task task;
    struct endless *works;
    size_t count;
    struct slice *slice; /* NULL: none */
};

static void on_wake(struct task *task)
{
    const struct waking *waking = container_of(task, struct waking, task);

    for (size_t i = 0; i < waking->count; i++) {
        peer_work_wake(&waking->works[i].work);
        peer_work_wake(&waking->works[i].work); /* it waits already */
    }
    if (waking->slice)
        loop_slice_later(loop, waking->slice);
}

static void wake(struct endless *works, size_t count, struct slice *slice)
{
    struct waking waking = {.task.run = on_wake, .works = works, .count = count, .slice = slice};

    loop_post(loop, &waking.task);
    loop_turn(loop);
}

static int sum_of(const struct endless *many)
{
    int sum = 0;

    for (int i = 0; i < GREEDY_COUNT; i++)
        sum += many[i].done;
    return sum;
}

static bool count_step(struct slice *slice)
{
    (void)slice;
    slice_steps++;
    return true;
}

Test(peer_turns, a_peer_with_much_work_gets_no_more_than_one_with_little)
{
    struct endless many[GREEDY_COUNT] = {{.done = 0}}, one = {.done = 0};
    int done_by_many, done_by_one;

    for (int i = 0; i < GREEDY_COUNT; i++)
        begin(&many[i], greedy);
    begin(&one, modest);
    wake(many, GREEDY_COUNT, NULL);
    wake(&one, 1, NULL);
    done_by_many = sum_of(many); /* some of it before the other one came */
    done_by_one = one.done;
    while (one.done < 3 * GREEDY_COUNT)
        loop_turn(loop);
    for (int i = 0; i < GREEDY_COUNT; i++) {
        cr_assert_leq(abs(many[i].done - many[0].done), 1, "work of one peer takes turns, too");
        peer_work_end(&many[i].work);
    }
    done_by_many = sum_of(many) - done_by_many;
    done_by_one = one.done - done_by_one;
    cr_assert_leq(abs(done_by_many - done_by_one), 1, "%d and %d", done_by_many, done_by_one);
    peer_work_end(&one.work);
}

Test(peer_turns, all_together_get_as_much_as_one_slice)
{
    struct endless many[GREEDY_COUNT] = {{.done = 0}};
    struct slice slice;
    int turn_count = 0;

    for (int i = 0; i < GREEDY_COUNT; i++)
        begin(&many[i], (struct peer_key){PEER_IPV4, (uint64_t)i});
    slice_init(&slice, count_step);
    wake(many, GREEDY_COUNT, &slice);
    for (; turn_count < 10; turn_count++)
        loop_turn(loop);
    cr_assert_geq(slice_steps, turn_count / 2 - 1, "%d steps", slice_steps);
    slice_stop(&slice);
    for (int i = 0; i < GREEDY_COUNT; i++)
        peer_work_end(&many[i].work);
}

Test(peer_turns, work_may_end_and_free_itself_in_its_step)
{
    struct endless stays = {.left = 0};

    begin(&stays, modest);
    for (int i = 0; i < 3; i++) {
        struct endless *goes = calloc(1, sizeof(*goes));

        cr_assert(goes);
        goes->left = 2;
        goes->is_on_heap = true;
        begin(goes, i == 0 ? modest : greedy);
        wake(goes, 1, NULL);
    }
    for (int i = 0; i < 20; i++)
        loop_turn(loop);
    cr_assert_eq(stays.done, 0, "nobody has woken it");
    cr_assert(peer_queue_is_empty(&turns.due));
    wake(&stays, 1, NULL);
    cr_assert_not(peer_queue_is_empty(&turns.due));
    peer_work_end(&stays.work);
    peer_work_end(&stays.work);
    cr_assert(peer_queue_is_empty(&turns.due));
}
