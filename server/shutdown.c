/* shutdown.c - how the daemon ends: the only place that waits, and each wait has its limit.
 *
 * Health says NOT_SERVING, the listening sockets close, publishers are told, every channel is flushed until the drain's deadline; then the
 * connections get CLOSE_MOST_NS to go, and what is left is cancelled. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "server/server.h"

/* A subscription that was cut at the deadline may still take so long to say goodbye. */
#define GOODBYE_NS (2 * NS_PER_S)
#define CLOSE_MOST_NS (500 * NS_PER_MS)
/* Calls that were cancelled may take so long to say so; then their sockets are shut down, since the core would wait for a peer that does
 * not read. */
#define CUT_MOST_NS (500 * NS_PER_MS)

static const unsigned allowed[SERVER_STATE_COUNT] = {
    [SERVER_SERVING] = BIT(SERVER_DRAINING),
    [SERVER_DRAINING] = BIT(SERVER_CLOSING) | BIT(SERVER_CUTTING),
    [SERVER_CLOSING] = BIT(SERVER_CUTTING) | BIT(SERVER_STOPPED),
    [SERVER_CUTTING] = BIT(SERVER_STOPPED),
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
    for (size_t i = 0; i < server->strand_count; i++)
        wire_thread_shutdown(server->strands[i].thread, cancel);
}

static void on_limit(struct timer *timer);

/* Time is up `ns` from now: what the state is then says for whom. */
static void limit(struct server *server, int64_t ns)
{
    server->limit.fired = on_limit;
    if (timer_start(server->loop, &server->limit, ns))
        on_limit(&server->limit);
}

static void cut(struct server *server)
{
    if (!move(server, SERVER_CUTTING))
        return;
    shut_threads(server, true);
    limit(server, CUT_MOST_NS);
}

static void on_limit(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, limit);

    if (server->state == SERVER_CUTTING)
        listener_cut(server->listener);
    else
        cut(server);
}

static void on_emptied(void *ctx)
{
    struct server *server = ctx;

    if (!move(server, SERVER_CLOSING))
        return;
    shut_threads(server, false);
    limit(server, CLOSE_MOST_NS);
}

static void drain(struct server *server)
{
    log_write(LOG_INFO, "server.draining", LOG_NUMBER("timeout_ms", server->options.drain_ns / NS_PER_MS),
              LOG_NUMBER("subscriptions", count_get(COUNT_LIVE_SUBSCRIPTIONS)), LOG_NUMBER("producers", count_get(COUNT_LIVE_PRODUCERS)));
    rpc_not_serving(server->rpc);
    listener_stop(server->listener);
    limit(server, server->options.drain_ns + GOODBYE_NS);
    hub_drain(server->hub, server->options.drain_ns, on_emptied, server);
    for (size_t i = 0; i < server->strand_count; i++)
        calls_drain(server->strands[i].thread);
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
    cut(server);
}

static void on_strand_down(struct task *task)
{
    struct server *server = container_of(task, struct strand, down)->server;

    if (--server->strands_up > 0)
        return;
    timer_stop(&server->limit);
    if (server->state != SERVER_SERVING) /* otherwise it never served: server_free() waits */
        CHECK(move(server, SERVER_STOPPED));
    loop_stop(server->loop);
}

void shutdown_strand_down(void *ctx)
{
    struct strand *strand = ctx;

    strand->down.run = on_strand_down;
    loop_post(strand->server->loop, &strand->down);
}
