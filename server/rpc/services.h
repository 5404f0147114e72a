/* services.h - the services: each adds its rows to the table of methods. For the files of this
 * room.
 *
 * Threads: while the rpc is made, on the thread that makes it. */
#ifndef TRIBUTARY_SERVER_RPC_SERVICES_H
#define TRIBUTARY_SERVER_RPC_SERVICES_H

#include "base/base.h"
#include "base/status.h"

struct rpc;

/* Each adds the methods that its file serves. ERR_NO_MEMORY: some are missing; rpc_free() must
 * follow. */
MUST_CHECK enum err publish_serve(struct rpc *rpc);
MUST_CHECK enum err publish_stream_serve(struct rpc *rpc);
MUST_CHECK enum err register_serve(struct rpc *rpc);
MUST_CHECK enum err subscriber_serve(struct rpc *rpc);
MUST_CHECK enum err consume_serve(struct rpc *rpc);
MUST_CHECK enum err finish_serve(struct rpc *rpc);
MUST_CHECK enum err admin_serve(struct rpc *rpc);
MUST_CHECK enum err admin_ends_serve(struct rpc *rpc);  /* of the service Admin: right behind it */
MUST_CHECK enum err endpoints_serve(struct rpc *rpc);   /* likewise */
MUST_CHECK enum err changes_serve(struct rpc *rpc);     /* likewise */
MUST_CHECK enum err explain_serve(struct rpc *rpc);     /* likewise */
MUST_CHECK enum err topics_edit_serve(struct rpc *rpc); /* likewise */
MUST_CHECK enum err topics_list_serve(struct rpc *rpc); /* likewise */
MUST_CHECK enum err backup_serve(struct rpc *rpc);      /* likewise */
MUST_CHECK enum err batch_run_serve(struct rpc *rpc);
MUST_CHECK enum err batch_run_stream_serve(struct rpc *rpc); /* of the service Batch: right behind it */
MUST_CHECK enum err batch_process_serve(struct rpc *rpc);    /* likewise */
MUST_CHECK enum err batch_list_serve(struct rpc *rpc);       /* likewise */
MUST_CHECK enum err batch_records_serve(struct rpc *rpc);    /* likewise */
MUST_CHECK enum err health_serve(struct rpc *rpc);
MUST_CHECK enum err reflection_serve(struct rpc *rpc);

/* Free what health_serve() and reflection_serve() made, if they were called. */
void health_free(struct rpc *rpc);
void reflection_free(struct rpc *rpc);

#endif
