/* rpc_internal.h - what all services share: the engine, the params and the table of methods. Each
 * service keeps the rest in its own file. For the files of this room.
 *
 * Threads: written while the rpc is made; afterwards any thread may read it. `answers` has a lock
 * of its own. */
#ifndef TRIBUTARY_SERVER_RPC_RPC_INTERNAL_H
#define TRIBUTARY_SERVER_RPC_RPC_INTERNAL_H

#include "base/peer_charge.h"
#include "batch/processor.h"
#include "loop/peer_turns.h"
#include "server/rpc/batch_records.h"
#include "server/rpc/rpc.h"
#include "server/rpc/stored_gate.h"
#include "server/rpc/stored_make.h"

struct workers;

struct rpc {
    struct loop *loop;
    struct hub *hub;
    struct rpc_params params;
    int64_t started_wall_ns;
    struct method *methods;
    size_t method_count;
    struct unary_row *unary_rows; /* what rpc_add_unary() made */
    struct health *health;
    struct endpoint_edits *edits;
    struct workers *file_workers;   /* loop: reads backups; NULL until the first one */
    struct peer_counts topic_edits; /* loop: those that wait for the disk */
    struct batch_processors *batches;
    struct batch_records batch_records;
    struct peer_charges batch_memory; /* operations and workers */
    struct peer_charges answers;      /* of unary calls, on their way */
    struct peer_turns unary_turns;    /* loop: lists, and what else takes unary calls several steps */
    struct peer_turns watch_turns;    /* loop: Admin.Watch */
    struct stored_gate gate;          /* of the store, for events of stored topics */
    struct stored_makings makings;    /* loop */
    struct reflection *reflection;    /* NULL: not served */
};

#endif
