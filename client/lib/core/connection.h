/* connection.h - the connections of a client. A server allows a bounded number of calls on one
 * connection, and further calls wait without a sign. So a client opens another connection for every
 * CALLS_PER_CONNECTION calls at a time.
 *
 * Threads: client thread only, once it runs. */
#ifndef TRIBUTARY_CLIENT_CONNECTION_H
#define TRIBUTARY_CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include <grpc/grpc.h>

#include "tributary/tributary.h"
#include "grpc/target.h"

#define CALLS_PER_CONNECTION 100u
#define MAX_CONNECTIONS 64u /* the last one takes all further calls */

struct connection {
    grpc_channel *channel; /* connects with its first call, and again when it must */
    uint32_t calls;
};

struct connections {
    /* Set by the owner before connections_init(). */
    int64_t connect_ms, backoff_base_ms, backoff_cap_ms;
    int64_t ping_ns;       /* TRIBUTARY_NONE: no pings */
    int64_t pong_ns;       /* how long the answer to a ping may take */
    uint32_t window_bytes; /* of one stream; 0: gRPC core probes the connection */

    char target[TARGET_CAPACITY]; /* set by the owner, too */
    char agent[128];
    struct connection each[MAX_CONNECTIONS];
    size_t count;
};

/* Opens the first connection. False: out of memory; call connections_fini() also then. */
bool connections_init(struct connections *connections, const struct tributary_options *options);
void connections_fini(struct connections *connections);

/* Returns a connection that can take one more call. The call counts until
 * connections_release(). */
struct connection *connections_acquire(struct connections *connections);
void connections_release(struct connections *connections, struct connection *connection);

#endif
