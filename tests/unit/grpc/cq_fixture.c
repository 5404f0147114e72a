/* cq_fixture.c - starts and stops a thread, and runs functions on it. */
#include "cq_fixture.h"

static void on_begun(void *ctx)
{
    struct cq_fixture *fixture = ctx;

    CHECK(cq_is_mine(fixture->thread));
    fixture->begun = true;
}

static unsigned max_completions(void *ctx)
{
    const struct cq_fixture *fixture = ctx;

    return MAX_OF(fixture->max_completions, 1);
}

static void after_tasks(void *ctx, int64_t now_ns)
{
    struct cq_fixture *fixture = ctx;

    CHECK(now_ns == cq_now_ns(fixture->thread));
    if (fixture->after_tasks)
        fixture->after_tasks(fixture);
}

static bool has_work(void *ctx)
{
    const struct cq_fixture *fixture = ctx;

    return fixture->has_work;
}

static bool is_done(void *ctx)
{
    const struct cq_fixture *fixture = ctx;

    return fixture->stopping;
}

static void on_ended(void *ctx)
{
    struct cq_fixture *fixture = ctx;

    CHECK(cq_is_mine(fixture->thread));
    if (fixture->at_end)
        fixture->at_end(fixture);
    fixture->ended = true;
}

static void on_stop(struct task *task)
{
    container_of(task, struct cq_fixture, stop)->stopping = true;
}

void cq_fixture_open(struct cq_fixture *fixture)
{
    static const struct cq_thread_port port = {.begun = on_begun,
                                               .max_completions = max_completions,
                                               .after_tasks = after_tasks,
                                               .has_work = has_work,
                                               .is_done = is_done,
                                               .ended = on_ended};

    grpc_init();
    fixture->stop.run = on_stop;
    cr_assert_eq(cq_thread_new(&port, fixture, &fixture->thread).code, ERR_OK);
    cr_assert_eq(cq_thread_start(fixture->thread).code, ERR_OK);
}

void cq_fixture_stop(struct cq_fixture *fixture)
{
    cq_post(fixture->thread, &fixture->stop);
    cq_thread_join(fixture->thread);
    cr_assert(fixture->begun && fixture->ended);
}

void cq_fixture_close(struct cq_fixture *fixture)
{
    if (!fixture->ended)
        cq_fixture_stop(fixture);
    cq_thread_free(fixture->thread);
    grpc_shutdown_blocking();
}

struct posted {
    struct task task;
    void (*act)(void *ctx);
    void *ctx;
    _Atomic bool done;
};

static void run_posted(struct task *task)
{
    struct posted *posted = container_of(task, struct posted, task);

    posted->act(posted->ctx);
    posted->done = true; /* `posted` may be gone from here on */
}

void cq_fixture_run(struct cq_fixture *fixture, void (*act)(void *ctx), void *ctx)
{
    struct posted posted = {.task = {.run = run_posted}, .act = act, .ctx = ctx};

    cq_post(fixture->thread, &posted.task);
    cq_fixture_until(posted.done);
}
