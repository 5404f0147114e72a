/* intake.h - how published bytes enter: one scan, one chunk, one inlet. Publish and PublishStream
 * share it. For the files of this room.
 *
 * Threads: the call's wire thread. Where the producer must be made first, the intake goes to the
 * loop and comes back by itself. */
#ifndef TRIBUTARY_SERVER_RPC_INTAKE_H
#define TRIBUTARY_SERVER_RPC_INTAKE_H

#include "event/chunk.h"
#include "flow/put_waiter.h"
#include "route/offer.h"
#include "server/rpc/rpc.h"
#include "server/rpc/stored_pipeline.h"
#include "server/rpc/stored_sort.h"
#include "server/wire/call.h"

struct intake;

/* What the owner of an intake does. */
struct intake_port {
    /* The message, or all messages that were coalesced, are finished: FAULT_NONE, or the reason for
     * the refusal. `offer` or `fault` say the rest. May be called from within intake_offer() and
     * intake_offer_coalesced(). */
    void (*done)(struct intake *intake, enum fault_reason reason);
    /* The next batch with events of stored topics is confirmed, or refused: `fault`. Where the
     * batch is_offered, `offer` is that of its other events. May be called from within
     * intake_store(). */
    void (*stored)(struct intake *intake, const struct stored_batch *batch, enum fault_reason reason);
    /* After one or more stored(): the pipeline may have space again, or be empty. */
    void (*moved)(struct intake *intake);
    /* Of a session: offers intake->chunk, whose reference it takes over, instead of the inlet.
     * intake->offered() follows. NULL: it is offered to the inlet. */
    void (*offer)(struct intake *intake);
    /* What intake_sort() waited for is over: sort the message again; or, with a reason, refuse it:
     * `fault`. */
    void (*prepared)(struct intake *intake, enum fault_reason reason);
};

/* The loop makes the producer. Of its own, since meanwhile a chunk may be offered. */
struct intake_opening {
    struct task task;
    struct inlet *inlet; /* written by the loop, as is `fault`; NULL: refused */
    struct fault fault;
    bool is_pending;
    bool for_chunk, for_message; /* intake->chunk waits for it; prepared() follows */
};

/* The intake of one call. Embedded in the struct that the call owns. */
struct intake {
    struct rpc *rpc;
    struct call *call;
    const struct intake_port *port;
    struct inlet *inlet;              /* NULL until the first chunk came */
    struct chunk *chunk;              /* scanned, not yet offered */
    struct chunk *coalesced;          /* the events of several messages, not yet offered */
    struct offer offer;               /* of the last chunk that was accepted */
    struct fault fault;               /* why the last one was refused */
    struct source *origin;            /* of a session: its name; NULL: that of the inlet */
    struct stored_pipeline *pipeline; /* NULL until a message had events of stored topics */
    /* The offer of the chunk at hand is over. NULL: it does not belong to the pipeline. */
    void (*offered)(struct intake *intake, enum fault_reason reason);
    uint32_t unoffered; /* its events */
    bool is_preparing;  /* prepared() follows */
    uint32_t messages;  /* that the chunk at hand, or the coalesced one, consists of */
    bool offering;      /* the last chunk is offered or parked: done() follows */
    uint32_t name_size;
    uint8_t name[256]; /* of the producer; set by the first message with events */
    struct intake_opening opening;
    struct task task; /* the offer that was parked is over */
    struct put_waiter waiter;
};

void intake_init(struct intake *intake, struct rpc *rpc, struct call *call, const struct intake_port *port);

/* A message in one piece, and what its one scan found. */
struct scanned_message {
    struct message *message;
    struct framing_scan *scan; /* refers to the bytes of the message */
    enum fault_reason reason;  /* why the message must be refused; then intake->fault is the fault */
};

/* Scans one PublishRequest or PublishStreamRequest (their fields are the same), and checks all that
 * can be wrong with it. Once for each message. The scan is the wire thread's: it is valid until
 * that thread scans again, unless framing_move() takes it out. */
struct scanned_message intake_scan(struct intake *intake, struct message *message);

/* Offers the events of one message, or refuses it. done() is called once for it, now or later.
 * Until then no other message may be given; the intake holds the call where it must. A message
 * without events is done at once, and nothing is offered. Message and scan are not needed
 * afterwards. */
void intake_offer(struct intake *intake, const struct scanned_message *scanned);

/* Appends a small message to the coalesced chunk, for a thread under load.
 * intake_offer_coalesced() offers what was gathered. Call it only while no done() is due.
 *
 * False: the message cannot be coalesced, or does not fit. Nothing was changed; intake_offer()
 * will accept it or refuse it. */
MUST_CHECK bool intake_coalesce(struct intake *intake, const struct scanned_message *scanned);

/* Offers the coalesced chunk, which must not be empty. done() is called once for all of it, as for
 * one message. */
void intake_offer_coalesced(struct intake *intake);

/* Where a channel blocks, what it parked falls to its fallback, and done() follows soon. Otherwise
 * nothing happens. */
void intake_give_up(struct intake *intake);

/* ---- stored topics: intake_stored.c ---- */

/* Whether a message must be sorted before it is offered. Without stored topics none must. */
bool intake_may_store(const struct intake *intake, const struct scanned_message *scanned);

/* How the events of a message are stored. */
struct stored_plan {
    struct stored_sort sort;
    struct publisher_numbers numbers;
    enum publisher_turn turn; /* TURN_ALONE: the pipeline must be empty first */
    bool answers_early;
};

enum intake_kind {
    INTAKE_LIVE,   /* intake_offer() accepts it or refuses it, when the pipeline is empty */
    INTAKE_STORED, /* intake_store() or stored_sort_fini() must follow */
    INTAKE_WAITS   /* keep the message; prepared() follows */
};

/* Sorts a message. Where it must be refused, scanned->reason is set, and it is INTAKE_LIVE. */
MUST_CHECK enum intake_kind intake_sort(struct intake *intake, struct scanned_message *scanned,
                                        struct stored_plan *plan);

/* Gives a sorted message to the pipeline, which must accept it: stored() follows. The plan is
 * used up. MEMORY_BUDGET: nothing was begun; refuse the message. */
MUST_CHECK enum fault_reason intake_store(struct intake *intake, const struct scanned_message *scanned,
                                          struct stored_plan *plan);

/* For intake_stored.c: offers intake->chunk, with done(). */
void intake_offer_chunk(struct intake *intake);
/* For intake_stored.c. False: the loop makes the producer first, and prepared() follows. */
bool intake_find_inlet(struct intake *intake);

/* Makes a chunk of a message from the result of its scan, which must be of message_bytes(). It
 * keeps the message's memory where it can, and copies where the events are not contiguous.
 * FAULT_NONE, or MEMORY_BUDGET. */
MUST_CHECK enum fault_reason chunk_of_message(struct message *message, const struct framing_scan *scan,
                                              struct chunk **chunk_out, struct fault *fault);

/* The call has ended: leaves the producer. */
void intake_fini(struct intake *intake);

#endif
