/* thread.c - one wire thread: its queue, mailbox, timers and post-poll hooks. */
#include "server/wire/thread.h"

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "event/framing.h"
#include "server/wire/busy_meter.h"

/* A turn handles at most so many completions, so that what they produce leaves soon. */
#define MAX_TURN_COMPLETIONS 32

/* After a turn has adopted a connection it polls the queue until it came back empty this many
 * times. The queue hands out completions first: only a poll that finds none makes gRPC core
 * attend to a descriptor, and to one only. That is how it notices that a peer has hung up. A
 * connection needs up to three such polls: for its first bytes, for more of them, for its end. */
#define EMPTY_POLLS_PER_ADOPTION 4

struct wire_thread {
    grpc_server *server;
    grpc_completion_queue *queue;
    pthread_t thread;
    bool started;
    void (*down)(void *ctx);
    void *down_ctx;
    void (*peer)(void *ctx, int fd, char *text, size_t capacity);
    void *peer_ctx;
    /* How another thread wakes this one: an empty batch on a call of a lame channel posts `wakeup`
     * to the queue. */
    grpc_channel *lame_channel;
    grpc_call *wakeup_call;
    struct wire_op wakeup;
    struct mailbox mailbox;
    _Atomic bool wakeup_pending; /* `wakeup` is posted and has not arrived */
    _Atomic bool shutting;
    _Atomic bool cancelling;
    struct task shutdown;
    struct task cancel;
    /* Wire thread only. */
    struct call_acceptor *acceptor;
    struct framing_scan scan;
    struct heap timers;
    struct list early_hooks, hooks; /* of this turn's end */
    struct list adoptions;          /* sockets that wait to be adopted, one in each turn */
    struct wire_op shut;            /* completes when the server is down */
    bool is_down;
    int64_t now_ns;
    struct busy_meter busy;
};

struct adoption {
    struct task task;
    struct list link;
    struct wire_thread *thread;
    int fd;
};

static _Thread_local const struct wire_thread *current_thread;

static gpr_timespec as_timespec(int64_t at_ns)
{
    if (at_ns == INT64_MAX)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return (gpr_timespec){.tv_sec = at_ns / NS_PER_S,
                          .tv_nsec = (int32_t)(at_ns % NS_PER_S),
                          .clock_type = GPR_CLOCK_MONOTONIC};
}

static void on_wakeup(struct wire_op *op, bool ok)
{
    struct wire_thread *thread = container_of(op, struct wire_thread, wakeup);

    (void)ok; /* an empty batch has no outcome of its own */
    /* A poster that found `wakeup_pending` set relies on this run: reading what it wrote makes its
     * task visible. */
    atomic_exchange_explicit(&thread->wakeup_pending, false, memory_order_acq_rel);
    mailbox_run(&thread->mailbox);
}

static void on_shut(struct wire_op *op, bool ok)
{
    (void)ok;
    container_of(op, struct wire_thread, shut)->is_down = true;
}

static void fire_timers(struct wire_thread *thread)
{
    for (;;) {
        struct heap_node *first = heap_first(&thread->timers);
        if (!first || first->key > thread->now_ns)
            return;
        struct wire_timer *timer = container_of(first, struct wire_timer, node);
        heap_remove(&thread->timers, first);
        timer->fired(timer, thread->now_ns);
    }
}

/* Hooks that are added meanwhile stay in `added` for the next turn. */
static void run_hooks(struct wire_thread *thread, struct list *added)
{
    struct list due;

    list_init(&due);
    while (!list_empty(added)) {
        struct list *link = list_first(added);
        list_remove(link);
        list_append(&due, link);
    }
    while (!list_empty(&due)) {
        struct list *link = list_first(&due);
        list_remove(link);
        struct post_poll_hook *hook = container_of(link, struct post_poll_hook, link);
        hook->post_poll(hook, thread->now_ns);
    }
}

static int64_t wait_until(const struct wire_thread *thread)
{
    if (!list_empty(&thread->early_hooks) || !list_empty(&thread->hooks) || !list_empty(&thread->adoptions) ||
        !mailbox_is_empty(&thread->mailbox))
        return 0;
    const struct heap_node *first = heap_first(&thread->timers);
    return first ? first->key : INT64_MAX;
}

/* Waits until `until` for one completion and handles it. Returns GRPC_OP_COMPLETE,
 * GRPC_QUEUE_TIMEOUT or GRPC_QUEUE_SHUTDOWN. */
static grpc_completion_type complete_one(struct wire_thread *thread, gpr_timespec until)
{
    grpc_event event = grpc_completion_queue_next(thread->queue, until, NULL);

    if (event.type == GRPC_OP_COMPLETE) {
        struct wire_op *op = event.tag;
        op->done(op, event.success != 0);
    }
    return event.type;
}

static void adopt(struct wire_thread *thread, struct adoption *adoption)
{
    list_remove(&adoption->link);
    if (atomic_load(&thread->shutting)) {
        close(adoption->fd);
    } else {
        grpc_server_credentials *insecure = grpc_insecure_server_credentials_create();
        grpc_server_add_channel_from_fd(thread->server, adoption->fd, insecure);
        grpc_server_credentials_release(insecure);
    }
    free(adoption);
}

/* Adopts one connection and lets gRPC core work between two. A thread that only adopted would keep
 * the descriptors of all peers that have left, until none is free. */
static void adopt_next(struct wire_thread *thread)
{
    if (list_empty(&thread->adoptions))
        return;
    adopt(thread, container_of(list_first(&thread->adoptions), struct adoption, link));
    for (int polls = EMPTY_POLLS_PER_ADOPTION, left = MAX_TURN_COMPLETIONS; polls > 0 && left > 0; left--) {
        if (complete_one(thread, gpr_inf_past(GPR_CLOCK_MONOTONIC)) != GRPC_OP_COMPLETE)
            polls--;
    }
}

static void turn(struct wire_thread *thread)
{
    grpc_event event = grpc_completion_queue_next(thread->queue, as_timespec(wait_until(thread)), NULL);

    thread->now_ns = clock_mono_ns();
    for (int left = wire_busy(thread) ? MAX_TURN_COMPLETIONS : 1; event.type == GRPC_OP_COMPLETE;) {
        struct wire_op *op = event.tag;
        op->done(op, event.success != 0);
        if (--left == 0)
            break;
        event = grpc_completion_queue_next(thread->queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL);
    }
    mailbox_run(&thread->mailbox);
    adopt_next(thread);
    fire_timers(thread);
    busy_meter_update(&thread->busy, thread->now_ns);
    run_hooks(thread, &thread->early_hooks);
    run_hooks(thread, &thread->hooks);
}

/* After the thread has ended. The queue then holds only wakeups. The mailbox and the adoptions may
 * hold what was posted too late; the thread's own last tasks came without a wakeup. */
static void empty_queue(struct wire_thread *thread)
{
    while (atomic_load(&thread->wakeup_pending) || !mailbox_is_empty(&thread->mailbox) ||
           !list_empty(&thread->adoptions))
        turn(thread);
    grpc_call_unref(thread->wakeup_call);
    grpc_channel_destroy(thread->lame_channel);
    grpc_completion_queue_shutdown(thread->queue);
    while (complete_one(thread, gpr_inf_future(GPR_CLOCK_MONOTONIC)) != GRPC_QUEUE_SHUTDOWN)
        ;
}

static void *serve(void *arg)
{
    struct wire_thread *thread = arg;

    current_thread = thread;
    thread->now_ns = clock_mono_ns();
    busy_meter_start(&thread->busy, thread->now_ns);
    /* The server may be down while the last tags of calls are still to arrive, and while the loop
     * still holds calls. */
    while (!thread->is_down || !thread->acceptor->empty(thread->acceptor))
        turn(thread);
    thread->down(thread->down_ctx);
    return NULL;
}

static void do_shutdown(struct task *task)
{
    struct wire_thread *thread = container_of(task, struct wire_thread, shutdown);

    if (thread->acceptor)
        thread->acceptor->refuse(thread->acceptor);
    grpc_server_shutdown_and_notify(thread->server, thread->queue, &thread->shut);
}

static void do_cancel(struct task *task)
{
    grpc_server_cancel_all_calls(container_of(task, struct wire_thread, cancel)->server);
}

static void do_adopt(struct task *task)
{
    struct adoption *adoption = container_of(task, struct adoption, task);

    list_append(&adoption->thread->adoptions, &adoption->link);
}

struct status wire_thread_new(const struct wire_settings *settings, struct wire_thread **thread_out)
{
    struct wire_thread *thread = calloc(1, sizeof(*thread));

    if (!thread)
        return (struct status){ERR_NO_MEMORY, 0, "make a wire thread"};
    list_init(&thread->early_hooks);
    list_init(&thread->hooks);
    list_init(&thread->adoptions);
    thread->wakeup.done = on_wakeup;
    thread->shut.done = on_shut;
    thread->shutdown.run = do_shutdown;
    thread->cancel.run = do_cancel;
    thread->queue = grpc_completion_queue_create_for_next(NULL);
    thread->server = wire_server_new(settings);
    grpc_server_register_completion_queue(thread->server, thread->queue, NULL);
    thread->lame_channel =
        grpc_lame_client_channel_create("wake", GRPC_STATUS_UNAVAILABLE, "this call only wakes a thread");
    thread->wakeup_call = grpc_channel_create_call(thread->lame_channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                                   thread->queue, grpc_slice_from_static_string("/wake"),
                                                   NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    *thread_out = thread;
    return STATUS_OK;
}

struct status wire_thread_start(struct wire_thread *thread, void (*down)(void *ctx), void *ctx)
{
    thread->down = down;
    thread->down_ctx = ctx;
    grpc_server_start(thread->server);
    thread->acceptor->accept(thread->acceptor);
    int failed = pthread_create(&thread->thread, NULL, serve, thread);
    if (failed)
        return (struct status){ERR_IO, failed, "start a wire thread"};
    thread->started = true;
    return STATUS_OK;
}

void wire_thread_shutdown(struct wire_thread *thread, bool cancel)
{
    if (!atomic_exchange(&thread->shutting, true))
        wire_post(thread, &thread->shutdown);
    if (cancel && !atomic_exchange(&thread->cancelling, true))
        wire_post(thread, &thread->cancel);
}

void wire_thread_join(struct wire_thread *thread)
{
    if (thread->started)
        CHECK(pthread_join(thread->thread, NULL) == 0);
    thread->started = false;
}

void wire_thread_free(struct wire_thread *thread)
{
    if (!thread)
        return;
    empty_queue(thread);
    grpc_server_destroy(thread->server);
    grpc_completion_queue_destroy(thread->queue);
    if (thread->acceptor)
        thread->acceptor->free(thread->acceptor);
    framing_fini(&thread->scan);
    heap_fini(&thread->timers);
    free(thread);
}

void wire_thread_adopt(struct wire_thread *thread, int fd)
{
    struct adoption *adoption = calloc(1, sizeof(*adoption));

    if (!adoption) {
        close(fd);
        return;
    }
    *adoption = (struct adoption){.task = {.run = do_adopt}, .thread = thread, .fd = fd};
    wire_post(thread, &adoption->task);
}

grpc_server *wire_thread_server(struct wire_thread *thread)
{
    return thread->server;
}

grpc_completion_queue *wire_thread_queue(struct wire_thread *thread)
{
    return thread->queue;
}

void wire_thread_set_acceptor(struct wire_thread *thread, struct call_acceptor *acceptor)
{
    thread->acceptor = acceptor;
}

struct call_acceptor *wire_thread_acceptor(struct wire_thread *thread)
{
    return thread->acceptor;
}

struct framing_scan *wire_scan(struct wire_thread *thread)
{
    return &thread->scan;
}

void wire_thread_set_peer_lookup(struct wire_thread *thread,
                                 void (*peer)(void *ctx, int fd, char *text, size_t capacity), void *ctx)
{
    thread->peer = peer;
    thread->peer_ctx = ctx;
}

void wire_thread_peer(struct wire_thread *thread, int fd, char *text, size_t capacity)
{
    text[0] = '\0';
    if (thread->peer)
        thread->peer(thread->peer_ctx, fd, text, capacity);
}

void wire_post(struct wire_thread *thread, struct task *task)
{
    mailbox_post(&thread->mailbox, task);
    if (wire_is_mine(thread) || atomic_exchange_explicit(&thread->wakeup_pending, true, memory_order_acq_rel))
        return;
    CHECK(grpc_call_start_batch(thread->wakeup_call, NULL, 0, &thread->wakeup, NULL) == GRPC_CALL_OK);
}

bool wire_is_mine(const struct wire_thread *thread)
{
    return current_thread == thread;
}

void wire_timer_set(struct wire_thread *thread, struct wire_timer *timer, int64_t at_ns)
{
    if (at_ns == INT64_MAX)
        heap_remove(&thread->timers, &timer->node);
    else
        CHECK(heap_set(&thread->timers, &timer->node, at_ns) == ERR_OK);
}

void wire_add_post_poll_hook(struct wire_thread *thread, struct post_poll_hook *hook)
{
    if (list_empty(&hook->link))
        list_append(&thread->hooks, &hook->link);
}

void wire_add_early_post_poll_hook(struct wire_thread *thread, struct post_poll_hook *hook)
{
    if (list_empty(&hook->link))
        list_append(&thread->early_hooks, &hook->link);
}

bool wire_busy(const struct wire_thread *thread)
{
    return busy_meter_is_busy(&thread->busy);
}

int64_t wire_now(const struct wire_thread *thread)
{
    return thread->now_ns;
}
