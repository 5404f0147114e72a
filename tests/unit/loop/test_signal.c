/* test_signal.c - signals reach their loop, also while other loops are made and freed. */
#include "loop/loop.h"

#include <criterion/criterion.h>
#include <signal.h>

static int caught_count[NSIG];
static void *caught_ctx;

static void caught(void *ctx, int signal)
{
    caught_ctx = ctx;
    caught_count[signal]++;
}

static struct loop *loop_made(void)
{
    struct loop *loop = NULL;

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    return loop;
}

Test(signal, a_signal_before_a_turn_is_handled_in_it)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    int ctx;

    cr_assert_eq(loop_signal(loop, SIGUSR1, caught, &ctx), ERR_OK);
    for (int i = 1; i <= 100; i++) {
        raise(SIGUSR1);
        loop_turn(loop);
        cr_assert_eq(caught_count[SIGUSR1], i);
    }
    cr_assert_eq(caught_ctx, &ctx);
}

Test(signal, other_loops_may_be_made_and_freed_meanwhile)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct loop *other = loop_made();

    cr_assert_eq(loop_signal(loop, SIGUSR1, caught, NULL), ERR_OK);
    cr_assert_eq(loop_signal(other, SIGUSR2, caught, NULL), ERR_OK);
    raise(SIGUSR1);
    raise(SIGUSR2);
    loop_turn(other);
    cr_assert_eq(caught_count[SIGUSR1], 0, "not this loop's");
    cr_assert_eq(caught_count[SIGUSR2], 1);
    loop_free(other);
    other = loop_made();
    loop_turn(other);
    loop_turn(loop);
    cr_assert_eq(caught_count[SIGUSR1], 1);
    loop_free(other);
}

static void stop(void *ctx, int signal)
{
    caught(ctx, signal);
    loop_stop(ctx);
}

static void send(struct task *task)
{
    (void)task;
    kill(getpid(), SIGTERM);
}

Test(signal, wakes_a_loop_that_waits)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct task task = {.run = send};

    cr_assert_eq(loop_signal(loop, SIGTERM, stop, loop), ERR_OK);
    loop_post(loop, &task);
    loop_run(loop);
    cr_assert_eq(caught_count[SIGTERM], 1);
}

Test(signal, a_loop_accepts_eight_handlers_and_refuses_the_ninth)
{
    static const int eight[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT};
    OWNED(loop_free) struct loop *loop = loop_made();

    for (size_t i = 0; i < ARRAY_LEN(eight); i++)
        cr_assert_eq(loop_signal(loop, eight[i], caught, NULL), ERR_OK);
    cr_assert_eq(loop_signal(loop, SIGIO, caught, NULL), ERR_FULL);
    for (size_t i = 0; i < ARRAY_LEN(eight); i++)
        raise(eight[i]);
    loop_turn(loop);
    for (size_t i = 0; i < ARRAY_LEN(eight); i++)
        cr_assert_eq(caught_count[eight[i]], 1, "signal %d", eight[i]);
}

Test(signal, belongs_to_one_loop_until_that_is_freed)
{
    struct loop *first = loop_made();
    OWNED(loop_free) struct loop *second = loop_made();
    struct sigaction now;

    cr_assert_eq(loop_signal(first, SIGUSR1, caught, NULL), ERR_OK);
    cr_assert_eq(loop_signal(first, SIGUSR1, caught, NULL), ERR_OK, "twice in one loop is fine");
    cr_assert_eq(loop_signal(second, SIGUSR1, caught, NULL), ERR_INVALID);
    loop_free(first);
    sigaction(SIGUSR1, NULL, &now);
    cr_assert_eq(now.sa_handler, SIG_DFL);
    cr_assert_eq(loop_signal(second, SIGUSR1, caught, NULL), ERR_OK);
    raise(SIGUSR1);
    loop_turn(second);
    cr_assert_eq(caught_count[SIGUSR1], 1);
}

Test(signal, a_signal_that_cannot_be_caught_is_refused)
{
    OWNED(loop_free) struct loop *loop = loop_made();

    cr_assert_eq(loop_signal(loop, 0, caught, NULL), ERR_INVALID);
    cr_assert_eq(loop_signal(loop, -1, caught, NULL), ERR_INVALID);
    cr_assert_eq(loop_signal(loop, NSIG, caught, NULL), ERR_INVALID);
    cr_assert_eq(loop_signal(loop, SIGKILL, caught, NULL), ERR_INVALID);
    cr_assert_eq(loop_signal(loop, SIGSTOP, caught, NULL), ERR_INVALID);
    cr_assert_eq(loop_signal(loop, NSIG - 1, caught, NULL), ERR_OK);
}
