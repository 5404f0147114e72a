/* hub_internal.h - what the files of this room share: who holds what, under which lock.
 *
 *   hub ──names──▶ producer ──inlet──▶ route ◀──routes── subscription ◀──order, ids── hub
 *                     ▲                                        │
 *                  session ◀───────── activation ──────────────┘
 *
 * A producer stands in the map of names: a transient one until it is forgotten, which needs that no
 * call is open on it; a session's until it ends, or gives its name up to another one. So whoever
 * has a call counted may use the producer without a lock on the names. */
#ifndef TRIBUTARY_HUB_HUB_INTERNAL_H
#define TRIBUTARY_HUB_HUB_INTERNAL_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/map.h"
#include "hub/hub.h"
#include "hub/inlet.h"

#define PEER_CAPACITY 96u /* with the closing NUL; a longer address is cut */

struct hub {
    struct loop *loop;
    struct hub_limits limits;
    atomic_bool draining; /* written by the loop */

    /* The loop changes the map under `names` and may walk it without; others look under `names`. */
    pthread_mutex_t names;
    struct map producers;

    /* Any thread, under `names`. */
    struct list left; /* producers without a call that the loop does not watch yet */
    bool task_posted;

    /* Loop only. */
    struct task task; /* takes over `left` */
    bool freed;       /* hub_free() found the task posted: the task frees the rest */
    struct heap idle; /* producers to look at, by when the earliest moment to forget them comes */
    struct timer forget;
    struct producer **by_name; /* room for every producer; in order where `sorted` */
    size_t by_name_capacity;
    bool sorted;
    bool history;   /* a subscription asked for it */
    uint64_t stamp; /* the latest walk that marks what it saw */
    struct ctx ctx;
    struct list subscriptions; /* in the order of their beginning, which is that of their ids */
    struct map ids;
    struct list sessions; /* until they are unregistered */
    struct heap due;      /* activations that stop or wait to be started again, by when that is over */
    struct timer due_timer;
    uint64_t dice;
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
    bool watched;     /* in hub->idle or hub->left */
    bool removed;     /* no longer in the map: the last call frees it */
    int64_t left_ns;  /* when the last call ended */
    struct list left; /* in hub->left */
    char peer[PEER_CAPACITY];

    /* Loop only. */
    struct heap_node idle;
    bool named;     /* it is in the map */
    uint64_t stamp; /* the last walk that saw it */
};

/* The loop only. */
struct subscription {
    struct hub *hub;
    struct ctx ctx;
    struct list link;   /* in hub->subscriptions */
    struct map_node id; /* in hub->ids */
    struct filter *filter;
    struct chan *chan;
    struct chan_limits limits;
    const struct subscription_port *port;
    void *port_ctx;
    struct list routes; /* to shared producers */
    uint32_t route_count;
    struct list activations;
    uint32_t activation_count;
    uint32_t expired_activations; /* did not stop in time */
    bool ends_with_activations;
    bool begun;    /* an activation was there under the present filter */
    uint32_t held; /* above 0: whoever holds it calls subscription_update() later */
    uint32_t revision;
    struct timer deadline;
    bool draining;             /* the port was told */
    enum closing closing;      /* why; 0: not so far */
    const struct fault *fault; /* what a hard end that comes now says, where more than its reason is known */
    int64_t started_wall_ns;
    char id_text[32];
    const char *peer; /* in `texts`, as the following */
    struct bytes request, name;
    uint8_t texts[];
};

static inline int64_t from_now(int64_t wait_ns)
{
    int64_t now_ns = clock_mono_ns();

    return wait_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + wait_ns;
}

/* ---- resume.c: an earlier stream's positions, by name ---- */

struct resume;

/* NULL: out of memory. Points into the wish. `whole`: every source that had published is in it. */
struct resume *resume_new(const struct resume_point *points, size_t count, bool whole);
void resume_free(struct resume *resume); /* NULL allowed */
OWNED_BY(resume_free, struct resume);
/* Tells what this subscription missed of a source that it joins now, whose last event so far was
 * `last_sequence`. Under the inlet's lock. */
void resume_bound(const struct resume *resume, const struct route *route, struct source *source,
                  uint64_t last_sequence);
/* Tells of sources that the earlier stream knew, this one would match, and the hub no longer knows.
 *   ERR_NO_MEMORY  not all of them were told */
MUST_CHECK enum err resume_gone(const struct resume *resume, const struct subscription *subscription);

/* ---- bind.c: who wants whom ---- */

/* Puts the route among those of its inlet, after inlet_reserve(): from now on it gets what is
 * published. What `since` asks of the time before comes first. NULL: nothing is asked. */
void route_enter(struct route *route, const struct since *since);

/* What the filter leaves to ask of this producer's events. */
struct filter_part producer_part(const struct producer *producer, const struct filter *filter);
bool producer_joinable(const struct producer *producer); /* it may get new consumers */

/* Joins a producer and a subscription that wants it. An activation is only made: it is appended to
 * `made`, and activations_begin() starts it.
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err bind_pair(struct producer *producer, struct subscription *subscription,
                              const struct since *since, struct list *made);

/* Joins a new producer and every subscription that wants it.
 *   ERR_NO_MEMORY  some were joined: the caller takes them out again */
MUST_CHECK enum err bind_subscriptions(struct producer *producer, struct list *made);
/* Joins a new subscription and every producer that it wants. ERR_NO_MEMORY: some were joined. */
MUST_CHECK enum err bind_producers(struct subscription *subscription, const struct since *since,
                                   struct list *made);

/* A route of a shared producer: made, with room in the route, and not in there yet (NULL: out of
 * memory); then among its subscription's. */
struct route *route_new(struct producer *producer, struct subscription *subscription,
                        const struct filter_part *part);
void route_attach(struct route *route);
void route_close(struct route *route, uint32_t state, uint32_t code, const char *message); /* and frees it */
void routes_close(struct producer *producer, uint32_t state, uint32_t code, const char *message);
/* its feeds stay with the channel, in the state they are in */
void routes_detach(struct subscription *subscription);

/* ---- subscription.c ---- */

/* NULL: *fault says SUBSCRIPTION_NOT_FOUND. */
struct subscription *subscription_find(struct hub *hub, struct bytes id, struct fault *fault);
/* An activation has ended: where it was the last one, that may be what the channel's drain, or the
 * subscription's end, waits for. The subscription may be gone afterwards. */
void subscription_update(struct subscription *subscription);

/* ---- registry.c ---- */

/* A new producer with an open inlet, not yet in the map. ERR_NO_MEMORY: nothing is there to be
 * ended. */
MUST_CHECK enum err producer_init(struct producer *producer, struct hub *hub, struct bytes name,
                                  const char *peer);
void producer_fini(struct producer *producer);
struct producer *producer_find(struct hub *hub, struct bytes name); /* loop; NULL: nobody has it */

/* FAULT_NONE: there is room for one more name. */
MUST_CHECK enum fault_reason registry_reserve(struct hub *hub, struct fault *fault);
/* From now on it is found. After registry_reserve(), or when another name has just gone: then it
 * cannot fail. */
MUST_CHECK enum err producer_publish(struct producer *producer, uint32_t open_calls);
void producer_unpublish(struct producer *producer);        /* nothing where it has no name (any more) */
void producer_unpublish_locked(struct producer *producer); /* the same under the hub's `names`; it has one */

void history_begin(struct hub *hub); /* every shared producer keeps one from now on */

/* a subscription was freed; the hub may be freed by this: last line of the caller */
void hub_subscription_gone(struct hub *hub);

void peer_copy(char peer[PEER_CAPACITY], const char *from); /* NULL is empty */

/* ---- transient.c ---- */

void transients_init(struct hub *hub);
/* its calls find it removed, and must find their producer again */
void transient_remove(struct producer *producer, const char *reason);
/* at the hub's end: no call is open on it */
void transient_forget(struct producer *producer);

#endif
