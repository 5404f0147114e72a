/* cq_thread.c - the thread that serves one completion queue.
 *
 * DESIGN. gRPC core has no public way to post a tag onto a completion queue without a call. So each
 * thread has one call of a lame channel, which never connects: an empty batch on it completes at
 * once and wakes the thread. At most one such batch is in flight.
 *
 * A thread that is awake needs none: it looks into its mailbox before it waits. This is more than
 * thrift. The queue hands out completions first, and attends to sockets only when it has none. With
 * a wakeup for each task, a thread that gets tasks in every turn would never read from a peer. */
#include "grpc/cq_thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "grpc/op.h"

struct cq_thread {
    /* Set once. */
    const struct cq_thread_port *port;
    void *ctx;
    grpc_completion_queue *queue;
    grpc_channel *lame_channel;
    grpc_call *wakeup_call;
    pthread_t thread;
    bool started; /* the owner's thread */

    /* Any thread. */
    struct mailbox mailbox;
    _Atomic bool is_up; /* the thread is awake, or a wakeup is in flight: posting is enough */

    /* This thread only. */
    struct op wakeup;
    bool wakeup_in_flight;
    struct heap timers;
    struct list early_hooks, hooks; /* of this turn's end */
    int64_t now_ns;
    bool is_long;   /* this turn may handle several operations */
    bool is_behind; /* it has reached its bound */
    unsigned holds; /* cq_hold() */
};

static _Thread_local const struct cq_thread *current_thread;

static void on_wakeup(struct op *op, bool ok)
{
    struct cq_thread *thread = container_of(op, struct cq_thread, wakeup);

    (void)ok; /* an empty batch has no outcome of its own */
    thread->wakeup_in_flight = false;
}

static void fire_timers(struct cq_thread *thread)
{
    struct heap_node *first;

    while ((first = heap_first(&thread->timers)) && first->key <= thread->now_ns) {
        struct cq_timer *timer = container_of(first, struct cq_timer, node);

        heap_remove(&thread->timers, first);
        timer->fired(timer, thread->now_ns);
    }
}

/* Hooks that are added meanwhile stay in `added` for the next turn. */
static void run_hooks(struct cq_thread *thread, struct list *added)
{
    struct list due;
    struct list *link;

    list_init(&due);
    while ((link = list_first(added))) {
        list_remove(link);
        list_append(&due, link);
    }
    while ((link = list_first(&due))) {
        struct post_poll_hook *hook = container_of(link, struct post_poll_hook, link);

        list_remove(link);
        hook->post_poll(hook, thread->now_ns);
    }
}

static bool has_work(const struct cq_thread *thread)
{
    return !mailbox_is_empty(&thread->mailbox) ||
           (thread->port->has_work && thread->port->has_work(thread->ctx));
}

/* Returns the next operation. It waits only where there is nothing else to do; a timer that becomes
 * due ends the wait. */
static grpc_event next_event(struct cq_thread *thread)
{
    const struct heap_node *first = heap_first(&thread->timers);
    gpr_timespec until = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    grpc_event event;

    if (!list_empty(&thread->early_hooks) || !list_empty(&thread->hooks) || has_work(thread))
        return grpc_completion_queue_next(thread->queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL);
    if (first)
        until = gpr_time_from_nanos(first->key, GPR_CLOCK_MONOTONIC);
    if (thread->wakeup_in_flight)
        return grpc_completion_queue_next(thread->queue, until, NULL);
    /* All exchanges of `is_up` are in one order. A poster that comes before this one does not wake
     * the thread, but its task is visible after it. A poster that comes later wakes the thread. */
    atomic_exchange_explicit(&thread->is_up, false, memory_order_acq_rel);
    if (!mailbox_is_empty(&thread->mailbox))
        until = gpr_inf_past(GPR_CLOCK_MONOTONIC);
    event = grpc_completion_queue_next(thread->queue, until, NULL);
    thread->wakeup_in_flight = atomic_exchange_explicit(&thread->is_up, true, memory_order_acq_rel);
    return event;
}

static void complete(const grpc_event *event)
{
    struct op *op = event->tag;

    op->done(op, event->success != 0);
}

static void turn(struct cq_thread *thread)
{
    const struct cq_thread_port *port = thread->port;
    grpc_event event = next_event(thread);
    unsigned left = port->max_completions ? port->max_completions(thread->ctx) : 1;

    thread->now_ns = clock_mono_ns();
    thread->is_long = left > 1;
    while (event.type == GRPC_OP_COMPLETE) {
        complete(&event);
        if (--left == 0)
            break;
        event = grpc_completion_queue_next(thread->queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL);
    }
    thread->is_behind = left == 0;
    if (!mailbox_is_empty(&thread->mailbox))
        mailbox_run(&thread->mailbox);
    if (port->after_tasks)
        port->after_tasks(thread->ctx, thread->now_ns);
    fire_timers(thread);
    if (!list_empty(&thread->early_hooks))
        run_hooks(thread, &thread->early_hooks);
    if (!list_empty(&thread->hooks))
        run_hooks(thread, &thread->hooks);
}

void cq_poll(struct cq_thread *thread, unsigned empty_polls, unsigned max_polls)
{
    while (empty_polls > 0 && max_polls-- > 0) {
        const grpc_event event =
            grpc_completion_queue_next(thread->queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL);

        if (event.type == GRPC_OP_COMPLETE)
            complete(&event);
        else
            empty_polls--;
    }
}

static void *serve(void *arg)
{
    struct cq_thread *thread = arg;
    const struct cq_thread_port *port = thread->port;

    current_thread = thread;
    thread->now_ns = clock_mono_ns();
    if (port->begun)
        port->begun(thread->ctx);
    while (thread->holds > 0 || !port->is_done(thread->ctx))
        turn(thread);
    if (port->ended)
        port->ended(thread->ctx);
    return NULL;
}

struct status cq_thread_new(const struct cq_thread_port *port, void *ctx, struct cq_thread **thread_out)
{
    struct cq_thread *thread = calloc(1, sizeof(*thread));

    if (!thread)
        return (struct status){ERR_NO_MEMORY, 0, "make a thread for a completion queue"};
    thread->port = port;
    thread->ctx = ctx;
    list_init(&thread->early_hooks);
    list_init(&thread->hooks);
    thread->wakeup.done = on_wakeup;
    atomic_init(&thread->is_up, true);
    thread->queue = grpc_completion_queue_create_for_next(NULL);
    thread->lame_channel =
        grpc_lame_client_channel_create("wake", GRPC_STATUS_UNAVAILABLE, "this call only wakes a thread");
    thread->wakeup_call = grpc_channel_create_call(thread->lame_channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                                   thread->queue, grpc_slice_from_static_string("/wake"),
                                                   NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    *thread_out = thread;
    return STATUS_OK;
}

struct status cq_thread_start(struct cq_thread *thread)
{
    int failed = pthread_create(&thread->thread, NULL, serve, thread);

    if (failed)
        return (struct status){ERR_IO, failed, "start a thread for a completion queue"};
    thread->started = true;
    return STATUS_OK;
}

void cq_thread_join(struct cq_thread *thread)
{
    if (thread->started)
        CHECK(pthread_join(thread->thread, NULL) == 0);
    thread->started = false;
}

void cq_thread_free(struct cq_thread *thread)
{
    grpc_event event;

    if (!thread)
        return;
    /* The queue holds nothing but a wakeup. */
    while (thread->wakeup_in_flight || has_work(thread))
        turn(thread);
    grpc_call_unref(thread->wakeup_call);
    grpc_channel_destroy(thread->lame_channel);
    grpc_completion_queue_shutdown(thread->queue);
    do {
        event = grpc_completion_queue_next(thread->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_OP_COMPLETE)
            complete(&event);
    } while (event.type != GRPC_QUEUE_SHUTDOWN);
    grpc_completion_queue_destroy(thread->queue);
    heap_fini(&thread->timers);
    free(thread);
}

grpc_completion_queue *cq_thread_queue(const struct cq_thread *thread)
{
    return thread->queue;
}

void cq_post(struct cq_thread *thread, struct task *task)
{
    mailbox_post(&thread->mailbox, task);
    if (cq_is_mine(thread) || atomic_exchange_explicit(&thread->is_up, true, memory_order_acq_rel))
        return;
    CHECK(grpc_call_start_batch(thread->wakeup_call, NULL, 0, &thread->wakeup, NULL) == GRPC_CALL_OK);
}

bool cq_is_mine(const struct cq_thread *thread)
{
    return current_thread == thread;
}

int64_t cq_now_ns(const struct cq_thread *thread)
{
    return thread->now_ns;
}

void cq_hold(struct cq_thread *thread)
{
    thread->holds++;
}

void cq_unhold(struct cq_thread *thread)
{
    thread->holds--;
}

bool cq_turn_is_long(const struct cq_thread *thread)
{
    return thread->is_long;
}

bool cq_is_behind(const struct cq_thread *thread)
{
    return thread->is_behind;
}

void cq_timer_set(struct cq_thread *thread, struct cq_timer *timer, int64_t at_ns)
{
    if (at_ns == INT64_MAX)
        cq_timer_stop(thread, timer);
    else
        CHECK(heap_set(&thread->timers, &timer->node, at_ns) == ERR_OK);
}

void cq_timer_stop(struct cq_thread *thread, struct cq_timer *timer)
{
    heap_remove(&thread->timers, &timer->node);
}

void cq_add_post_poll_hook(struct cq_thread *thread, struct post_poll_hook *hook)
{
    if (list_empty(&hook->link))
        list_append(&thread->hooks, &hook->link);
}

void cq_add_early_post_poll_hook(struct cq_thread *thread, struct post_poll_hook *hook)
{
    if (list_empty(&hook->link))
        list_append(&thread->early_hooks, &hook->link);
}
