/* shutdown.c - how the daemon ends. It is the only place that waits, and each wait has a deadline.
 *
 *   DRAINING   health answers NOT_SERVING, the listen sockets close, publishing streams are told to
 *              end, and every channel delivers until the hub's deadline; then what it has written
 *              may still leave. Batches that have begun are saved
 *   CLOSING    connections and calls end by themselves
 *   ABORTING   calls are cancelled; later their sockets are shut down, since the core would wait
 *              for a peer that does not read
 *   STOPPED    no call is left. Peers that still read have until shortly before the end: else what
 *              they have not read could be lost (h2socket/linger.h)
 *
 * All of this ends within the drain timeout, and 500 ms later where the disk does not answer for
 * what calls store: then the process ends without them. A part of the timeout is kept for what
 * comes after the hub's deadline: two quarters of that part for the last messages, one for
 * CLOSING, one for ABORTING. CLOSING waits longer for calls that store. */
#include <signal.h>

#include "backend/sqlite/store.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/fsm.h"
#include "base/ignored_signal.h"
#include "base/log.h"
#include "h2socket/h2socket.h"
#include "server/server.h"

/* A quarter of that part of the drain timeout, at most, and how many of it the timeout has. */
#define MAX_QUARTER_NS (500 * NS_PER_MS)
#define QUARTERS_OF_TIMEOUT 20

static const struct fsm machine = {
    .name = "server",
    .states = {[SERVER_SERVING] = {"SERVING", BIT(SERVER_DRAINING)},
               [SERVER_DRAINING] = {"DRAINING", BIT(SERVER_CLOSING) | BIT(SERVER_ABORTING)},
               [SERVER_CLOSING] = {"CLOSING", BIT(SERVER_ABORTING) | BIT(SERVER_STOPPED)},
               [SERVER_ABORTING] = {"ABORTING", BIT(SERVER_STOPPED)},
               [SERVER_STOPPED] = {"STOPPED", 0}},
};

/* Returns false where the move is not allowed; then nothing has changed. */
static bool change_state(struct server *server, enum server_state to)
{
    if (!fsm_allows(&machine, server->state, to))
        return false;
    fsm_move(&machine, server, to);
    return true;
}

static void shut_down_workers(struct server *server, bool cancel)
{
    for (size_t i = 0; i < server->worker_count; i++)
        wire_thread_shutdown(server->workers[i].thread, cancel);
}

static void on_deadline(struct timer *timer);

/* The current state must end within `ns`. */
static void set_deadline(struct server *server, int64_t ns)
{
    server->deadline.fired = on_deadline;
    if (timer_start(server->loop, &server->deadline, ns))
        on_deadline(&server->deadline);
}

static void abort_calls(struct server *server)
{
    if (!change_state(server, SERVER_ABORTING))
        return;
    shut_down_workers(server, true);
    set_deadline(server, server->quarter_ns);
}

static void on_deadline(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, deadline);

    if (server->state != SERVER_ABORTING) {
        abort_calls(server);
    } else if (!server->sockets_are_down) {
        server->sockets_are_down = true;
        h2socket_shutdown_all();
        set_deadline(server, MAX_OF(server->end_ns - clock_mono_ns(), MAX_QUARTER_NS));
    } else if (server->store && !store_is_busy(server->store)) {
        set_deadline(server, MAX_QUARTER_NS); /* the calls need longer for another cause */
    } else if (server->store) {
        /* a call stays until the disk has answered for what it stores */
        log_write(
            LOG_ERROR, "server.store_late",
            LOG_TEXT("reason", "the disk of --state-dir does not answer: what waits for it may be lost"));
        server->forced = true;
        loop_stop(server->loop);
    }
}

/* Of the hub, or of the batches. */
static void on_drained(void *ctx)
{
    struct server *server = ctx;

    if (--server->undrained > 0 || !change_state(server, SERVER_CLOSING))
        return;
    shut_down_workers(server, false);
    /* ABORTING begins two quarters before the end, at the latest. */
    int64_t left_ns = server->end_ns - 2 * server->quarter_ns - clock_mono_ns();
    left_ns = MAX_OF(left_ns, 0);
    /* what calls have stored is confirmed first, if the disk answers */
    set_deadline(server,
                 count_get(COUNT_LIVE_APPEND_BYTES) > 0 ? left_ns : MIN_OF(server->quarter_ns, left_ns));
}

static void drain(struct server *server, int64_t timeout_ns)
{
    server->end_ns = clock_from_now_ns(timeout_ns);
    server->quarter_ns = MIN_OF(timeout_ns / QUARTERS_OF_TIMEOUT, MAX_QUARTER_NS);
    log_write(LOG_INFO, "server.draining", LOG_NUMBER("drain_timeout_ms", timeout_ns / NS_PER_MS),
              LOG_NUMBER("subscriptions", count_get(COUNT_LIVE_SUBSCRIPTIONS)),
              LOG_NUMBER("producers", count_get(COUNT_LIVE_PRODUCERS)));
    rpc_not_serving(server->rpc);
    listener_stop(server->listener);
    set_deadline(server, timeout_ns - 2 * server->quarter_ns);
    const int64_t drain_ns = timeout_ns - 4 * server->quarter_ns;

    server->undrained = 2;
    rpc_stop_batches(server->rpc, clock_from_now_ns(drain_ns), on_drained, server);
    hub_drain(server->hub, drain_ns, on_drained, server);
    for (size_t i = 0; i < server->worker_count; i++)
        call_acceptor_drain(server->workers[i].thread);
}

void shutdown_signal(void *ctx, int signal)
{
    struct server *server = ctx;

    log_write(LOG_INFO, "server.signal", LOG_NUMBER("signal", signal));
    if (change_state(server, SERVER_DRAINING)) {
        drain(server, loop_settings(server->loop)->drain_timeout_ns);
        return;
    }
    server->forced = true;
    abort_calls(server);
}

static void on_drain(struct task *task)
{
    struct server *server = container_of(task, struct server, drain);

    if (change_state(server, SERVER_DRAINING))
        drain(server, server->drain_timeout_ns);
}

/* The caller's answer leaves before its connection is told to end. */
int64_t shutdown_drain(void *ctx, int64_t timeout_ns)
{
    struct server *server = ctx;

    if (server->state != SERVER_SERVING)
        return server->end_ns;
    if (!server->drain.run) { /* else it is posted already */
        server->drain_timeout_ns = timeout_ns;
        server->end_ns = clock_from_now_ns(timeout_ns);
        server->drain.run = on_drain;
        log_write(LOG_INFO, "server.drain_requested", LOG_NUMBER("timeout_ms", timeout_ns / NS_PER_MS));
        loop_post(server->loop, &server->drain);
    }
    return server->end_ns;
}

static void on_wire_worker_down(struct task *task)
{
    struct server *server = container_of(task, struct wire_worker, down)->server;

    if (--server->workers_up > 0)
        return;
    timer_stop(&server->deadline);
    /* The loop hears no signal any more. A further one ends the process at once. */
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (!signal_is_ignored(SIGHUP))
        signal(SIGHUP, SIG_DFL);
    if (server->state != SERVER_SERVING) { /* else it never served, and server_free() waits */
        fsm_move(&machine, server, SERVER_STOPPED);
        server->linger_until_ns =
            server->forced ? clock_from_now_ns(server->quarter_ns) : server->end_ns - server->quarter_ns / 2;
    }
    loop_stop(server->loop);
}

void shutdown_wire_worker_down(void *ctx)
{
    struct wire_worker *worker = ctx;

    worker->down.run = on_wire_worker_down;
    loop_post(worker->server->loop, &worker->down);
}
