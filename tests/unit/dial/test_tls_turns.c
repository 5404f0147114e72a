/* test_tls_turns.c - the turns of TLS handshakes, but for their time (test_endpoints_tls.py). */
#include <criterion/criterion.h>

#include "server/dial/tls_turns.h"

#include <grpc/grpc.h>

#define HANDSHAKES 20

static struct tls_turns turns;
static struct tls_turn all[HANDSHAKES];
static int begun[HANDSHAKES], begun_count;
static bool leaves_at_once;

static bool is_done(void *ctx)
{
    (void)ctx;
    return true;
}

static void begin(struct tls_turn *turn)
{
    begun[begun_count++] = (int)(turn - all);
    if (leaves_at_once)
        tls_turn_leave(&turns, turn);
}

static struct cq_thread *thread_of_turns(void)
{
    static const struct cq_thread_port port = {.is_done = is_done};
    struct cq_thread *thread = NULL;

    grpc_init();
    cr_assert_eq(cq_thread_new(&port, NULL, &thread).code, ERR_OK);
    tls_turns_init(&turns, thread);
    return thread;
}

/* Begins all, and returns the thread of the turns. */
static struct cq_thread *request_all(void)
{
    struct cq_thread *thread = thread_of_turns();

    for (int i = 0; i < HANDSHAKES; i++) {
        tls_turn_init(&all[i], begin);
        tls_turn_request(&turns, &all[i]);
    }
    return thread;
}

static void end(struct cq_thread *thread)
{
    for (int i = 0; i < HANDSHAKES; i++)
        tls_turn_leave(&turns, &all[i]);
    cr_assert_eq(turns.running_count, 0);
    cr_assert_eq(turns.slow_running_count, 0);
    cr_assert(list_empty(&turns.waiting) && list_empty(&turns.slow_waiting) && list_empty(&turns.running));
    cq_thread_free(thread);
    grpc_shutdown_blocking();
}

Test(tls_turns, so_many_run_and_the_others_follow_in_their_order)
{
    struct cq_thread *thread = request_all();

    cr_assert_eq(begun_count, (int)MAX_TLS_HANDSHAKES);
    tls_turn_leave(&turns, &all[9]); /* it waits */
    cr_assert_eq(begun_count, (int)MAX_TLS_HANDSHAKES);
    tls_turn_leave(&turns, &all[3]);
    tls_turn_leave(&turns, &all[3]); /* again: it is idle */
    tls_turn_leave(&turns, &all[0]);
    cr_assert_eq(begun_count, (int)MAX_TLS_HANDSHAKES + 2);
    cr_assert_eq(begun[MAX_TLS_HANDSHAKES], 8);
    cr_assert_eq(begun[MAX_TLS_HANDSHAKES + 1], 10);
    cr_assert_eq(turns.running_count, MAX_TLS_HANDSHAKES);
    end(thread);
}

Test(tls_turns, one_that_fails_at_once_makes_way)
{
    struct cq_thread *thread;

    leaves_at_once = true;
    thread = request_all();
    cr_assert_eq(begun_count, HANDSHAKES);
    for (int i = 0; i < HANDSHAKES; i++)
        cr_assert_eq(begun[i], i);
    end(thread);
}

/* The first eight to begin are slow, since nobody else waits. Then two more at most run beside the
 * others, which do not wait for those that are left. */
Test(tls_turns, those_that_failed_the_last_time_do_not_keep_others_waiting)
{
    enum { FIRST_OTHER = 12 };
    struct cq_thread *thread = thread_of_turns();

    for (int i = 0; i < HANDSHAKES; i++) {
        tls_turn_init(&all[i], begin);
        all[i].is_slow = i < FIRST_OTHER;
        tls_turn_request(&turns, &all[i]);
    }
    cr_assert_eq(turns.slow_running_count, MAX_TLS_HANDSHAKES);
    for (unsigned i = 0; i < MAX_TLS_HANDSHAKES; i++)
        tls_turn_leave(&turns, &all[i]);
    cr_assert_eq(begun_count, (int)(2 * MAX_TLS_HANDSHAKES));
    cr_assert_eq(begun[MAX_TLS_HANDSHAKES], FIRST_OTHER);
    cr_assert_eq(turns.slow_running_count, MAX_SLOW_HANDSHAKES);
    for (int i = FIRST_OTHER; i < HANDSHAKES; i++)
        tls_turn_leave(&turns, &all[i]);
    cr_assert_eq(begun_count, HANDSHAKES, "without others all of them have their turn");
    end(thread);
}
