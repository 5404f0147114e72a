/* activation_internal.h - activations as the files of this room see them.
 *
 * An activation lives while both its session and its subscription want it. The loop frees it. An
 * offer that runs on another thread holds the lock of its inlet. So the loop takes an activation
 * out of the session's table, then takes that lock, and only then frees it.
 *
 * Threads: the loop only, except what `struct activation` says. */
#ifndef TRIBUTARY_HUB_ACTIVATION_INTERNAL_H
#define TRIBUTARY_HUB_ACTIVATION_INTERNAL_H

#include "base/ctx.h"
#include "base/heap.h"
#include "loop/loop.h"
#include "route/data_path.h"

struct session;
struct start_point;

/* See the diagram in activation.c. */
enum activation_state {
    ACTIVATION_STARTING,
    ACTIVATION_ACTIVE,
    ACTIVATION_STOPPING,
    ACTIVATION_RETRYING,
    ACTIVATION_ENDED
};

struct activation {
    struct session *session;
    struct subscription *subscription;
    struct activation *next; /* in its slot of the session's table, under the session's lock */
    uint64_t number;         /* 0: not started; the loop sets it while it is in no table */
    _Atomic bool paused;     /* any thread */

    /* Loop only. */
    enum activation_state state;
    bool open;              /* inlet and route are there */
    uint8_t failures;       /* in a row */
    struct list in_session; /* in session->active or ->stopping */
    struct list in_subscription;
    struct ctx ctx;
    struct heap_node due; /* in hub->due */
    int64_t started_ns;

    struct inlet inlet;
    struct route route;
};

/* How an activation ends. */
struct ending {
    enum fault_reason reason; /* for stop() and the log; NONE: it ended by itself */
    uint32_t state, code;     /* for the consumer */
    const char *message;
    bool notify;  /* call stop() where it was not called yet */
    bool expired; /* activations that were stopped had their time and did not end */
};

/* Creates an activation without a number, and notifies nobody. NULL: out of memory. */
struct activation *activation_new(struct session *session, struct subscription *subscription,
                                  const struct filter_part *part, const struct start_point *start_point);

/* Starts all activations that bind_pair() created. */
void activations_begin(struct list *created);

/* Ends an activation and frees it. Its session and its subscription are updated, and may be gone
 * afterwards where nobody holds them. */
void activation_end(struct activation *activation, const struct ending *ending);

/* The producer says that the activation has ended. */
void activation_ended_by_producer(struct activation *activation, uint32_t code, const char *message);

void activations_due(struct timer *timer); /* of hub->due_timer */

#endif
