/* test_cq_turn.c - what one turn handles: operations, each completed once, and what the owner
 * adds. */
#include "cq_fixture.h"

#define MAX_OPS 12u

static struct cq_fixture fixture;

/* An empty batch on a call of a lame channel completes at once. */
static grpc_channel *channel;
static grpc_call *call;

static void open_fixture(void)
{
    cq_fixture_open(&fixture);
    channel = grpc_lame_client_channel_create("test", GRPC_STATUS_UNAVAILABLE, "");
    call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq_thread_queue(fixture.thread),
                                    grpc_slice_from_static_string("/test"), NULL,
                                    gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static void close_fixture(void)
{
    grpc_call_unref(call);
    grpc_channel_destroy(channel);
    cq_fixture_close(&fixture);
}

TestSuite(cq_turn, .fini = close_fixture);

struct counted_op {
    struct op op;
    _Atomic unsigned starts, completions;
    unsigned again; /* how often done() starts it again */
};

static void start(struct counted_op *counted)
{
    counted->starts++;
    CHECK(grpc_call_start_batch(call, NULL, 0, &counted->op, NULL) == GRPC_CALL_OK);
}

static _Atomic unsigned completed_in_turn; /* set back at the end of each turn */
static _Atomic unsigned most_in_turn;

static void on_done(struct op *op, bool ok)
{
    struct counted_op *counted = container_of(op, struct counted_op, op);

    CHECK(ok && cq_is_mine(fixture.thread));
    completed_in_turn++;
    most_in_turn = MAX_OF(most_in_turn, completed_in_turn);
    counted->completions++;
    if (counted->again > 0) {
        counted->again--;
        start(counted);
    }
}

static struct counted_op ops[MAX_OPS];

static void act_start_all(void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < MAX_OPS; i++) {
        ops[i].op.done = on_done;
        start(&ops[i]);
    }
}

static unsigned completions(void)
{
    unsigned sum = 0;

    for (size_t i = 0; i < MAX_OPS; i++)
        sum += ops[i].completions;
    return sum;
}

static void end_turn(struct cq_fixture *turned)
{
    (void)turned;
    completed_in_turn = 0;
}

Test(cq_turn, completes_each_operation_once_for_each_start)
{
    open_fixture();
    for (size_t i = 0; i < MAX_OPS; i++)
        ops[i].again = 300;
    cq_fixture_run(&fixture, act_start_all, NULL);
    cq_fixture_until(completions() == MAX_OPS * 301);
    cq_fixture_stop(&fixture);
    for (size_t i = 0; i < MAX_OPS; i++)
        cr_assert_eq(ops[i].completions, ops[i].starts);
}

Test(cq_turn, handles_one_operation_unless_the_owner_allows_more)
{
    fixture.after_tasks = end_turn;
    open_fixture();
    cq_fixture_run(&fixture, act_start_all, NULL);
    cq_fixture_until(completions() == MAX_OPS);
    cr_assert_eq(most_in_turn, 1);
}

Test(cq_turn, handles_as_many_operations_as_the_owner_allows)
{
    fixture.after_tasks = end_turn;
    fixture.max_completions = 5;
    open_fixture();
    cq_fixture_run(&fixture, act_start_all, NULL);
    cq_fixture_until(completions() == MAX_OPS);
    cr_assert_eq(most_in_turn, 5);
}

static void poll_all(struct cq_fixture *polled)
{
    cq_poll(polled->thread, 2, 7);
    completed_in_turn = 0;
}

/* The task that starts the operations runs before after_tasks(): the seven polls find seven. */
Test(cq_turn, the_owner_may_poll_for_more)
{
    fixture.after_tasks = poll_all;
    open_fixture();
    cq_fixture_run(&fixture, act_start_all, NULL);
    cq_fixture_until(completions() == MAX_OPS);
    cr_assert_eq(most_in_turn, 7);
}

static _Atomic unsigned turns;

static void count_turn(struct cq_fixture *turned)
{
    if (++turns == 1000)
        turned->has_work = false;
}

/* Nothing else wakes the thread: without work it would wait for ever. */
Test(cq_turn, does_not_wait_while_the_owner_has_work)
{
    fixture.after_tasks = count_turn;
    fixture.has_work = true;
    open_fixture();
    cq_fixture_until(!fixture.has_work);
    cr_assert_geq(turns, 1000);
}

enum step { STEP_TASK, STEP_AFTER_TASKS, STEP_TIMER, STEP_EARLY, STEP_LATE, STEPS };

static enum step steps[STEPS];
static _Atomic unsigned step_count;
static struct post_poll_hook early_hook, late_hook;
static struct cq_timer timer;

static void take_step(enum step step)
{
    if (step_count < STEPS)
        steps[step_count] = step;
    step_count++;
}

static void on_timer(struct cq_timer *fired, int64_t now_ns)
{
    CHECK(fired == &timer && now_ns == cq_now_ns(fixture.thread));
    take_step(STEP_TIMER);
}

static void on_hook(struct post_poll_hook *hook, int64_t now_ns)
{
    (void)now_ns;
    take_step(hook == &early_hook ? STEP_EARLY : STEP_LATE);
}

static void on_after_tasks(struct cq_fixture *turned)
{
    (void)turned;
    if (step_count == 1)
        take_step(STEP_AFTER_TASKS);
}

static void act_order(void *ctx)
{
    (void)ctx;
    list_init(&early_hook.link);
    list_init(&late_hook.link);
    early_hook.post_poll = late_hook.post_poll = on_hook;
    timer.fired = on_timer;
    cq_add_post_poll_hook(fixture.thread, &late_hook);
    cq_add_early_post_poll_hook(fixture.thread, &early_hook);
    cq_timer_set(fixture.thread, &timer, cq_now_ns(fixture.thread));
    take_step(STEP_TASK);
}

Test(cq_turn, goes_from_tasks_to_timers_to_hooks)
{
    fixture.after_tasks = on_after_tasks;
    open_fixture();
    cq_fixture_run(&fixture, act_order, NULL);
    cq_fixture_until(step_count == STEPS);
    for (unsigned i = 0; i < STEPS; i++)
        cr_assert_eq(steps[i], (enum step)i, "step %u", i);
}
