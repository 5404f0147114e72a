/* method_table.h - the table of methods: each service adds its rows, and health and reflection read
 * them. For the files of this room.
 *
 * Threads: rows are added while the rpc is made, on the thread that makes it. Afterwards any thread
 * may read them. */
#ifndef TRIBUTARY_SERVER_RPC_METHOD_TABLE_H
#define TRIBUTARY_SERVER_RPC_METHOD_TABLE_H

#include "base/base.h"
#include "base/status.h"
#include "server/rpc/unary.h"

struct rpc;

/* Adds one row. `path` must be static. `port` gets `ctx` with each call. ERR_NO_MEMORY: nothing was
 * added. */
MUST_CHECK enum err rpc_add_method(struct rpc *rpc, const char *path, const struct call_port *port,
                                   void *ctx);

/* Adds a unary method: its request is decoded as `type`, and `on_loop` answers it (unary.h). The
 * rpc owns the struct unary_method. ERR_NO_MEMORY: nothing was added. */
MUST_CHECK enum err rpc_add_unary(struct rpc *rpc, const char *path, const ProtobufCMessageDescriptor *type,
                                  void (*on_loop)(struct unary_call *unary));

/* The same for a method with all of unary_method's functions; method->rpc is set. */
MUST_CHECK enum err rpc_add_unary_method(struct rpc *rpc, const char *path,
                                         const struct unary_method *method);

/* Lists the names of the services that have rows, each once. Start with *position 0. False: there
 * are no more. */
bool rpc_service_next(const struct rpc *rpc, size_t *position, struct bytes *name_out);
/* Whether a service of this name has a row. */
bool rpc_serves(const struct rpc *rpc, struct bytes service);

/* Frees the table. */
void rpc_free_methods(struct rpc *rpc);

#endif
