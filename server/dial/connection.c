/* connection.c - the connections of one endpoint. */
#include "server/dial/connection.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "server/dial/upstream_guard.h"
#include "server/dial/upstream_tls.h"

#include <grpc/grpc_security.h>

/* The core's own end of a dial comes after ours, so the channel is destroyed before the core dials
 * again. What a channel that has failed leaves in the core stays for the backoff. */
#define CORE_CONNECT_EXTRA_MS 1000
#define CORE_BACKOFF_MS 5000
#define MIN_QUOTA_BYTES (16u << 20) /* without calls */
#define MAX_METADATA_BYTES 16384
#define KEEPALIVE_TIME_MS 300000
#define MAX_FRAME_BYTES (256 << 10)
#define MAX_READ_CHUNK_BYTES (256 << 10)

/* What a connection keeps of the process's memory, as it was measured. Each of its calls keeps
 * CONNECTION_CALL_BYTES more. */
#define CONNECTION_BYTES (UINT64_C(54) << 10)
#define TLS_BYTES (UINT64_C(90) << 10)

static grpc_arg number(const char *key, int64_t value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = (int)value};
}

static grpc_arg text(const char *key, const char *value)
{
    return (grpc_arg){
        .type = GRPC_ARG_STRING, .key = (char *)(uintptr_t)key, .value.string = (char *)(uintptr_t)value};
}

/* A quota bounds what a message takes that is larger than it may be: the core reads the whole of it
 * before it refuses it. One for each connection, so that it hurts nobody else. Beyond it the core
 * ends calls at random, so each call has what its largest message takes. */
static void size_quota(const struct connection *connection)
{
    const uint64_t call_bytes = connection->of->max_message_bytes + CONNECTION_LOOKAHEAD_BYTES;

    grpc_resource_quota_resize(connection->quota, (size_t)(connection->calls * call_bytes + MIN_QUOTA_BYTES));
}

/* Each argument takes some 1 KB of a connection, so what the core does by default is not among
 * them. */
static grpc_channel *channel_new(struct connection *connection)
{
    const struct connections *connections = connection->of;
    const int64_t connect_ms = connections->connect_timeout_ns / NS_PER_MS;
    grpc_arg args[26];
    size_t count = 0;

    args[count++] = number(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    args[count++] = number(GRPC_ARG_ENABLE_RETRIES, 0);
    args[count++] = number(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    args[count++] = number(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connect_ms + CORE_CONNECT_EXTRA_MS);
    args[count++] = number(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, CORE_BACKOFF_MS);
    args[count++] = number(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    args[count++] = number(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, CONNECTION_LOOKAHEAD_BYTES);
    args[count++] = number(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, MAX_FRAME_BYTES);
    args[count++] = number(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, MAX_READ_CHUNK_BYTES);
    /* the core would inflate a message without a bound */
    args[count++] = number(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    args[count++] = number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int64_t)connections->max_message_bytes);
    args[count++] = number(GRPC_ARG_MAX_METADATA_SIZE, MAX_METADATA_BYTES);
    args[count++] = number(GRPC_ARG_ENABLE_CHANNELZ, 0);
    args[count++] = number(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_TIME_MS);
    args[count++] = text(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "tributary");
    if (connections->authority[0] != '\0')
        args[count++] = text(GRPC_ARG_DEFAULT_AUTHORITY, connections->authority);
    args[count++] = (grpc_arg){.type = GRPC_ARG_POINTER,
                               .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA,
                               .value.pointer = {connection->quota, grpc_resource_quota_arg_vtable()}};

    if (connections->tls && connections->tls->setting->spec.server_name)
        args[count++] = text(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, connections->tls->setting->spec.server_name);

    if (connection->guard)
        args[count++] = upstream_guard_arg(connection->guard);

    const grpc_channel_args all = {.num_args = count, .args = args};
    if (connections->tls)
        return upstream_tls_channel(connections->tls, connections->target, &all, &connection->tls_version);
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(connections->target, plain, &all);

    grpc_channel_credentials_release(plain);
    return channel;
}

void connections_init(struct connections *connections)
{
    list_init(&connections->all);
    connections->max_calls = MAX_CONNECTION_CALLS;
}

static struct connection *add_call(struct connection *connection)
{
    connection->calls++;
    if (connection->quota)
        size_quota(connection);
    return connection;
}

static bool is_of_present_version(const struct connection *connection)
{
    const struct upstream_tls *tls = connection->of->tls;

    return !tls || !connection->channel || connection->tls_version == upstream_tls_version(tls);
}

static void begin_call(struct connection *connection, struct connection_call *call)
{
    call->is_waiting = false;
    list_append(&connection->calls_dialling, &call->link);
    call->begun(call);
}

/* Its turn has come. */
static void begin(struct connection *connection)
{
    struct list waiting;
    struct list *link;

    connection->quota = grpc_resource_quota_create(NULL);
    size_quota(connection);
    if (connection->of->guard)
        connection->guard =
            upstream_guard_new(connection->of->tls ? NULL : connection->of->guard, connection->of->target);
    connection->channel = channel_new(connection);
    dial_slot_begun(connection->of->slots, &connection->slot); /* it may be taken back before this returns */
    list_init(&waiting);
    list_move_all(&connection->calls_waiting, &waiting);
    while ((link = list_first(&waiting))) {
        list_remove(link);
        begin_call(connection, container_of(link, struct connection_call, link));
    }
}

static void on_turn(struct tls_turn *turn)
{
    begin(container_of(turn, struct connection, turn));
}

static void on_slot(struct dial_slot *slot)
{
    struct connection *connection = container_of(slot, struct connection, slot);

    if (connection->of->tls)
        tls_turn_request(connection->of->turns, &connection->turn);
    else
        begin(connection);
}

/* A connection that has come about, and whose calls are not accepted, is not what others wait
 * for. */
static void on_yield(struct dial_slot *slot)
{
    struct connection *connection = container_of(slot, struct connection, slot);
    const int64_t ran_ns = clock_mono_ns() - slot->begun_ns;

    if (connection_is_ready(connection)) {
        dial_slot_leave(connection->of->slots, slot);
        return;
    }
    list_each(node, safe, &connection->calls_dialling) {
        struct connection_call *call = container_of(node, struct connection_call, link);

        call->yield(call, ran_ns);
    }
}

static struct connection *connection_new(struct connections *connections, struct peer_key payer,
                                         struct fault *fault)
{
    const uint64_t bytes = CONNECTION_BYTES + (connections->tls ? TLS_BYTES : 0);
    struct connection *connection = calloc(1, sizeof(*connection));

    if (!connection) {
        fault_set(fault, FAULT_MEMORY_BUDGET, "upstream call", "");
        return NULL;
    }
    if (upstream_cost_add(connections->costs, &connection->cost, payer, bytes, fault)) {
        free(connection);
        return NULL;
    }
    connection->of = connections;
    list_init(&connection->link);
    list_init(&connection->calls_waiting);
    list_init(&connection->calls_dialling);
    dial_slot_init(&connection->slot, on_slot, on_yield);
    connection->slot.entry.peer = payer.kind == PEER_NONE ? connections->adder : payer;
    connection->slot.waits_longer = !!connections->tls;
    connection->slot.was_late = connections->was_late;
    tls_turn_init(&connection->turn, on_turn);
    connection->turn.is_slow = connections->has_failed;
    return connection;
}

static void connection_free(struct connection *connection)
{
    upstream_guard_close(connection->guard);
    if (connection->channel)
        grpc_channel_destroy(connection->channel);
    if (connection->quota)
        grpc_resource_quota_unref(connection->quota);
    upstream_guard_release(connection->guard);
    dial_slot_leave(connection->of->slots, &connection->slot);
    upstream_cost_give_back(connection->of->costs, &connection->cost);
    free(connection);
}

struct connection *connection_enter(struct connections *connections, struct peer_key payer,
                                    struct fault *fault)
{
    struct connection *connection;

    list_each(node, safe, &connections->all) {
        connection = container_of(node, struct connection, link);
        if (connection->calls < connections->max_calls && is_of_present_version(connection))
            return add_call(connection);
    }
    connection = connection_new(connections, payer, fault);
    if (!connection)
        return NULL;
    list_append(&connections->all, &connection->link);
    atomic_fetch_add(&connections->begun, 1);
    (void)add_call(connection);
    dial_slot_request(connections->slots, &connection->slot);
    return connection;
}

void connection_add(struct connection *connection, struct connection_call *call)
{
    if (connection->channel) {
        begin_call(connection, call);
        return;
    }
    call->is_waiting = true;
    list_append(&connection->calls_waiting, &call->link);
}

void connection_accepted(struct connection *connection, struct connection_call *call)
{
    list_remove(&call->link);
    dial_slot_leave(connection->of->slots, &connection->slot);
    connection->of->was_late = false;
    connection->accepted_calls++;
    connection->was_accepted = true;
    connection->of->has_failed = false;
    upstream_guard_accepted(connection->guard);
    if (connection->of->tls)
        tls_turn_leave(connection->of->turns, &connection->turn);
}

void connection_is_full(struct connections *connections, const struct connection *connection)
{
    if (connection->accepted_calls > 0)
        connections->max_calls = MIN_OF(connections->max_calls, connection->accepted_calls);
}

void connection_leave(struct connection *connection, bool was_accepted, bool is_lost)
{
    struct connections *of = connection->of;

    connection->calls--;
    if (was_accepted)
        connection->accepted_calls--;
    if (is_lost || connection->calls == 0)
        list_remove(&connection->link);
    if (is_lost && !connection->was_accepted) {
        of->has_failed = true;
        of->was_late = dial_slot_is_late(&connection->slot);
    }
    if (of->tls && (is_lost || connection->calls == 0))
        tls_turn_leave(of->turns, &connection->turn);
    if (connection->calls == 0) {
        connection_free(connection);
        return;
    }
    if (connection->quota)
        size_quota(connection);
}

bool connection_is_ready(const struct connection *connection)
{
    return grpc_channel_check_connectivity_state(connection->channel, 0) == GRPC_CHANNEL_READY;
}
