/* test_thread.c - what a wire thread adds to a completion-queue thread: how busy it is, and its end
 * together with that of its server. */
#include <criterion/criterion.h>

#include "server/wire/call_acceptor.h"
#include "server/wire/wire.h"
#include "wire_fixture.h"

static struct wire_fixture fixture;

static void open_fixture(void)
{
    wire_fixture_open(&fixture, NULL, 0);
}

static void close_fixture(void)
{
    wire_fixture_close(&fixture);
}

TestSuite(thread, .init = open_fixture, .fini = close_fixture);

static _Atomic uint32_t tasks_run;
static _Atomic bool burning, busy;

static void burn(struct task *task)
{
    for (int64_t until_ns = clock_mono_ns() + NS_PER_MS / 4; clock_mono_ns() < until_ns;)
        continue;
    busy = wire_busy(fixture.thread);
    if (burning)
        cq_post(wire_cq(fixture.thread), task);
}

static void act_read_busy(void *ctx)
{
    (void)ctx;
    busy = wire_busy(fixture.thread);
}

/* An idle thread measures itself only when the next work comes, and a new thread begins with
 * work. */
static void until_idle(void)
{
    int64_t limit_ns = clock_mono_ns() + DEADLINE_NS;

    do {
        cr_assert_lt(clock_mono_ns(), limit_ns);
        wire_fixture_wait(&fixture, 5 * NS_PER_MS);
        wire_fixture_run(&fixture, act_read_busy, NULL);
    } while (busy);
}

Test(thread, knows_whether_it_is_busy)
{
    struct task task = {.run = burn};

    until_idle();
    burning = true;
    cq_post(wire_cq(fixture.thread), &task);
    wire_fixture_until(&fixture, busy);
    burning = false;
    until_idle();
}

static void count_task(struct task *task)
{
    (void)task;
    tasks_run++;
}

Test(thread, a_task_posted_after_the_thread_ended_is_run_when_it_is_freed)
{
    struct task tasks[3] = {{.run = count_task}, {.run = count_task}, {.run = count_task}};

    grpc_channel_destroy(fixture.channel);
    fixture.channel = NULL;
    wire_thread_shutdown(fixture.thread, false);
    wire_fixture_wait_down(&fixture);
    wire_thread_join(fixture.thread);
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        cq_post(wire_cq(fixture.thread), &tasks[i]);
    wire_thread_shutdown(fixture.thread, true);
    call_acceptor_drain(fixture.thread);
    wire_fixture_close(&fixture);
    cr_assert_eq(tasks_run, 3);
    open_fixture();
}

Test(thread, a_task_that_the_thread_posts_at_its_end_is_run_when_it_is_freed)
{
    struct task last = {.run = count_task};

    fixture.last = &last;
    wire_fixture_close(&fixture);
    cr_assert_eq(tasks_run, 1);
    open_fixture();
}

Test(thread, a_thread_that_was_never_started_can_be_freed)
{
    const struct wire_settings settings = {.max_message_bytes = 1000,
                                           .core_message_bytes = 1000,
                                           .max_calls_per_connection = 1,
                                           .core_header_bytes = 8192,
                                           .resource_quota_bytes = 1000000};
    const struct method twice[] = {{"/a/b", &unary_port, NULL}, {"/a/b", &unary_port, NULL}};
    struct wire_thread *bare, *served;

    cr_assert_eq(wire_thread_new(&settings, &bare).code, ERR_OK);
    wire_thread_free(bare);
    cr_assert_eq(wire_thread_new(&settings, &served).code, ERR_OK);
    cr_assert_eq(call_acceptor_serve(served, twice, 1), ERR_OK);
    wire_thread_join(served);
    wire_thread_free(served);
    wire_thread_free(NULL);
}
