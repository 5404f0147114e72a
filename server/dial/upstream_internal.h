/* upstream_internal.h - an upstream call as the files see that make it: upstream_loop.c has what
 * the loop and others do, the others what the call's thread does. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_INTERNAL_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_INTERNAL_H

#include <stdatomic.h>
#include <stdlib.h>

#include "base/shared_bytes.h"
#include "event/chunk.h"
#include "flow/put_waiter.h"
#include "grpc/client_call.h"
#include "server/dial/served_call.h"
#include "server/dial/upstream.h"
#include "server/dial/upstream_cost.h"

enum flag { FLAG_BEGIN = 1, FLAG_STOP = 2, FLAG_CANCEL = 4, FLAG_PAUSE = 8 };

struct upstream {
    /* Constant. */
    const struct upstream_plan *plan;
    const struct upstream_port *port;
    void *ctx;
    struct session *session;
    uint64_t activation;
    bool is_shared;
    struct shared_bytes *request;
    char subscription_id[32];
    int64_t deadline_ns;
    struct peer_key payer;
    struct cascade *cascade; /* NULL: the session gets its messages */
    /* With which it is opened; NULL: the plan's. Its first `plan_metadata` pairs are the plan's. */
    grpc_metadata *metadata;
    size_t metadata_count, plan_metadata;

    /* Any thread. */
    _Atomic uint32_t refs;
    _Atomic uint32_t flags;
    _Atomic bool posted; /* `flags_task` is posted and has not begun */
    struct task flags_task;

    /* The loop's until FLAG_STOP is set, then constant. */
    enum fault_reason stop_reason;
    int64_t stop_deadline_ns;

    /* Loop only. */
    struct upstream_places places;

    /* Wire thread only, until `ended_task` is posted. */
    struct client_call call;
    struct connection *connection;
    struct connection_call in_connection;
    size_t next_request;
    bool begun, accepted, half_closed, stopping, stop_sent, got_message, offering, over;
    int64_t waits_since_ns; /* for the upstream: to accept, or for its next message */
    int64_t sends_since_ns; /* a message of a client's call; while call.base.sending */
    unsigned in_row;        /* messages since others had their turn */
    int64_t in_row_ns;      /* when there were too many */
    struct post_poll_hook read_hook, offer_hook;
    /* Received and not yet offered, in this order (upstream_offer.c): small messages of this turn,
     * and one that came while others were being offered. */
    struct chunk *coalesced, *next;
    struct cq_timer timer;
    struct put_waiter waiter;
    struct inflate_work inflating;
    grpc_byte_buffer *deflated;         /* a message that is to be inflated; NULL: none is */
    struct peer_charge deflated_charge; /* nothing: it does not wait */
    struct task unblocked_task, accepted_task, ended_task;
    struct upstream_end end;
    struct upstream_cost cost; /* the wire thread's and the loop's by turns, like `end` */

    enum fault_reason refused; /* why a message of it was refused; NONE: none was */

    /* Where it answers a call of a client (upstream_served.c); else served.call is NULL. */
    struct served_link served;
    struct chunk *held; /* its message waits: for the end of a pause, or of the call */
};

static inline struct cq_thread *cq_of(const struct upstream *upstream)
{
    return upstream->plan->thread->cq;
}

static inline bool has_flag(const struct upstream *upstream, enum flag flag)
{
    return (atomic_load(&upstream->flags) & flag) != 0;
}

/* ---- upstream_metadata.c ---- */

/* Loop. False: out of memory. `via` has marks, one behind the other (grpc/own_mark.h). */
MUST_CHECK bool upstream_metadata_init(struct upstream *upstream, struct bytes via);
/* It is opened, or never will be. Any thread; may be repeated. */
void upstream_metadata_fini(struct upstream *upstream);

/* Whether it answers a call of a client (upstream_served.h). */
static inline bool is_served(const struct upstream *upstream)
{
    return upstream->served.call;
}

static inline struct upstream *upstream_retain(struct upstream *upstream)
{
    atomic_fetch_add_explicit(&upstream->refs, 1, memory_order_relaxed);
    return upstream;
}

static inline void upstream_release(struct upstream *upstream)
{
    if (!upstream || atomic_fetch_sub_explicit(&upstream->refs, 1, memory_order_acq_rel) != 1)
        return;
    shared_bytes_release(upstream->request);
    upstream_metadata_fini(upstream);
    served_link_fini(&upstream->served);
    chunk_release(upstream->held);
    chunk_release(upstream->coalesced);
    chunk_release(upstream->next);
    free(upstream);
}

/* Any thread. The call's thread looks at the flags, and at what is to be sent. */
void upstream_post_flags(struct upstream *upstream);

/* ---- on the call's thread ---- */

/* Sends what is next: a request, `stop`, or the half-close. */
void upstream_send_next(struct upstream *upstream);

/* Sets the timer for what the upstream has to do next. */
void upstream_set_timer(struct upstream *upstream);
void upstream_timer_init(struct upstream *upstream);

/* Sets what the call's thread runs. */
void upstream_call_init(struct upstream *upstream);

#endif
