/* connection.c - the connections of one endpoint. */
#include "server/dial/connection.h"

#include <stdlib.h>

#include "base/clock.h"

#include <grpc/grpc_security.h>

/* The core's own redial must not come before ours: it is longer than the time to connect. */
#define CORE_BACKOFF_EXTRA_MS 1500
#define MIN_QUOTA_BYTES (16u << 20) /* without calls */
#define MAX_METADATA_BYTES 16384
#define KEEPALIVE_TIME_MS 300000
#define KEEPALIVE_TIMEOUT_MS 20000
#define MAX_FRAME_BYTES (256 << 10)
#define READ_CHUNK_BYTES (8 << 10)
#define MAX_READ_CHUNK_BYTES (256 << 10)
#define LOOKAHEAD_BYTES 65535

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
    const uint64_t call_bytes = connection->of->max_message_bytes + LOOKAHEAD_BYTES;

    grpc_resource_quota_resize(connection->quota, (size_t)(connection->calls * call_bytes + MIN_QUOTA_BYTES));
}

static grpc_channel *channel_new(const struct connections *connections, grpc_resource_quota *quota)
{
    const int64_t connect_ms = connections->connect_timeout_ns / NS_PER_MS;
    grpc_arg args[24];
    size_t count = 0;

    args[count++] = number(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    args[count++] = number(GRPC_ARG_ENABLE_RETRIES, 0);
    args[count++] = number(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    args[count++] = number(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    args[count++] = number(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connect_ms);
    args[count++] = number(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, connect_ms + CORE_BACKOFF_EXTRA_MS);
    args[count++] = number(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, connect_ms + CORE_BACKOFF_EXTRA_MS);
    args[count++] = number(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    args[count++] = number(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, LOOKAHEAD_BYTES);
    args[count++] = number(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, MAX_FRAME_BYTES);
    args[count++] = number(GRPC_ARG_TCP_READ_CHUNK_SIZE, READ_CHUNK_BYTES);
    args[count++] = number(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, MAX_READ_CHUNK_BYTES);
    args[count++] = number(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1);
    args[count++] = number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int64_t)connections->max_message_bytes);
    args[count++] = number(GRPC_ARG_MAX_METADATA_SIZE, MAX_METADATA_BYTES);
    args[count++] = number(GRPC_ARG_ENABLE_CHANNELZ, 0);
    args[count++] = number(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_TIME_MS);
    args[count++] = number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS);
    args[count++] = text(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "tributary");
    if (connections->authority[0] != '\0')
        args[count++] = text(GRPC_ARG_DEFAULT_AUTHORITY, connections->authority);
    args[count++] = (grpc_arg){.type = GRPC_ARG_POINTER,
                               .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA,
                               .value.pointer = {quota, grpc_resource_quota_arg_vtable()}};

    const grpc_channel_args all = {.num_args = count, .args = args};
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

struct connection *connection_enter(struct connections *connections)
{
    struct connection *connection;

    list_each(node, safe, &connections->all) {
        connection = container_of(node, struct connection, link);
        if (connection->calls < connections->max_calls) {
            connection->calls++;
            size_quota(connection);
            return connection;
        }
    }
    connection = calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    connection->of = connections;
    connection->quota = grpc_resource_quota_create(NULL);
    connection->calls = 1;
    size_quota(connection);
    connection->channel = channel_new(connections, connection->quota);
    list_init(&connection->link);
    list_append(&connections->all, &connection->link);
    return connection;
}

void connection_accepted(struct connection *connection)
{
    connection->accepted_calls++;
}

void connection_is_full(struct connections *connections, const struct connection *connection)
{
    if (connection->accepted_calls > 0)
        connections->max_calls = MIN_OF(connections->max_calls, connection->accepted_calls);
}

void connection_leave(struct connection *connection, bool was_accepted, bool is_lost)
{
    connection->calls--;
    if (was_accepted)
        connection->accepted_calls--;
    if (is_lost || connection->calls == 0)
        list_remove(&connection->link);
    if (connection->calls > 0) {
        size_quota(connection);
        return;
    }
    grpc_channel_destroy(connection->channel);
    grpc_resource_quota_unref(connection->quota);
    free(connection);
}

bool connection_is_ready(const struct connection *connection)
{
    return grpc_channel_check_connectivity_state(connection->channel, 0) == GRPC_CHANNEL_READY;
}
