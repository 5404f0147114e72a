/* intake.h - how published bytes enter: one scan, one chunk, one inlet. What Publish and
 * PublishStream share.
 *
 * Threads: the call's wire thread, but for what inlet_find_or_open() carries to the loop and
 * back. */
#ifndef TRIBUTARY_SERVER_RPC_INTAKE_H
#define TRIBUTARY_SERVER_RPC_INTAKE_H

#include "event/chunk.h"
#include "flow/put_waiter.h"
#include "hub/producer.h"
#include "server/rpc/rpc.h"
#include "server/wire/call.h"

/* The way of one call's chunks into the hub. Embedded in what the call owns. */
struct intake {
    struct rpc *rpc;
    struct call *call;
    struct inlet *inlet;     /* NULL until a chunk came */
    struct chunk *chunk;     /* scanned and not yet offered */
    struct chunk *coalesced; /* of messages that were joined and not yet offered */
    struct offer offer;      /* of the last chunk that was taken */
    struct fault fault;      /* why the last one was not */
    /* The chunk was dealt with: FAULT_NONE, or the reason; `offer` or `fault` say the rest.
     * Possibly from within intake_message(). */
    void (*dealt)(struct intake *intake, enum fault_reason reason);
    uint32_t messages; /* that the chunk, or the joint, is made of */
    bool blocked;      /* the hub took the chunk, and a channel holds part of it outside: dealt() follows */
    uint32_t name_size;
    uint8_t name[256];
    struct task task;
    struct put_waiter waiter;
};

void intake_init(struct intake *intake, struct rpc *rpc, struct call *call,
                 void (*dealt)(struct intake *intake, enum fault_reason reason));

/* Takes one PublishRequest or PublishStreamRequest (their fields are the same). dealt() is called
 * once for it, now or later; until then the call is held where needed and no other message may be
 * given. A message without events is dealt with at once, offering nothing. */
void intake_message(struct intake *intake, struct message *message);

/* Under load, small messages of one call share a chunk: its events, of one message after the other,
 * are offered by intake_offer_coalesced(). False: the message is not one to be joined, or there is
 * no room; nothing was taken, and intake_message() says what it is. There must be nothing to be
 * dealt with. */
MUST_CHECK bool intake_coalesce(struct intake *intake, struct message *message);
/* Offers what was joined; dealt() is called once for all of it, as for one message. */
void intake_offer_coalesced(struct intake *intake);

/* Where a channel blocks: the chunk falls to its fallback, and dealt() follows soon. Otherwise
 * nothing. */
void intake_give_up(struct intake *intake);

/* A chunk of a scanned message: keeps the message's memory where it can, and copies where the
 * events do not lie in one piece. FAULT_NONE, or MEMORY_BUDGET. */
MUST_CHECK enum fault_reason chunk_of_message(struct message *message, const struct framing_scan *scan,
                                              struct chunk **chunk_out, struct fault *fault);

/* The call has ended: leaves the producer. */
void intake_fini(struct intake *intake);

#endif
