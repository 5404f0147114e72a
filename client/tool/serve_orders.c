/* serve_orders.c - the callbacks of the session of `tributary serve`. They run on the client thread
 * and post orders to the main thread. */
#include "client/tool/serve_jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/tool/link.h"
#include "client/tool/stderr_lines.h"

/* Posts an order and wakes the main thread. Copies `request`. */
static void post_order(struct serve *serve, enum order_kind kind, uint64_t activation,
                       struct tributary_bytes request)
{
    struct order *order = calloc(1, sizeof(*order));

    if (order && request.size > 0)
        buf_bytes(&order->request, request.data, request.size);
    if (!order || order->request.broken) {
        fprintf(stderr, "tributary: out of memory\n");
        stderr_lines_wait();
        _exit(EXIT_FAILURE); /* a lost order would leave a command running */
    }
    order->kind = kind;
    order->activation = activation;
    pthread_mutex_lock(&serve->lock);
    list_append(&serve->orders, &order->node);
    pthread_mutex_unlock(&serve->lock);
    stop_wake(&serve->stop);
}

static void post_simple_order(struct serve *serve, enum order_kind kind, uint64_t activation)
{
    post_order(serve, kind, activation, (struct tributary_bytes){NULL, 0});
}

static void on_start(void *ctx, const struct tributary_activation *activation)
{
    struct serve *serve = ctx;

    if (atomic_load(&serve->active) >= serve->max_jobs) {
        tributary_session_end(serve->session, activation->activation, TRIBUTARY_RESOURCE_EXHAUSTED,
                              "too many activations at a time");
        return;
    }
    atomic_fetch_add(&serve->active, 1);
    post_order(serve, ORDER_START, activation->activation, activation->request);
}

static void on_stop(void *ctx, uint64_t activation, const char *reason, uint64_t deadline_unix_nano)
{
    (void)reason; /* a command is ended in the same way for every reason */
    post_simple_order(ctx, deadline_unix_nano == 0 ? ORDER_EXPIRED : ORDER_STOP, activation);
}

static void on_paused(void *ctx, uint64_t activation)
{
    post_simple_order(ctx, ORDER_PAUSE, activation);
}

static void on_resumed(void *ctx, uint64_t activation)
{
    post_simple_order(ctx, ORDER_RESUME, activation);
}

static void on_writable(void *ctx, uint64_t activation)
{
    post_simple_order(ctx, ORDER_WRITABLE, activation);
}

static void on_registered(void *ctx, uint64_t epoch)
{
    const struct serve *serve = ctx;

    (void)epoch;
    if (!serve->quiet)
        fprintf(stderr, "tributary: registered as %s\n", serve->name);
}

static void on_closing(void *ctx, const char *reason, uint64_t deadline_unix_nano)
{
    const struct serve *serve = ctx;

    (void)deadline_unix_nano; /* on_stop() is called for each activation */
    if (!serve->quiet)
        fprintf(stderr, "tributary: the registration is closing: %s\n", reason);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    const struct serve *serve = ctx;

    if (!serve->quiet)
        link_interrupted("not registered", status, retry_ns);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct serve *serve = ctx;

    if (status->code != TRIBUTARY_OK && status->code != TRIBUTARY_CANCELLED)
        link_failed("the registration ended", status);
    atomic_store(&serve->ended_code, (int)status->code);
    atomic_store(&serve->ended, true);
    stop_end(&serve->stop);
}

struct tributary_session_callbacks serve_callbacks(struct serve *serve)
{
    return (struct tributary_session_callbacks){
        .registered = on_registered,
        .start = on_start,
        .stop = on_stop,
        .paused = on_paused,
        .resumed = on_resumed,
        .writable = on_writable,
        .closing = on_closing,
        .interrupted = on_interrupted,
        .ended = on_ended,
        .ctx = serve,
    };
}

struct order *serve_next_order(struct serve *serve)
{
    struct list *node = NULL;

    pthread_mutex_lock(&serve->lock);
    node = list_first(&serve->orders);
    if (node)
        list_remove(node);
    pthread_mutex_unlock(&serve->lock);
    return node ? container_of(node, struct order, node) : NULL;
}
