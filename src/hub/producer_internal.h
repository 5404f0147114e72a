/* producer_internal.h - producers as the files of this room see them.
 *
 * A producer is a struct of its kind, with this struct in it and a table of what its kind does. To
 * add a kind: write one file with such a table. Where a producer of this kind begins, call
 * registry_reserve(), producer_init(), registry_charge(), bind_subscriptions() and registry_add().
 * tests/seam/test_producer_kind.c adds one.
 *
 * A producer is in the map of names. A transient one stays there until it is removed, or is
 * forgotten, which needs that no call is open on it; it is freed when its last call has left. A
 * session stays there until it ends, is removed, or gives its name up to another session; it has
 * references of its own. So a caller with an open call may use the producer without the lock on the
 * names.
 *
 * Threads: the loop only, except what the structs say. */
#ifndef TRIBUTARY_HUB_PRODUCER_INTERNAL_H
#define TRIBUTARY_HUB_PRODUCER_INTERNAL_H

#include "base/fault.h"
#include "base/map.h"
#include "base/sorted.h"
#include "base/status.h"
#include "event/filter.h"
#include "hub/bindings_end.h"
#include "hub/producer_noted.h"
#include "route/data_path.h"

#define PEER_CAPACITY 96u /* with the closing NUL; a longer address is truncated */

struct hub;
struct inlet_start;
struct peer_count;
struct producer;
struct producer_view;
struct registry;
struct removal;
struct reselection;
struct serve_entry;
struct start_point;
struct subscription;

/* What becomes of a producer's name when a session of that name registers. */
enum name_rule {
    NAME_YIELDED,     /* the producer is removed at once: remove() with REPLACED */
    NAME_HANDED_OVER, /* the producer is a session: see handover.c */
    NAME_KEPT         /* the session is refused with NAME_TAKEN */
};

/* What the producers of one kind do. No function is NULL. */
struct producer_kind {
    const char *name; /* as logs show it */
    enum name_rule name_rule;
    const char *taken; /* what a transient producer of this name hears; transient: NULL */
    bool stays;        /* hub_remove() refuses to remove it */
    bool wildcards;    /* its inlet is in the hub's wildcard set; bind() and reselect() are for others */

    /* Whether it may get new consumers now. */
    bool (*joinable)(const struct producer *producer);

    /* Binds the producer and a subscription that wants `part` of it. An activation is only created:
     * it is appended to `created`. `start_point` NULL: live.
     *   ERR_NO_MEMORY  nothing has changed */
    enum err (*bind)(struct producer *producer, struct subscription *subscription,
                     const struct filter_part *part, const struct start_point *start_point,
                     struct list *created);

    /* A live subscription gets another filter, which wants `part` of this producer. Makes what is
     * to bind the two then, unless that is there already: a spare binding (binding.h), or an
     * activation, which is appended to reselection->created.
     *   ERR_NO_MEMORY  nothing was made */
    enum err (*reselect)(struct producer *producer, struct subscription *subscription,
                         const struct filter_part *part, struct reselection *reselection);

    /* Takes it out of the map and ends it: at once, or where it can end gently within `drain_ns`.
     * `reason` is REMOVED or REPLACED. */
    void (*remove)(struct producer *producer, enum fault_reason reason, int64_t drain_ns);

    /* Fills in what only this kind has. The rest of the view is there, but for `state`. */
    void (*query)(struct producer *producer, struct producer_view *view);

    /* Numbers as in enum producer_state. Called after query(). */
    unsigned (*state)(const struct producer *producer, const struct producer_view *view);

    /* The hub ends and the producer is still in the map: takes it out and frees it. No call may be
     * open on it. */
    void (*free)(struct producer *producer);
};

struct producer {
    const struct producer_kind *kind;
    struct hub *hub;
    struct registry *registry;
    const struct pair *labels; /* the kind's */
    size_t label_count;
    const struct serve_entry *serve; /* what it serves to callers of --fan-in; the kind's */
    size_t serve_count;
    bool serves_only;           /* it publishes nothing: it is bound to such calls only */
    struct map_node name;       /* the loop's, under the registry's lock */
    struct sorted_node by_name; /* loop only, like `name` */
    struct inlet inlet;         /* what all consumers share; of a kind that has no such thing never open */

    /* Any thread, under the registry's lock. */
    char peer[PEER_CAPACITY];

    /* Loop only. */
    bool named;                  /* it is in the map */
    struct peer_count *charge;   /* of the peer that the name is charged to; NULL: to nobody */
    uint64_t charged_bytes;      /* for labels and topics */
    uint64_t bound;              /* when it was bound: bind_subscriptions() numbers them */
    struct list readers;         /* reader.h; of kinds that have them */
    struct bind_rest *bind_rest; /* subscriptions that are still to be bound; NULL: none */
    struct bindings_end bindings_end;
    struct producer_noted noted;
    struct removal *removal; /* who removes it wants to know what becomes of its calls; NULL: nobody */
};

/* A producer whose inlet begins at `start` (route/inlet.h), and that is not in the map yet.
 * start->name must have passed name_check(). `peer` is copied and may be NULL.
 *   ERR_NO_MEMORY  there is nothing to end */
MUST_CHECK enum err producer_init(struct producer *producer, const struct producer_kind *kind,
                                  struct hub *hub, struct registry *registry, const struct inlet_start *start,
                                  const char *peer);
void producer_fini(struct producer *producer); /* it must be out of the map */

/* What a filter leaves to ask of this producer's events. */
struct filter_part producer_part(const struct producer *producer, const struct filter *filter);

/* Copies the address of a peer, truncated to fit. `from` NULL: empty. */
void peer_copy(char peer[PEER_CAPACITY], const char *from);

#endif
