/* hub_internal.h - the hub and its producers as the files of this room see them.
 *
 *   hub ──names──▶ producer ──inlet──▶ binding ◀──────── subscription ◀──order, ids── hub
 *                     ▲                                        │
 *                  session ◀───────── activation ──────────────┘
 *
 * A producer is in the map of names. A transient one stays there until it is forgotten, which needs
 * that no call is open on it. A session stays there until it ends, or gives its name up to another
 * session. So a caller with an open call may use the producer without the lock on the names. */
#ifndef TRIBUTARY_HUB_HUB_INTERNAL_H
#define TRIBUTARY_HUB_HUB_INTERNAL_H

#include "base/clock.h"
#include "base/ctx.h"
#include "base/heap.h"
#include "base/map.h"
#include "hub/hub.h"
#include "route/data_path.h"

#define PEER_CAPACITY 96u /* with the closing NUL; a longer address is truncated */

struct session;

struct hub {
    struct loop *loop;
    struct hub_limits limits;
    atomic_bool draining; /* written by the loop */

    /* The loop changes the map under `names` and may read it without. Other threads read it under
     * `names`. */
    pthread_mutex_t names;
    struct map producers;

    /* Any thread, under `names`. */
    struct list newly_idle; /* producers without a call that the loop does not watch yet */
    bool task_posted;

    /* Loop only. */
    struct task task; /* takes over `newly_idle` */
    bool freed;       /* hub_free() found the task posted: the task frees the hub */
    struct heap idle; /* producers by the earliest moment at which they may be forgotten */
    struct timer forget;
    struct producer **by_name; /* space for every producer; they are in order where `sorted` */
    size_t by_name_capacity;
    bool sorted;
    bool history;  /* shared producers keep one */
    uint64_t walk; /* the number of the latest walk that marks the producers it saw */
    struct ctx ctx;
    struct list subscriptions; /* in the order of their beginning, which is that of their ids */
    struct map ids;
    struct list sessions; /* until they are unregistered */
    struct heap due;      /* activations that stop, or wait to be started again, by their moment */
    struct timer due_timer;
    uint64_t random_state;
    void (*emptied)(void *ctx);
    void *emptied_ctx;
};

struct producer {
    struct hub *hub;
    struct session *session; /* NULL: transient */
    struct map_node name;    /* the loop's, under the hub's `names` */
    struct inlet inlet;      /* of a session in mode PER_CONSUMER: never open */

    /* Any thread, under the hub's `names`. */
    uint32_t open_calls;
    bool watched;           /* in hub->idle or hub->newly_idle */
    bool removed;           /* no longer in the map: the last call frees it */
    int64_t idle_since_ns;  /* when the last call ended */
    struct list newly_idle; /* in hub->newly_idle */
    char peer[PEER_CAPACITY];

    /* Loop only. */
    struct heap_node idle;
    bool named;    /* it is in the map */
    uint64_t walk; /* the last walk that saw it */
};

static inline int64_t from_now(int64_t wait_ns)
{
    int64_t now_ns = clock_mono_ns();

    return wait_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + wait_ns;
}

/* ---- hub_life.c ---- */

/* From now on every shared producer keeps a history. */
void hub_keep_history(struct hub *hub);

/* A subscription was freed. The hub may be freed by this, so it must be the caller's last line. */
void hub_subscription_gone(struct hub *hub);

#endif
