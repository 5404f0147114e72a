/* shutdown.c - how the daemon ends: the only place that waits, and each wait has its limit.
 *
 * Health says NOT_SERVING, the listening sockets close, publishers are told, every channel is
 * flushed until the drain's deadline; then the connections get MAX_CLOSE_NS to go, and what is left
 * is cancelled. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "server/server.h"

/* A subscription that was cut at the deadline may still take so long to say goodbye. */
#define GOODBYE_NS (2 * NS_PER_S)
#define MAX_CLOSE_NS (500 * NS_PER_MS)
/* Calls that were cancelled may take so long to say so; then their sockets are shut down, since the
 * core would wait for a peer that does not read. */
#define MAX_ABORT_NS (500 * NS_PER_MS)

static const unsigned allowed[SERVER_STATE_COUNT] = {
    [SERVER_SERVING] = BIT(SERVER_DRAINING),
    [SERVER_DRAINING] = BIT(SERVER_CLOSING) | BIT(SERVER_ABORTING),
    [SERVER_CLOSING] = BIT(SERVER_ABORTING) | BIT(SERVER_STOPPED),
    [SERVER_ABORTING] = BIT(SERVER_STOPPED),
    [SERVER_STOPPED] = 0,
};

static bool move(struct server *server, enum server_state to)
{
    if (!(allowed[server->state] & BIT(to)))
        return false;
    server->state = to;
    return true;
}

static void shut_threads(struct server *server, bool cancel)
{
    for (size_t i = 0; i < server->worker_count; i++)
        wire_thread_shutdown(server->workers[i].thread, cancel);
}

static void on_limit(struct timer *timer);

/* Time is up `ns` from now: what the state is then says for whom. */
static void limit(struct server *server, int64_t ns)
{
    server->limit.fired = on_limit;
    if (timer_start(server->loop, &server->limit, ns))
        on_limit(&server->limit);
}

static void abort_call(struct server *server)
{
    if (!move(server, SERVER_ABORTING))
        return;
    shut_threads(server, true);
    limit(server, MAX_ABORT_NS);
}

static void on_limit(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, limit);

    if (server->state == SERVER_ABORTING)
        listener_shutdown_connections(server->listener);
    else
        abort_call(server);
}

static void on_emptied(void *ctx)
{
    struct server *server = ctx;

    if (!move(server, SERVER_CLOSING))
        return;
    shut_threads(server, false);
    limit(server, MAX_CLOSE_NS);
}

static void drain(struct server *server)
{
    log_write(LOG_INFO, "server.draining",
              LOG_NUMBER("timeout_ms", server->options.drain_timeout_ns / NS_PER_MS),
              LOG_NUMBER("subscriptions", count_get(COUNT_LIVE_SUBSCRIPTIONS)),
              LOG_NUMBER("producers", count_get(COUNT_LIVE_PRODUCERS)));
    rpc_not_serving(server->rpc);
    listener_stop(server->listener);
    limit(server, server->options.drain_timeout_ns + GOODBYE_NS);
    hub_drain(server->hub, server->options.drain_timeout_ns, on_emptied, server);
    for (size_t i = 0; i < server->worker_count; i++)
        call_acceptor_drain(server->workers[i].thread);
}

void shutdown_signal(void *ctx, int signal)
{
    struct server *server = ctx;

    log_write(LOG_INFO, "server.signal", LOG_NUMBER("signal", signal));
    if (move(server, SERVER_DRAINING)) {
        drain(server);
        return;
    }
    server->forced = true;
    abort_call(server);
}

static void on_wire_worker_down(struct task *task)
{
    struct server *server = container_of(task, struct wire_worker, down)->server;

    if (--server->workers_up > 0)
        return;
    timer_stop(&server->limit);
    if (server->state != SERVER_SERVING) /* otherwise it never served: server_free() waits */
        CHECK(move(server, SERVER_STOPPED));
    loop_stop(server->loop);
}

void shutdown_wire_worker_down(void *ctx)
{
    struct wire_worker *worker = ctx;

    worker->down.run = on_wire_worker_down;
    loop_post(worker->server->loop, &worker->down);
}
