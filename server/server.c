/* server.c - the wiring: makes every part, in order, and frees them in the opposite order. */
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "event/chunk.h"
#include "server/wire/wire.h"

/* The message limit of gRPC core is this much above --max-batch-bytes. So the check of the server
 * answers, not the core. */
#define CORE_HEADROOM_BYTES (64u * 1024u)

#define MAX_CALLS_PER_CONNECTION 1000
#define RESOURCE_QUOTA_BYTES (UINT64_C(512) << 20)
#define SPARE_DESCRIPTORS 64
#define PREFACE_TIMEOUT_NS (5 * NS_PER_S)
#define USER_TIMEOUT_NS (20 * NS_PER_S)

/* The listener's thread. Connections go to the workers in turn. */
static void on_connected(void *ctx, int fd)
{
    struct server *server = ctx;
    size_t turn = atomic_fetch_add_explicit(&server->next_worker, 1, memory_order_relaxed);

    wire_thread_adopt(server->workers[turn % server->worker_count].thread, fd);
}

static void peer_text(void *ctx, int fd, char *text, size_t capacity)
{
    struct server *server = ctx;

    listener_peer(server->listener, fd, text, capacity);
}

static uint32_t count_connections(void *ctx)
{
    struct server *server = ctx;

    return listener_connections(server->listener);
}

static struct status make_listener(struct server *server)
{
    struct listener_settings settings = {.max_connections = (uint32_t)server->options.max_connections,
                                         .spare_descriptors = SPARE_DESCRIPTORS,
                                         .preface_timeout_ns = PREFACE_TIMEOUT_NS,
                                         .user_timeout_ns = USER_TIMEOUT_NS};
    struct status status = listener_new(
        &settings, &(struct listener_port){.connected = on_connected, .ctx = server}, &server->listener);

    for (size_t i = 0; i < server->options.listen_count && !status.code; i++) {
        status = listener_add(server->listener, server->options.listen[i]);
        if (status.code)
            log_write(LOG_ERROR, "server.listen_failed", LOG_TEXT("address", server->options.listen[i]),
                      LOG_TEXT("step", status.what), LOG_TEXT("reason", strerror(status.sys)));
        else
            server->addresses[i] = listener_address(server->listener, i);
    }
    return status;
}

static struct status make_engine(struct server *server)
{
    const struct options *options = &server->options;
    struct hub_limits limits = {.max_producers = (uint32_t)options->max_producers,
                                .max_subscriptions = (uint32_t)options->max_subscriptions,
                                .history = options->history,
                                .transient_forget_ns = options->transient_forget_ns};
    struct rpc_settings settings = {.framing = framing_defaults,
                                    .reflection = options->reflection,
                                    .write_timeout_ns = options->write_timeout_ns,
                                    .max_calls_per_connection = MAX_CALLS_PER_CONNECTION,
                                    .max_connections = (uint32_t)options->max_connections,
                                    .version = TRIBUTARY_VERSION,
                                    .listening = server->addresses,
                                    .listening_count = options->listen_count,
                                    .connections = count_connections,
                                    .ctx = server};

    settings.framing.max_event_bytes = (uint32_t)options->max_event_bytes;
    settings.framing.max_batch_bytes = (uint32_t)options->max_batch_bytes;
    chunk_budget_set((uint64_t)options->memory_limit_bytes);
    struct status status = hub_new(server->loop, &limits, &server->hub);
    return status.code ? status : rpc_new(server->loop, server->hub, &settings, &server->rpc);
}

static struct status start_wire_worker(struct server *server, struct wire_worker *worker)
{
    struct wire_settings settings = {.max_message_bytes =
                                         (uint32_t)server->options.max_batch_bytes + CORE_HEADROOM_BYTES,
                                     .max_calls_per_connection = MAX_CALLS_PER_CONNECTION,
                                     .resource_quota_bytes = RESOURCE_QUOTA_BYTES};
    size_t count;
    const struct method *methods = rpc_methods(server->rpc, &count);
    struct status status = wire_thread_new(&settings, &worker->thread);

    worker->server = server;
    if (status.code)
        return status;
    server->worker_count++;
    wire_thread_set_peer_lookup(worker->thread, peer_text, server);
    if (call_acceptor_serve(worker->thread, methods, count))
        return (struct status){ERR_NO_MEMORY, 0, "make the table of methods"};
    status = wire_thread_start(worker->thread, shutdown_wire_worker_down, worker);
    if (!status.code)
        server->workers_up++;
    return status;
}

static struct status start_wire_workers(struct server *server)
{
    size_t count = (size_t)server->options.wire_threads;

    server->workers = calloc(count, sizeof(*server->workers));
    if (!server->workers)
        return (struct status){ERR_NO_MEMORY, 0, "make the wire threads"};
    for (size_t i = 0; i < count; i++) {
        struct status status = start_wire_worker(server, &server->workers[i]);
        if (status.code)
            return status;
    }
    return STATUS_OK;
}

/* Writes a draft and renames it, so that the file appears whole. */
static struct status write_ready_file(const struct server *server)
{
    const char *path = server->options.ready_file;
    char draft[4096];

    if (!path)
        return STATUS_OK;
    snprintf(draft, sizeof(draft), "%s.new", path);
    FILE *file = fopen(draft, "w");
    if (!file)
        return (struct status){ERR_IO, errno, "open the ready file"};
    for (size_t i = 0; i < server->options.listen_count; i++)
        fprintf(file, "%s\n", server->addresses[i]);
    if (fclose(file) != 0 || rename(draft, path) != 0)
        return (struct status){ERR_IO, errno, "write the ready file"};
    return STATUS_OK;
}

static struct status start_all(struct server *server)
{
    struct status status = loop_new(&server->loop);

    if (!status.code)
        status = make_listener(server);
    if (!status.code)
        status = make_engine(server);
    if (!status.code)
        status = start_wire_workers(server);
    if (!status.code)
        status = listener_start(server->listener);
    if (!status.code && (loop_signal(server->loop, SIGTERM, shutdown_signal, server) ||
                         loop_signal(server->loop, SIGINT, shutdown_signal, server)))
        status = (struct status){ERR_FULL, 0, "watch the signals"};
    if (!status.code)
        status = write_ready_file(server);
    return status;
}

struct status server_start(struct server *server, const struct options *options)
{
    sigset_t operator_signals;

    *server = (struct server){.options = *options};
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&operator_signals);
    sigaddset(&operator_signals, SIGTERM);
    sigaddset(&operator_signals, SIGINT);
    /* Every thread that is made from here on has them blocked. */
    pthread_sigmask(SIG_BLOCK, &operator_signals, NULL);
    wire_init();
    struct status status = start_all(server);
    pthread_sigmask(SIG_UNBLOCK, &operator_signals, NULL);
    if (status.code) {
        log_write(LOG_ERROR, "server.failed", LOG_TEXT("step", status.what),
                  LOG_TEXT("reason", status.sys ? strerror(status.sys) : err_name(status.code)));
        return status;
    }
    for (size_t i = 0; i < options->listen_count; i++)
        log_write(LOG_INFO, "server.listening", LOG_TEXT("address", server->addresses[i]));
    return STATUS_OK;
}

int server_run(struct server *server)
{
    loop_run(server->loop);
    log_write(LOG_INFO, "server.stopped", LOG_NUMBER("forced", server->forced),
              LOG_NUMBER("events_in", count_get(COUNT_EVENTS_IN)),
              LOG_NUMBER("events_out", count_get(COUNT_EVENTS_OUT)),
              LOG_NUMBER("events_dropped", count_get(COUNT_EVENTS_DROPPED)));
    return server->forced ? 1 : 0;
}

void server_free(struct server *server)
{
    if (server->listener)
        listener_stop(server->listener);
    for (size_t i = 0; i < server->worker_count; i++)
        wire_thread_shutdown(server->workers[i].thread, true);
    if (server->workers_up > 0)
        loop_run(server->loop); /* calls may still need an answer of the loop */
    for (size_t i = 0; i < server->worker_count; i++)
        wire_thread_join(server->workers[i].thread);
    for (size_t i = 0; i < server->worker_count; i++)
        wire_thread_free(server->workers[i].thread);
    free(server->workers);
    rpc_free(server->rpc);
    if (server->hub)
        hub_free(server->hub);
    listener_free(server->listener);
    if (server->loop)
        loop_free(server->loop);
    if (!server->forced)
        wire_fini(); /* may wait for a write of the core, which a forced end must not */
}
