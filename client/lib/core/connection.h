/* connection.h - the connections of a client: one as a rule, another for every CALLS_PER_CONNECTION
 * calls at a time, since a server takes a bounded number of calls on each, and lets further ones
 * wait in silence.
 *
 * Threads: the client thread, once it runs. */
#ifndef TRIBUTARY_CLIENT_CONNECTION_H
#define TRIBUTARY_CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include <grpc/grpc.h>

#include "tributary/tributary.h"

#define CALLS_PER_CONNECTION 100u
#define MAX_CONNECTIONS 64u /* the last one takes what is beyond */

struct connection {
    /* of the core, which connects when the first call is made, and again when it must */
    grpc_channel *channel;
    uint32_t calls;
};

struct connections {
    /* Set by the owner. */
    int64_t connect_ms, backoff_base_ms, backoff_cap_ms;
    int64_t ping_ns, pong_ns; /* TRIBUTARY_NONE: no pings */
    uint32_t window_bytes;

    char *target;
    char agent[128];
    struct connection each[MAX_CONNECTIONS];
    size_t count;
};

/* Opens the first one. False: out of memory; connections_fini() is still needed. */
bool connections_init(struct connections *connections, const struct tributary_options *options);
void connections_fini(struct connections *connections);

/* One with room for a call, which it counts until connections_give(). */
struct connection *connections_take(struct connections *connections);
void connections_give(struct connections *connections, struct connection *connection);

#endif
