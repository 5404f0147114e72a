/* connection.c - opens and closes gRPC channels with the settings of a client. */
#include "client/lib/core/connection.h"

#include <stdio.h>

#include <grpc/grpc_security.h>

#include "base/base.h"
#include "base/clock.h"

#define MAX_RECEIVE_BYTES (16 << 20)

/* gRPC core reads into blocks of this size and fills one block before it takes the next. So most
 * messages lie in one piece. The allocator keeps blocks of this size; smaller ones it would give
 * back to the system and ask for again. The part of a block that is not filled yet takes no
 * memory. */
#define READ_BLOCK_BYTES (1 << 20)

static grpc_arg number(const char *key, int64_t value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = (int)value};
}

static grpc_arg text(const char *key, char *value)
{
    return (grpc_arg){.type = GRPC_ARG_STRING, .key = (char *)(uintptr_t)key, .value.string = value};
}

/* Each channel gets a subchannel pool of its own. Otherwise two channels with equal settings would
 * share one connection. */
static grpc_channel *channel_open(struct connections *connections)
{
    grpc_arg args[20];
    size_t count = 0;

    args[count++] = text(GRPC_ARG_PRIMARY_USER_AGENT_STRING, connections->agent);
    args[count++] = number(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, connections->backoff_base_ms);
    args[count++] = number(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connections->connect_ms);
    args[count++] = number(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, connections->backoff_cap_ms);
    args[count++] = number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, MAX_RECEIVE_BYTES);
    args[count++] = number(GRPC_ARG_HTTP2_BDP_PROBE, connections->window_bytes == 0);
    if (connections->window_bytes > 0)
        args[count++] = number(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, connections->window_bytes);
    args[count++] = number(GRPC_ARG_TCP_READ_CHUNK_SIZE, READ_BLOCK_BYTES);
    args[count++] = number(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, READ_BLOCK_BYTES);
    args[count++] = number(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1);
    args[count++] = number(GRPC_ARG_ENABLE_RETRIES, 0);
    args[count++] = number(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    args[count++] = number(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    if (connections->ping_ns != TRIBUTARY_NONE) {
        args[count++] = number(GRPC_ARG_KEEPALIVE_TIME_MS, connections->ping_ns / NS_PER_MS);
        args[count++] = number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, connections->pong_ns / NS_PER_MS);
        args[count++] = number(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    }

    const grpc_channel_args all = {.num_args = count, .args = args};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(connections->target, plain, &all);

    grpc_channel_credentials_release(plain);
    return channel;
}

bool connections_init(struct connections *connections, const struct tributary_options *options)
{
    snprintf(connections->agent, sizeof(connections->agent), "tributary-c/%s%s%.64s", TRIBUTARY_VERSION,
             options->name ? " " : "", options->name ? options->name : "");
    connections->each[0].channel = channel_open(connections);
    connections->count = 1;
    return connections->each[0].channel;
}

void connections_fini(struct connections *connections)
{
    for (size_t i = 0; i < connections->count; i++) {
        if (connections->each[i].channel)
            grpc_channel_destroy(connections->each[i].channel);
    }
    *connections = (struct connections){.count = 0};
}

struct connection *connections_acquire(struct connections *connections)
{
    size_t i = 0;

    while (i < connections->count && connections->each[i].calls >= CALLS_PER_CONNECTION)
        i++;
    if (i == MAX_CONNECTIONS) {
        i--;
    } else if (i == connections->count) {
        connections->each[i].channel = channel_open(connections);
        CHECK(connections->each[i].channel);
        connections->count++;
    }
    connections->each[i].calls++;
    return &connections->each[i];
}

/* Closes connections without calls, but never the first one. It closes from the end of the array
 * only, so that no connection moves: pointers to them stay valid. */
void connections_release(struct connections *connections, struct connection *connection)
{
    connection->calls--;
    while (connections->count > 1 && connections->each[connections->count - 1].calls == 0) {
        connections->count--;
        grpc_channel_destroy(connections->each[connections->count].channel);
    }
}
