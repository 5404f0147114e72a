/* cq_fixture.h - one completion-queue thread. The test's thread runs functions on it and waits for
 * what they do. */
#ifndef TRIBUTARY_TESTS_UNIT_GRPC_CQ_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_GRPC_CQ_FIXTURE_H

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"
#include "grpc/cq_thread.h"
#include "grpc/op.h"

/* A test fails if something that it waits for takes longer. */
#define DEADLINE_NS (20 * NS_PER_S)

struct cq_fixture {
    struct cq_thread *thread;
    struct task stop;
    bool stopping; /* the thread only */
    _Atomic bool begun, ended;

    /* The test sets these before it opens the fixture; the thread calls them. NULL, 0: nothing. */
    unsigned max_completions;
    void (*after_tasks)(struct cq_fixture *fixture);
    _Atomic bool has_work;
    void (*at_end)(struct cq_fixture *fixture);
};

/* Initialises gRPC core, makes the thread and starts it. */
void cq_fixture_open(struct cq_fixture *fixture);
/* Lets the thread end, and waits until it has. */
void cq_fixture_stop(struct cq_fixture *fixture);
/* The same, if the thread has not ended. Then frees the thread. */
void cq_fixture_close(struct cq_fixture *fixture);
/* Runs `act` on the thread and waits until it has returned. */
void cq_fixture_run(struct cq_fixture *fixture, void (*act)(void *ctx), void *ctx);

static inline void cq_fixture_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

#define cq_fixture_until(condition)                                                                          \
    do {                                                                                                     \
        for (int64_t limit_ns = clock_mono_ns() + DEADLINE_NS; !(condition); cq_fixture_pause())             \
            cr_assert_lt(clock_mono_ns(), limit_ns, "waited in vain for: %s", #condition);                   \
    } while (0)

#endif
