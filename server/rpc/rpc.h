/* rpc.h - the gRPC services: binds calls to the engine. One file per service; the wire below knows
 * no domain, the hub below knows no gRPC.
 *
 * Threads: methods begin on their call's wire thread; what touches the hub's control state is
 * carried to the loop and back (ask.h). */
#ifndef TRIBUTARY_SERVER_RPC_RPC_H
#define TRIBUTARY_SERVER_RPC_RPC_H

#include "base/base.h"
#include "base/status.h"
#include "event/framing.h"
#include "hub/hub.h"
#include "loop/loop.h"
#include "server/wire/call.h"

struct rpc;

struct rpc_settings {
    struct framing_limits framing;
    bool reflection;
    int64_t write_timeout_ns; /* a consumer that does not read for so long is ended */
    uint32_t max_calls_per_connection;
    uint32_t max_connections;
    const char *version;
    const char *const *listening; /* addresses as bound; must outlive the rpc */
    size_t listening_count;
    uint32_t (*connections)(void *ctx); /* any thread: open connections now */
    void *ctx;
};

MUST_CHECK struct status rpc_new(struct loop *loop, struct hub *hub, const struct rpc_settings *settings,
                                 struct rpc **rpc_out);
void rpc_free(struct rpc *rpc); /* after every wire thread ended */

/* What to give to call_acceptor_serve(); lives as long as the rpc. */
const struct method *rpc_methods(const struct rpc *rpc, size_t *count_out);

/* Loop. Health answers SERVING until then, NOT_SERVING for all services from then on; watchers are
 * told. */
void rpc_not_serving(struct rpc *rpc);

#endif
