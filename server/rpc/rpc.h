/* rpc.h - the gRPC services: they connect calls with the hub. There is one file per service. The
 * wire knows no domain, and the hub knows no gRPC.
 *
 * Threads: a method begins on the wire thread of its call. Whatever touches the control state of
 * the hub goes to the loop and comes back, in a task. */
#ifndef TRIBUTARY_SERVER_RPC_RPC_H
#define TRIBUTARY_SERVER_RPC_RPC_H

#include "base/base.h"
#include "base/status.h"
#include "hub/hub.h"
#include "loop/loop.h"
#include "server/wire/call.h"

struct dial;
struct refusal;
struct rpc;
struct store;
struct topics;

/* What the services are made with. Their limits are those of loop_settings(), read at each use. */
struct rpc_params {
    bool reflection;
    struct dial *dial;     /* the producers that the server dials; must outlive the rpc */
    struct store *store;   /* must outlive the rpc; NULL: nothing is kept */
    struct topics *topics; /* the stored ones; must outlive the rpc; NULL: there are none */
    const char *version;
    const char *const *listening; /* the bound addresses; must outlive the rpc */
    size_t listening_count;
    /* Begins to drain the server, in a later task. Returns when it will have ended: after
     * `timeout_ns`, or earlier where it drains already (clock_mono_ns()). On the loop. */
    int64_t (*drain)(void *ctx, int64_t timeout_ns);
    void *drain_ctx;
    bool remote_drain;  /* callers on other machines may have it drained */
    bool remote_backup; /* they may have what the store keeps */
};

/* Makes the services. `params` is copied. On failure nothing was made. */
MUST_CHECK struct status rpc_new(struct loop *loop, struct hub *hub, const struct rpc_params *params,
                                 struct rpc **rpc_out);
/* After every wire thread has ended. NULL allowed. */
void rpc_free(struct rpc *rpc);

/* Any thread. The store, which has refused an append of a topic with ERR_FULL, has space again: its
 * writable(), for which see topic/topic_port.h. */
void rpc_store_writable(struct rpc *rpc);

/* Loop. Adds the endpoints of the store, before the server listens: endpoint_edits_load(). */
MUST_CHECK enum err rpc_load_endpoints(struct rpc *rpc, struct refusal *refusal);

/* The table for call_acceptor_serve(). It lives as long as the rpc. */
const struct method *rpc_methods(const struct rpc *rpc, size_t *count_out);

/* Loop. From now on health answers NOT_SERVING for all services; before, SERVING. Watchers are
 * notified. Idempotent. */
void rpc_not_serving(struct rpc *rpc);

/* Loop, once. Batch processors admit nothing any more. Batches that have begun are saved; workers
 * hear that this should be by `until_ns` (clock_mono_ns()). `stopped` is called on the loop when
 * none is left. */
void rpc_stop_batches(struct rpc *rpc, int64_t until_ns, void (*stopped)(void *ctx), void *ctx);

#endif
