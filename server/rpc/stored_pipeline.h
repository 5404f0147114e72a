/* stored_pipeline.h - the batches of one call that are on their way into the store, in the call's
 * order. Many may be: what is answered stays in order all the same. For the files of this room.
 *
 *   call --stored_pipeline_add()--> gate --> store --done()--> tails --> delivered --> confirmed
 *
 * A call that is lost has its batches stored and delivered all the same, but for one that still
 * waits for the store to have space.
 *
 * Threads: the call's wire thread, except what says otherwise. */
#ifndef TRIBUTARY_SERVER_RPC_STORED_PIPELINE_H
#define TRIBUTARY_SERVER_RPC_STORED_PIPELINE_H

#include "server/rpc/publisher_numbers.h"
#include "server/rpc/stored_batch.h"
#include "server/rpc/stored_gate.h"
#include "server/rpc/stored_ranges.h"
#include "server/wire/call.h"

/* What one call may have on its way; one batch always may. */
#define MAX_PIPELINE_BATCHES 256u
#define MAX_PIPELINE_BYTES ((uint64_t)4 << 20)

/* What the owner of the pipeline does. `ctx` is the pipeline's. */
struct stored_pipeline_port {
    /* The batch was stored, and has events of no stored topic, which are to be offered now. The
     * owner takes batch->live. stored_pipeline_offered() follows, now or later. */
    void (*offer)(void *ctx, struct stored_batch *batch);
    /* The next batch, in their order, is on the disk, or the store has accepted it and that is
     * enough (CONFIRM_RECEIVED), or it was refused: `reason` and pipeline->fault. */
    void (*confirm)(void *ctx, const struct stored_batch *batch, enum fault_reason reason);
    /* After one or more confirm() or offer(): the pipeline may accept again, or be empty. */
    void (*moved)(void *ctx);
};

struct stored_pipeline {
    struct call *call;
    struct stored_gate *gate;
    const struct stored_pipeline_port *port;
    void *ctx;
    struct list batches; /* struct stored_batch, in the call's order */
    uint32_t count, unconfirmed;
    uint64_t bytes;
    bool is_waiting;  /* the last batch waits at the gate */
    bool is_alone;    /* the batch that is there must be alone */
    bool is_offering; /* the events of the first one that are not stored */
    bool is_advancing, holds_call;
    struct publisher_order order;
    struct fault fault;          /* of the batch that is being confirmed */
    struct stored_ranges ranges; /* since they were sent */
    uint64_t duplicates;         /* of the whole call */
    struct stored_wait wait;
    enum err passed; /* written under the gate's lock before passed_task is posted */
    struct task passed_task;
    struct task deliver_task;    /* delivers more of a tail that had much */
    struct live_topic *delivers; /* a reference; NULL: nothing is delivered so */
};

/* NULL: out of memory. */
struct stored_pipeline *stored_pipeline_new(struct call *call, struct stored_gate *gate,
                                            const struct stored_pipeline_port *port, void *ctx);
/* It is empty. NULL is allowed. */
void stored_pipeline_free(struct stored_pipeline *pipeline);

/* Of NULL: nothing is in it. */
static inline bool stored_pipeline_is_empty(const struct stored_pipeline *pipeline)
{
    return !pipeline || pipeline->count == 0;
}
static inline uint32_t stored_pipeline_unconfirmed(const struct stored_pipeline *pipeline)
{
    return pipeline ? pipeline->unconfirmed : 0;
}

/* Whether it may get one more batch. NULL is allowed: it may. */
bool stored_pipeline_accepts(const struct stored_pipeline *pipeline);
/* Whether it may get this one, with regard to its numbers. */
MUST_CHECK enum publisher_turn stored_pipeline_turn(struct stored_pipeline *pipeline,
                                                    const struct publisher_numbers *numbers,
                                                    struct fault *fault);

/* Takes over a batch, for which stored_pipeline_accepts() was true and the turn not
 * TURN_REFUSED; with TURN_ALONE the pipeline must be empty. Its port may be called from within. */
void stored_pipeline_add(struct stored_pipeline *pipeline, struct stored_batch *batch,
                         enum publisher_turn turn);
/* port->offer() is over. False: nothing was accepted, because the hub drains or the name was taken.
 * What is stored stays stored, and the batch is confirmed. Its port may be called from within. */
void stored_pipeline_offered(struct stored_pipeline *pipeline, bool is_offered);
/* Gives up a batch that waits at the gate: it is confirmed as refused, with STORE_LATE. NULL is
 * allowed. */
void stored_pipeline_give_up(struct stored_pipeline *pipeline);

#endif
