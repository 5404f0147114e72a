/* shared_call.h - a shared call: what the consumers of a BY_REQUEST session share whose requests
 * are equal, byte by byte. The producer is started once for all of them. Those that have come
 * through other servers share it only with those that have come through the same ones: else a
 * circle of servers could close unseen, behind a call that is open already.
 *
 * Each consumer has an activation of its own, whose route comes from the inlet of the shared call:
 * a member. So a consumer that comes later joins live, and hears the present state. A consumer that
 * leaves takes its member out; the last one ends the call at once.
 *
 *   STARTING --start()--> ACTIVE --session closes--> STOPPING --the producer ends it--> ENDED
 *      |                   |                           |                                  ^
 *      `-------------------+---------------------------+---the last member leaves---------'
 *
 * STARTING and ACTIVE ones may be joined. Of one that is ENDED the members end, one after another.
 *
 * It is charged to the peer of its first member, and when that leaves, to that of another one. Each
 * subscription is charged for the memory as if it were the only member.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_SHARED_CALL_H
#define TRIBUTARY_HUB_SHARED_CALL_H

#include "base/map.h"
#include "flow/source_state.h"
#include "hub/activation_internal.h"

enum shared_call_state { SHARED_CALL_STARTING, SHARED_CALL_ACTIVE, SHARED_CALL_STOPPING, SHARED_CALL_ENDED };

struct fsm;

struct shared_call {
    struct session *session;        /* a reference */
    struct numbered_inlet numbered; /* offers use it: see struct session */

    struct ready ready;
    uint32_t refs;
    enum shared_call_state state;
    bool upstream_active; /* of an endpoint: its last state is ACTIVE */
    bool expired;         /* ENDED: it was stopped, and was still there at the deadline */
    bool stop_due;        /* stop() is to be called, with the next two */
    enum fault_reason stop_reason;
    int64_t stop_deadline_ns; /* 0: at once */
    struct shared_bytes *request;
    struct shared_bytes *via; /* what its members have come through; NULL: nothing */
    struct map_node
        by_request;      /* in session->shared_calls.by_request, while it may be joined; not with `via` */
    struct list link;    /* in session->shared_calls.all */
    struct list members; /* struct activation, by in_shared_call: they have heard the state */
    struct list due;     /* the same, who have to hear it, or to end */
    struct peer_count *charge; /* NULL: memory ran out */
};

static inline struct activation *shared_call_member(struct list *in_shared_call)
{
    return container_of(in_shared_call, struct activation, in_shared_call);
}

/* Whether the activation, or the call that it shares, was stopped and has not ended in time. */
static inline bool activation_is_stopping(const struct activation *activation)
{
    const struct shared_call *call = activation->shared_call;

    if (activation->is_member)
        return call && (call->state == SHARED_CALL_STOPPING || call->expired);
    return activation->state == ACTIVATION_STOPPING;
}

/* ---- shared_call.c ---- */

extern const struct fsm shared_call_machine;

void shared_call_release(struct shared_call *call); /* gives a reference back */
/* Nobody joins it any more. Before it moves to STOPPING. */
void shared_call_refuse(struct shared_call *call);
/* Nothing more comes, and nobody joins it any more. */
void shared_call_move_to_ended(struct shared_call *call);

/* Makes the activation a member of the shared call of its subscription's request, which is made
 * where there is none, and charges the subscription. *inlet_out has space for a route.
 *   ERR_FULL       the session, or the peer, has too many of them: it is a member of none
 *   ERR_NO_MEMORY  the same; memory, budget, or what the peer may keep is used up */
MUST_CHECK enum err shared_call_join(struct activation *activation, struct inlet **inlet_out);

/* The member has no route any more. The last one ends the call, for this reason. */
void shared_call_leave(struct activation *activation, enum fault_reason reason);

/* From a port call of the member: start(), for the first one. ERR_NO_MEMORY: nothing was called. */
MUST_CHECK enum err shared_call_start(struct activation *activation);

/* NULL: the session has none of this number, or it has ended. */
struct shared_call *shared_call_find(struct session *session, uint64_t number);

/* ---- shared_call_moves.c ---- */

extern const struct ready_kind shared_call_ready_kind;

/* The producer says how the call goes, and that it has ended. `message` is copied. `expired`: it
 * was aborted at the deadline of its stop. The caller runs the ready list. */
void shared_call_report(struct shared_call *call, const struct source_state *state);
void shared_call_end(struct shared_call *call, uint32_t code, const char *message, bool expired);

/* The session ends gently: all of its shared calls are stopped, until the deadline. */
void shared_calls_stop(struct session *session, enum fault_reason reason, int64_t deadline_ns);

#endif
