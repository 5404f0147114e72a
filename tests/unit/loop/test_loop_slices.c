/* test_loop_slices.c - long work in short portions. */
#include "loop/loop.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"

struct work {
    struct slice slice;
    int left, done;
    bool freed;
};

struct other {
    struct task task;
    struct work *work;
    int seen; /* what the work had done when this ran */
};

static struct loop *loop;
static struct work work;

static void spend(int64_t ns)
{
    int64_t until_ns = clock_mono_ns() + ns;

    while (clock_mono_ns() < until_ns)
        continue;
}

static bool step(struct slice *slice)
{
    struct work *of = container_of(slice, struct work, slice);

    of->done++;
    if (--of->left > 0)
        return true;
    if (of->freed)
        free(of);
    return false;
}

static bool slow_step(struct slice *slice)
{
    spend(100 * NS_PER_US);
    return step(slice);
}

static void start(struct task *task)
{
    (void)task;
    loop_slice(loop, &work.slice);
}

static void see_progress(struct task *task)
{
    struct other *other = container_of(task, struct other, task);

    other->seen = other->work->done;
}

static void begin(bool (*how)(struct slice *slice), int steps)
{
    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    work = (struct work){.left = steps};
    slice_init(&work.slice, how);
}

Test(loop_slices, short_work_is_done_at_once)
{
    struct task task = {.run = start};

    begin(step, 10);
    loop_post(loop, &task);
    loop_turn(loop);
    cr_assert_eq(work.done, 10);
    loop_free(loop);
}

Test(loop_slices, long_work_lets_the_tasks_that_wait_run_between_its_portions)
{
    struct task task = {.run = start};
    struct other other = {.task.run = see_progress, .work = &work};
    int turns = 0, before;

    begin(slow_step, 100);
    loop_post(loop, &task);
    for (; work.left > 0; turns++) {
        before = work.done;
        loop_post(loop, &other.task);
        loop_turn(loop);
        cr_assert_leq(work.done - before, 12, "a turn has time for about ten steps of 100 us");
        cr_assert_geq(other.seen, before, "the task ran in the same turn");
    }
    cr_assert_geq(turns, 9);
    loop_free(loop);
}

static struct work two[2];

static void start_later(struct task *task)
{
    (void)task;
    loop_slice_later(loop, &work.slice);
    loop_slice_later(loop, &work.slice);
    cr_expect(work.done == 0);
}

Test(loop_slices, work_that_comes_later_waits_for_the_other_tasks_of_the_turn)
{
    struct task task = {.run = start_later};
    struct other other = {.task = {.run = see_progress}, .work = &work, .seen = -1};

    begin(step, 3);
    loop_post(loop, &task);
    loop_post(loop, &other.task);
    loop_turn(loop);
    cr_expect(other.seen == 0);
    loop_turn(loop);
    cr_expect(work.done == 3);
    work.left = 2;
    loop_slice_later(loop, &work.slice); /* outside of a turn */
    cr_expect(work.done == 5);
    loop_free(loop);
}

static void start_two(struct task *task)
{
    (void)task;
    for (int i = 0; i < 2; i++)
        loop_slice(loop, &two[i].slice);
}

Test(loop_slices, take_turns)
{
    struct task task = {.run = start_two};

    begin(step, 1);
    for (int i = 0; i < 2; i++) {
        two[i].left = 100;
        slice_init(&two[i].slice, slow_step);
    }
    loop_post(loop, &task);
    for (int i = 0; i < 6; i++)
        loop_turn(loop);
    cr_assert(two[0].done > 0 && two[1].done > 0, "the long one does not go first all the time");
    loop_finish_slices(loop);
    cr_assert(two[0].left == 0 && two[1].left == 0);
    loop_free(loop);
}

static struct slice hog;

static bool use_the_turn_up(struct slice *slice)
{
    (void)slice;
    spend(2 * NS_PER_MS);
    return false;
}

static void start_hog(struct task *task)
{
    loop_slice(loop, &hog);
    if (work.left > 0)
        loop_post(loop, task);
}

Test(loop_slices, one_that_waits_goes_on_where_new_ones_use_up_every_turn)
{
    struct task task = {.run = start}, of_hog = {.run = start_hog};

    begin(slow_step, 20);
    slice_init(&hog, use_the_turn_up);
    loop_post(loop, &of_hog);
    loop_post(loop, &task);
    for (int i = 0; i < 40 && work.left > 0; i++)
        loop_turn(loop);
    cr_assert_eq(work.left, 0);
    loop_turn(loop);
    loop_free(loop);
}

Test(loop_slices, outside_of_a_turn_all_is_done_at_once_and_a_slice_may_free_itself)
{
    struct work *own = calloc(1, sizeof(*own));

    begin(step, 1);
    own->left = 50;
    own->freed = true;
    slice_init(&own->slice, slow_step);
    loop_slice(loop, &own->slice);
    loop_free(loop);
}

Test(loop_slices, one_that_is_stopped_takes_no_step_any_more)
{
    struct task task = {.run = start};
    int done;

    begin(slow_step, 1000);
    loop_post(loop, &task);
    loop_turn(loop);
    slice_stop(&work.slice);
    done = work.done;
    loop_turn(loop);
    loop_turn(loop);
    cr_assert_eq(work.done, done);
    loop_free(loop);
}
