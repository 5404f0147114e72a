/* thread.c - one wire thread: its server, its connections, and how much a turn handles. */
#include "server/wire/thread.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/framing.h"
#include "grpc/op.h"
#include "grpc/tags/core_tags.h"
#include "server/wire/busy_meter.h"

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>

/* A turn of a busy thread handles at most so many completions, so that what they produce leaves
 * soon. */
#define MAX_TURN_COMPLETIONS 32

/* After a turn has adopted a connection it polls the queue until it came back empty this many
 * times. The queue hands out completions first: only a poll that finds none makes gRPC core
 * attend to a descriptor, and to one only. That is how it notices that a peer has hung up. A
 * connection needs up to three such polls: for its first bytes, for more of them, for its end. */
#define EMPTY_POLLS_PER_ADOPTION 4

/* So much heavy work is done in a turn, and what one piece of work takes beyond it. */
#define MAX_TURN_HEAVY_NS NS_PER_MS

/* Heavy work leads to completions at once: the next message of the same peer, which is there
 * already. So after it the thread polls, as after an adoption, or others would not be read. */
#define EMPTY_POLLS_PER_HEAVY 4

struct wire_thread {
    struct cq_thread *cq;
    grpc_server *server;
    struct wire_settings settings;
    void (*down)(void *ctx);
    void *down_ctx;
    _Atomic bool shutting;
    _Atomic bool cancelling;
    struct task shutdown;
    struct task cancel;
    /* Wire thread only. */
    struct call_acceptor *acceptor;
    struct framing_scan scan;
    struct list adoptions;    /* sockets that wait to be adopted, one in each turn */
    struct heavy_queue heavy; /* work that waits for a turn with time */
    int64_t heavy_ns;         /* spent on such work in this turn */
    struct op shut;           /* completes when the server is down */
    bool is_down;
    unsigned holds; /* wire_hold() */
    struct busy_meter busy;
};

struct adoption {
    struct task task;
    struct list link;
    struct wire_thread *thread;
    int fd;
};

static void on_shut(struct op *op, bool ok)
{
    (void)ok;
    container_of(op, struct wire_thread, shut)->is_down = true;
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
    adopt(thread, container_of(list_first(&thread->adoptions), struct adoption, link));
    cq_poll(thread->cq, EMPTY_POLLS_PER_ADOPTION, MAX_TURN_COMPLETIONS);
}

bool wire_has_time(const struct wire_thread *thread)
{
    return thread->heavy.count == 0 && thread->heavy_ns < MAX_TURN_HEAVY_NS;
}

void wire_run_heavy(struct wire_thread *thread, struct heavy_work *work)
{
    int64_t began_ns = clock_mono_ns();

    work->run(work);
    thread->heavy_ns += clock_mono_ns() - began_ns;
}

struct heavy_queue *wire_heavy_queue(struct wire_thread *thread)
{
    return &thread->heavy;
}

/* The end of what this turn does of it. */
static void run_waiting_heavy(struct wire_thread *thread)
{
    bool did_some = thread->heavy_ns > 0;

    while (thread->heavy.count > 0 && thread->heavy_ns < MAX_TURN_HEAVY_NS) {
        thread->heavy_ns += heavy_queue_run(&thread->heavy);
        did_some = true;
    }
    thread->heavy_ns = 0;
    if (did_some)
        cq_poll(thread->cq, EMPTY_POLLS_PER_HEAVY, MAX_TURN_COMPLETIONS);
}

static void on_begun(void *ctx)
{
    struct wire_thread *thread = ctx;

    busy_meter_start(&thread->busy, cq_now_ns(thread->cq));
}

static unsigned max_completions(void *ctx)
{
    return wire_busy(ctx) ? MAX_TURN_COMPLETIONS : 1;
}

static void after_tasks(void *ctx, int64_t now_ns)
{
    struct wire_thread *thread = ctx;

    if (!list_empty(&thread->adoptions))
        adopt_next(thread);
    run_waiting_heavy(thread);
    busy_meter_update(&thread->busy, now_ns);
}

static bool has_work(void *ctx)
{
    const struct wire_thread *thread = ctx;

    return !list_empty(&thread->adoptions) || thread->heavy.count > 0;
}

/* The server may be down while the last tags of calls are still to arrive, and while the loop still
 * holds calls. */
static bool is_done(void *ctx)
{
    const struct wire_thread *thread = ctx;

    return thread->is_down && thread->acceptor->empty(thread->acceptor);
}

static void on_ended(void *ctx)
{
    struct wire_thread *thread = ctx;

    busy_meter_stop(&thread->busy);
    thread->down(thread->down_ctx);
}

static void do_shutdown(struct task *task)
{
    struct wire_thread *thread = container_of(task, struct wire_thread, shutdown);

    if (thread->acceptor)
        thread->acceptor->refuse(thread->acceptor);
    grpc_server_shutdown_and_notify(thread->server, cq_thread_queue(thread->cq), &thread->shut);
}

static void do_cancel(struct task *task)
{
    struct wire_thread *thread = container_of(task, struct wire_thread, cancel);

    if (thread->acceptor)
        thread->acceptor->abort(thread->acceptor); /* else they would end without a reason */
    grpc_server_cancel_all_calls(thread->server);
}

static void do_adopt(struct task *task)
{
    struct adoption *adoption = container_of(task, struct adoption, task);

    list_append(&adoption->thread->adoptions, &adoption->link);
}

struct status wire_thread_new(const struct wire_settings *settings, struct wire_thread **thread_out)
{
    static const struct cq_thread_port port = {.begun = on_begun,
                                               .max_completions = max_completions,
                                               .after_tasks = after_tasks,
                                               .has_work = has_work,
                                               .is_done = is_done,
                                               .ended = on_ended};
    struct wire_thread *thread = calloc(1, sizeof(*thread));

    if (!thread)
        return (struct status){ERR_NO_MEMORY, 0, "make a wire thread"};
    list_init(&thread->adoptions);
    heavy_queue_init(&thread->heavy);
    thread->shut.done = on_shut;
    thread->shutdown.run = do_shutdown;
    thread->cancel.run = do_cancel;
    struct status status = cq_thread_new(&port, thread, &thread->cq);
    if (status.code) {
        free(thread);
        return status;
    }
    thread->settings = *settings;
    thread->server = wire_server_new(settings);
    grpc_server_register_completion_queue(thread->server, cq_thread_queue(thread->cq), NULL);
    *thread_out = thread;
    return STATUS_OK;
}

struct status wire_thread_start(struct wire_thread *thread, void (*down)(void *ctx), void *ctx)
{
    thread->down = down;
    thread->down_ctx = ctx;
    grpc_server_start(thread->server);
    thread->acceptor->accept(thread->acceptor);
    core_tags_report();
    return cq_thread_start(thread->cq);
}

void wire_thread_shutdown(struct wire_thread *thread, bool cancel)
{
    if (!atomic_exchange(&thread->shutting, true))
        cq_post(thread->cq, &thread->shutdown);
    if (cancel && !atomic_exchange(&thread->cancelling, true))
        cq_post(thread->cq, &thread->cancel);
}

void wire_thread_join(struct wire_thread *thread)
{
    cq_thread_join(thread->cq);
}

void wire_thread_free(struct wire_thread *thread)
{
    if (!thread)
        return;
    cq_thread_free(thread->cq);
    grpc_server_destroy(thread->server);
    if (thread->acceptor)
        thread->acceptor->free(thread->acceptor);
    heavy_queue_fini(&thread->heavy);
    framing_fini(&thread->scan);
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
    cq_post(thread->cq, &adoption->task);
}

grpc_server *wire_thread_server(struct wire_thread *thread)
{
    return thread->server;
}

void wire_thread_set_acceptor(struct wire_thread *thread, struct call_acceptor *acceptor)
{
    thread->acceptor = acceptor;
}

struct call_acceptor *wire_thread_acceptor(struct wire_thread *thread)
{
    return thread->acceptor;
}

const struct wire_settings *wire_thread_settings(const struct wire_thread *thread)
{
    return &thread->settings;
}

struct framing_scan *wire_scan(struct wire_thread *thread)
{
    return &thread->scan;
}

struct cq_thread *wire_cq(const struct wire_thread *thread)
{
    return thread->cq;
}

bool wire_busy(const struct wire_thread *thread)
{
    return busy_meter_is_busy(&thread->busy);
}

int64_t wire_runnable_ns(const struct wire_thread *thread)
{
    return busy_meter_runnable_ns(&thread->busy);
}
