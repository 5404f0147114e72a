/* server.c - the wiring: makes every part, in order, and frees them in the opposite order. */
#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/sqlite/store.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/ignored_signal.h"
#include "base/log.h"
#include "event/chunk.h"
#include "h2socket/h2socket.h"
#include "server/config/endpoint_files.h"
#include "server/connection_limits.h"
#include "server/descriptors.h"
#include "server/guard_check.h"
#include "server/wire/wire.h"
#include "topic/topics.h"

/* An operation of the store is late then, and so is its end. */
#define STORE_TIMEOUT_NS (10 * NS_PER_S)
/* More than the services give to it (server/rpc/endpoint_edit.c). */
#define MAX_STORE_WAITING 8192u
#define MAX_STORE_BYTES ((size_t)64 << 20)

/* The listener's thread. Connections go to the workers in turn. */
static void on_connected(void *ctx, int fd)
{
    struct server *server = ctx;
    size_t turn = atomic_fetch_add_explicit(&server->next_worker, 1, memory_order_relaxed);

    wire_thread_adopt(server->workers[turn % server->worker_count].thread, fd);
}

/* Makes these settings the present version, for every part of the daemon. */
static struct status publish_settings(struct server *server, const struct settings *settings)
{
    if (loop_publish_settings(server->loop, settings))
        return (struct status){ERR_NO_MEMORY, 0, "publish the settings"};
    budget_set((uint64_t)settings->memory_limit_bytes);
    return STATUS_OK;
}

static struct status refused(const struct refusal *refusal, const char *step)
{
    log_write(LOG_ERROR, "store.refused", LOG_TEXT("reason", refusal->text));
    return (struct status){ERR_INVALID, 0, step};
}

static struct status open_store(struct server *server)
{
    const struct store_params params = {.path = server->options.state_dir,
                                        .timeout_ns = STORE_TIMEOUT_NS,
                                        .max_waiting = MAX_STORE_WAITING,
                                        .max_waiting_bytes = MAX_STORE_BYTES,
                                        .ballast_bytes = STORE_BALLAST_BYTES};
    struct refusal refusal;

    if (params.path && store_open(server->loop, &params, &server->store, &refusal))
        return refused(&refusal, "open the store of --state-dir");
    return STATUS_OK;
}

/* The store's thread, once calls are served. */
static void on_store_writable(void *ctx)
{
    rpc_store_writable(((struct server *)ctx)->rpc);
}

static struct status open_topics(struct server *server)
{
    const struct options *options = &server->options;
    struct topics_params params = {.hub = server->hub,
                                   .on_publish = options->create_topics,
                                   .on_publish_count = options->create_topics_count,
                                   .settings = options->topic_settings};
    enum err err;

    if (!server->store)
        return STATUS_OK;
    params.port = store_topics(server->store, on_store_writable, server);
    err = topics_new(server->loop, &params, &server->topics);
    if (err == ERR_OK)
        return STATUS_OK;
    log_write(LOG_ERROR, "store.refused",
              LOG_TEXT("reason", err == ERR_FULL ? "it has more topics than --max-producers allows"
                                                 : "not enough memory for its topics"));
    return (struct status){err, 0, "open the topics of --state-dir"};
}

static struct status load_endpoints(struct server *server)
{
    struct refusal refusal;

    return rpc_load_endpoints(server->rpc, &refusal) ? refused(&refusal, "read the store of --state-dir")
                                                     : STATUS_OK;
}

/* The addresses stand in server->addresses in the order of these calls. */
static struct status listen_at(struct server *server, const char *const *addresses, size_t count,
                               uint32_t mark)
{
    struct status status = STATUS_OK;

    for (size_t i = 0; i < count && !status.code; i++) {
        const size_t number = listener_address_count(server->listener);

        status = listener_add(server->listener, addresses[i], mark);
        if (!status.code)
            status = unix_access_apply(&server->options.unix_access, addresses[i]);
        if (status.code)
            log_write(LOG_ERROR, "server.listen_failed", LOG_TEXT("address", addresses[i]),
                      LOG_TEXT("step", status.what), LOG_TEXT("reason", strerror(status.sys)));
        else
            server->addresses[number] = listener_address(server->listener, number);
    }
    return status;
}

static struct status make_listener(struct server *server)
{
    const struct listener_port port = {.connected = on_connected,
                                       .ctx = server,
                                       .limits = server->options.guard == ON ? &server->guard_limits : NULL};
    struct status status = listener_new(server->loop, &port, &server->listener);

    if (!status.code)
        status = listen_at(server, server->options.listen, server->options.listen_count, 0);
    if (!status.code)
        status = listen_at(server, server->options.fan_in, server->options.fan_in_count, MARK_ANY_METHOD);
    return status;
}

static struct status make_engine(struct server *server)
{
    const struct options *options = &server->options;
    struct rpc_params params = {.reflection = options->reflection == ON,
                                .store = server->store,
                                .version = TRIBUTARY_VERSION,
                                .listening = server->addresses,
                                .listening_count = options->listen_count,
                                .drain = shutdown_drain,
                                .drain_ctx = server,
                                .remote_drain = options->remote_drain,
                                .remote_backup = options->remote_backup};

    struct status status = hub_new(server->loop, &server->hub);
    if (status.code)
        return status;
    status = tls_settings_new(server->loop, options->upstream_tls, options->upstream_tls_count, &server->tls);
    if (status.code)
        return status;
    params.dial = server->dial = dial_new(server->loop, server->hub, options->dial_allow);
    if (!server->dial || dial_use_tls(server->dial, server->tls))
        return (struct status){ERR_NO_MEMORY, 0, "make the table of endpoints"};
    if (options->guard == ON)
        dial_use_guard(server->dial, &server->dialled_limits);
    fanin_init(&server->fanin, server->loop, server->hub, dial_catalog(server->dial));
    server->fanin_method = (struct method){.path = "", .port = &fanin_port, .ctx = &server->fanin};
    status = open_topics(server);
    if (status.code)
        return status;
    params.topics = server->topics;
    return rpc_new(server->loop, server->hub, &params, &server->rpc);
}

static struct status start_wire_worker(struct server *server, struct wire_worker *worker)
{
    struct wire_settings core = connection_limits_of_core(loop_settings(server->loop));
    size_t count;
    const struct method *methods = rpc_methods(server->rpc, &count);

    core.waiting = &server->waiting;
    struct status status = wire_thread_new(&core, &worker->thread);
    worker->server = server;
    if (status.code)
        return status;
    server->worker_count++;
    if (call_acceptor_serve(worker->thread, methods, count))
        return (struct status){ERR_NO_MEMORY, 0, "make the table of methods"};
    call_acceptor_serve_any(worker->thread, &server->fanin_method);
    if (dial_add_thread(server->dial, wire_cq(worker->thread)))
        return (struct status){ERR_FULL, 0, "note the wire thread"};
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

/* Only a regular file may be replaced. */
static struct status check_ready_file(const struct server *server)
{
    const char *path = server->options.ready_file;
    struct stat present;

    if (path && lstat(path, &present) == 0 && !S_ISREG(present.st_mode))
        return (struct status){ERR_INVALID, 0, "replace the ready file: it is no regular file"};
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
    (void)unlink(draft); /* of an earlier process, or what somebody put there for us to follow */
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file)
        return (struct status){ERR_IO, errno, "open the ready file"};
    for (size_t i = 0; i < listener_address_count(server->listener); i++)
        fprintf(file, "%s\n", server->addresses[i]);
    if (fclose(file) != 0 || rename(draft, path) != 0)
        return (struct status){ERR_IO, errno, "write the ready file"};
    return STATUS_OK;
}

static const int end_signals[] = {SIGTERM, SIGINT, SIGHUP};

static void on_reload_signal(void *ctx, int signal)
{
    struct server *server = ctx;

    log_write(LOG_INFO, "server.signal", LOG_NUMBER("signal", signal));
    tls_settings_reload(server->tls);
}

/* Where there is something to read again, SIGHUP asks for that, also under nohup(1). Otherwise it
 * ends the daemon, as it ends any program. */
static struct status handle_signals(struct server *server)
{
    for (size_t i = 0; i < ARRAY_LEN(end_signals); i++) {
        const bool reloads = end_signals[i] == SIGHUP && tls_settings_are_there(server->tls);

        if (end_signals[i] == SIGHUP && signal_is_ignored(SIGHUP) && !reloads)
            continue;
        if (loop_signal(server->loop, end_signals[i], reloads ? on_reload_signal : shutdown_signal, server))
            return (struct status){ERR_FULL, 0, "watch the signals"};
    }
    return STATUS_OK;
}

static struct status start_all(struct server *server)
{
    struct status status = loop_new(&server->loop);

    if (!status.code)
        waiting_messages_init(&server->waiting, server->loop);
    server->guard_limits = connection_limits_of_guard(&server->options.settings);
    server->dialled_limits = connection_limits_of_upstreams(&server->options.settings);
    const struct h2socket_bounds bounds = connection_limits_of_all(&server->options.settings);
    h2socket_set_bounds(&bounds);
    if (!status.code)
        status = publish_settings(server, &server->options.settings);
    if (!status.code)
        status = memory_trim_start(&server->memory_trim, server->loop);
    if (!status.code)
        status = open_store(server);
    if (!status.code)
        status = make_listener(server);
    if (!status.code)
        status = make_engine(server);
    if (!status.code)
        status = start_wire_workers(server);
    if (!status.code && server->options.guard == ON)
        status = guard_check(server->workers[0].thread, &server->guard_limits);
    if (!status.code)
        status = load_endpoints(server);
    if (!status.code)
        status = listener_start(server->listener);
    if (!status.code)
        status = handle_signals(server);
    if (!status.code)
        status = endpoint_files_check(server->options.endpoints_dir, server->options.endpoints_dir_count);
    if (!status.code)
        status = write_ready_file(server);
    /* The last one: what it dials is ended by a drain, and not where something else fails. */
    if (!status.code)
        status = endpoint_files_start(server->loop, server->hub, server->dial, server->options.endpoints_dir,
                                      server->options.endpoints_dir_count, &server->endpoint_files);
    return status;
}

struct status server_start(struct server *server, const struct options *options)
{
    sigset_t blocked;

    *server = (struct server){.options = *options};
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file beyond `ulimit -f` is a write that fails */
    sigemptyset(&blocked);
    for (size_t i = 0; i < ARRAY_LEN(end_signals); i++)
        sigaddset(&blocked, end_signals[i]);
    /* Every thread that is made from here on has them blocked. */
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    struct status status = check_ready_file(server);
    if (!status.code)
        status = descriptors_prepare(&options->settings);
    wire_init();
    if (!status.code)
        status = start_all(server);
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
    if (status.code) {
        log_write(LOG_ERROR, "server.failed", LOG_TEXT("step", status.what),
                  LOG_TEXT("reason", status.sys ? strerror(status.sys) : err_name(status.code)));
        return status;
    }
    for (size_t i = 0; i < options->listen_count; i++)
        log_write(LOG_INFO, "server.listening", LOG_TEXT("address", server->addresses[i]));
    for (size_t i = options->listen_count; i < listener_address_count(server->listener); i++)
        log_write(LOG_INFO, "server.listening", LOG_TEXT("address", server->addresses[i]),
                  LOG_TEXT("for", "fan-in"));
    return STATUS_OK;
}

int server_run(struct server *server)
{
    loop_run(server->loop);
    if (server->forced) /* else server_free() closes what lingers */
        h2socket_close_lingering(server->linger_until_ns);
    log_write(LOG_INFO, "server.stopped", LOG_NUMBER("forced", server->forced),
              LOG_NUMBER("events_in", count_get(COUNT_EVENTS_IN)),
              LOG_NUMBER("events_out", count_get(COUNT_EVENTS_OUT)),
              LOG_NUMBER("events_dropped", count_get(COUNT_EVENTS_DROPPED)));
    return server->forced ? 1 : 0;
}

/* No call is left. What waited for the disk is answered: appends on the store's thread, all else by
 * the loop, which does the rest of it. */
static bool stop_store(struct server *server)
{
    if (!server->store)
        return true;
    if (!store_stop(server->store, STORE_TIMEOUT_NS))
        return false;
    do {
        loop_stop(server->loop);
        loop_run(server->loop); /* all that was posted */
    } while (!store_is_idle(server->store));
    return true;
}

bool server_free(struct server *server)
{
    memory_trim_stop(&server->memory_trim);
    if (server->listener)
        listener_stop(server->listener);
    for (size_t i = 0; i < server->worker_count; i++)
        wire_thread_shutdown(server->workers[i].thread, true);
    if (server->workers_up > 0)
        loop_run(server->loop); /* calls may still need an answer of the loop */
    for (size_t i = 0; i < server->worker_count; i++)
        wire_thread_join(server->workers[i].thread);
    if (!stop_store(server))
        return false;
    for (size_t i = 0; i < server->worker_count; i++)
        wire_thread_free(server->workers[i].thread);
    free(server->workers);
    if (server->loop)
        waiting_messages_fini(&server->waiting);
    if (server->fanin.loop)
        fanin_fini(&server->fanin);
    h2socket_report(INT64_MAX);
    tls_settings_stop(server->tls);
    rpc_free(server->rpc);
    endpoint_files_free(server->endpoint_files);
    dial_free(server->dial);
    if (server->hub)
        hub_free(server->hub);
    topics_free(server->topics);
    listener_free(server->listener);
    store_free(server->store);
    if (server->loop)
        loop_free(server->loop);
    tls_settings_free(server->tls);
    wire_fini(); /* may wait for a write of the core */
    h2socket_close_lingering(server->linger_until_ns);
    return true;
}
