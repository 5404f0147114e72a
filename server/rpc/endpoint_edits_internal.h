/* endpoint_edits_internal.h - edits of endpoints, as their files see them. */
#ifndef TRIBUTARY_SERVER_RPC_ENDPOINT_EDITS_INTERNAL_H
#define TRIBUTARY_SERVER_RPC_ENDPOINT_EDITS_INTERNAL_H

#include "backend/sqlite/store.h"
#include "base/peer_charge.h"
#include "server/rpc/endpoint_edits.h"
#include "server/rpc/endpoint_names.h"
#include "server/rpc/endpoint_request.h"

/* The kind of the store's records. Their values are Endpoint messages, as they were given, with
 * fields that this version does not know; their owners are peers. */
#define ENDPOINT_KIND "endpoint"

struct endpoint_edits {
    struct loop *loop;
    struct hub *hub;
    struct dial *dial;
    struct store *store; /* NULL: there is none */
    struct endpoint_names names;
    /* Edits that wait for the disk, by peer, and the memory that they take. */
    struct peer_counts peers;
    struct peer_charges charges;
};

/* How a peer is kept with a record. */
#define OWNER_BYTES 16u
void owner_write(struct peer_key peer, uint8_t owner[OWNER_BYTES]);
struct peer_key owner_read(struct bytes owner); /* what cannot be read is PEER_UNKNOWN */

/* Whether the store could be used for an operation, as a fault of the caller's. FAULT_NONE:
 * STORE_DONE. */
enum fault_reason store_fault(struct store *store, enum store_outcome outcome, struct fault *fault);

#endif
