/* endpoint_edits.h - what operators change of endpoints: AddProducer, UpdateProducer,
 * RemoveProducer. For the files of this room.
 *
 * DESIGN. With a store an edit is checked, committed to the store, applied to the hub, and
 * answered. Where the hub refuses it after the commit, the record is made what it was before, and
 * then the edit is answered. So OK means that it is in effect and on the disk, and an error means
 * neither. Edits of one name are carried out one after the other; those of different names share
 * commits.
 *
 *   WAITING --first of its name--> COMMITTING --done; applied--> answered
 *      |                             |    |
 *      |                             |    `--refused by the hub, or late--> RESTORING --> answered
 *      `--refused by the check-------`--refused by the store--> answered
 *
 * An edit whose commit takes too long is answered (STORE_LATE) and goes on: it is undone when the
 * commit is done.
 *
 * Only operators' edits change the store. Endpoints of others are added with dial_add(), and are
 * not kept. An endpoint that a session replaces stays in the store, and comes back with a restart.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_ENDPOINT_EDITS_H
#define TRIBUTARY_SERVER_RPC_ENDPOINT_EDITS_H

#include <protobuf-c/protobuf-c.h>

#include "backend/sqlite/refusal.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/peer.h"
#include "base/status.h"
#include "tributary/v1/admin.pb-c.h"

struct dial;
struct endpoint_edits;
struct hub;
struct loop;
struct removal;
struct schema;
struct store;

/* `store` NULL: edits are applied at once, and nothing is kept. All must outlive the result. NULL:
 * out of memory. */
struct endpoint_edits *endpoint_edits_new(struct loop *loop, struct hub *hub, struct dial *dial,
                                          struct store *store);
/* No edit may be under way. NULL is allowed. */
void endpoint_edits_free(struct endpoint_edits *edits);

/* Adds the endpoints of the store, before the server listens. One that does not pass the checks of
 * a request is logged, and stays in the store. ERR_INVALID: *refusal says why the store cannot be
 * read. */
MUST_CHECK enum err endpoint_edits_load(struct endpoint_edits *edits, struct refusal *refusal);

enum edit_verb { EDIT_ADD, EDIT_UPDATE, EDIT_REMOVE };

struct edit_request {
    enum edit_verb verb;
    struct peer_key peer;
    ProtobufCMessage *message;         /* what the next ones point into */
    Tributary__V1__Endpoint *endpoint; /* ADD, UPDATE; NULL is refused */
    struct schema *schema;             /* of `endpoint` (endpoint_request.h); retained; NULL: none */
    bool replace;                      /* ADD */
    struct bytes name;                 /* REMOVE; it has passed name_check() */
    int64_t drain_ns;                  /* REMOVE; see hub_remove() */
    struct removal *removal;           /* REMOVE, for hub_report_removal(); NULL: nobody waits */
};

struct edit_result {
    struct fault fault; /* NONE: `answer` is a Producer */
    struct buf answer;  /* the receiver's */
};

/* Begins an edit. request->message becomes the edit's.
 *
 * True: it is over, and *result_out says how. False: answered() follows, once, in a later turn. */
MUST_CHECK bool endpoint_edits_begin(struct endpoint_edits *edits, const struct edit_request *request,
                                     void (*answered)(void *ctx, const struct edit_result *result), void *ctx,
                                     struct edit_result *result_out);

/* ---- what is there ---- */

/* NULL: there is none. */
struct store *endpoint_edits_store(const struct endpoint_edits *edits);

/* Calls `each` for endpoints that are in the store and not in effect since the start: at most
 * `max`. */
void endpoint_edits_not_loaded(const struct endpoint_edits *edits, unsigned max,
                               void (*each)(void *ctx, struct bytes name, const char *cause), void *ctx);

#endif
