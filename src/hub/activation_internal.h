/* activation_internal.h - activations as the files of this room see them.
 *
 * An activation is created with a reference, which it gives up when it ends. The ready list may
 * hold it a while longer. An offer that runs on another thread holds the lock of its inlet. So the
 * loop takes an activation out of the session's table, then takes that lock, and only then frees
 * what the offer uses.
 *
 * Threads: the loop only, except what `struct activation` says. */
#ifndef TRIBUTARY_HUB_ACTIVATION_INTERNAL_H
#define TRIBUTARY_HUB_ACTIVATION_INTERNAL_H

#include "base/ctx.h"
#include "base/heap.h"
#include "hub/ending.h"
#include "flow/producer_state.h"
#include "hub/numbered_inlet.h"
#include "hub/ready.h"
#include "hub/session_port.h"

struct session;
struct shared_call;
struct start_point;
struct subscription;

/* See the diagram in activation.c. */
enum activation_state {
    ACTIVATION_STARTING,
    ACTIVATION_ACTIVE,
    ACTIVATION_STOPPING,
    ACTIVATION_RETRYING,
    ACTIVATION_ENDED
};

struct activation {
    struct session *session;           /* a reference */
    struct subscription *subscription; /* NULL: it has ended */
    /* Its own way; not used where it is part of a shared call. */
    struct numbered_inlet own;
    _Atomic bool paused; /* any thread */

    /* Loop only. */
    struct ready ready;
    uint32_t refs;
    enum activation_state state;
    bool open;              /* inlet and route are there */
    bool ends;              /* `ending` is set: it ends when it is its turn */
    bool stop_due;          /* it has ended, and stop() is to be called */
    bool upstream_active;   /* of an endpoint: its last state is ACTIVE */
    uint8_t failures;       /* in a row */
    struct list in_session; /* in session->activations */
    struct list in_subscription;
    struct ctx ctx;
    struct heap_node due; /* in the hub's due_queue: it stops or waits for its retry */
    int64_t started_ns;
    struct ending ending;

    /* BY_REQUEST only. */
    bool is_member;
    struct shared_call *shared_call; /* NULL: there were too many of them */
    struct list in_shared_call;
    uint64_t kept_bytes; /* that its subscription is charged with */

    struct route route; /* from its own inlet, or from that of the shared call */
};

/* Creates an activation without a number, and notifies nobody. `filter` is the subscription's, or
 * its next one. NULL: out of memory. */
struct activation *activation_new(struct session *session, struct subscription *subscription,
                                  const struct filter *filter, const struct filter_part *part,
                                  const struct start_point *start_point);

/* Ends and frees activations that were only created: those of a list of their in_subscription. */
void activations_discard(struct list *created, uint32_t state);

/* Makes all activations of a list of their in_subscription begin: start() follows. */
void activations_begin(struct list *created);

/* Asks for the end of an activation. Its route is taken out now; the rest follows when it is its
 * turn: its session and its subscription are then on the ready list. The first ending counts. */
void activation_request_end(struct activation *activation, const struct ending *ending);

/* Its moment in the hub's due_queue has come. */
void activation_due(struct heap_node *node);

/* The producer says that the activation has ended. `message` is valid during the call. */
void activation_ended_by_producer(struct activation *activation, uint32_t code, const char *message,
                                  enum session_end_rule rule);

/* The upstream call of a started activation has this state now: CONNECTING or ACTIVE. */
void activation_reported(struct activation *activation, enum producer_state state);

#endif
