/* registry.h - producers by name.
 *
 * Threads: the loop only, except what `struct registry` says. */
#ifndef TRIBUTARY_HUB_REGISTRY_H
#define TRIBUTARY_HUB_REGISTRY_H

#include <pthread.h>
#include <stdbool.h>

#include "base/fault.h"
#include "base/map.h"
#include "base/peer_share.h"
#include "base/sorted.h"
#include "base/status.h"

struct loop;
struct producer;

struct registry {
    /* The loop changes the map under `lock` and may read it without. Other threads read it under
     * `lock`. */
    pthread_mutex_t lock;
    struct map producers;

    /* Loop only. */
    struct sorted by_name;    /* the same producers */
    size_t unshared;          /* of these, those that are not in the wildcard set */
    uint64_t bound;           /* the latest number of bind_subscriptions() */
    const struct loop *loop;  /* for its settings */
    struct peer_counts peers; /* names by the peer that each is charged to */
    uint64_t kept_bytes;      /* of all of them */
    bool history;             /* every inlet of a producer keeps one (route/history.h) */
    bool has_topics;          /* there is, or was, a stored topic: see match_entry_cost() */
};

void registry_init(struct registry *registry, const struct loop *loop);
void registry_fini(struct registry *registry); /* no producer may be left */

struct producer *registry_find(struct registry *registry, struct bytes name); /* NULL: nobody has the name */

/* The first producer whose name comes after `name` (empty: the first of all). NULL: there is none.
 * A walk over all producers in portions remembers the last name. */
struct producer *registry_after(const struct registry *registry, struct bytes name);
/* The one that follows; NULL: it is the last one. */
struct producer *registry_next(struct producer *producer);

/* Whether `peer` may have one more name. `holder` NULL: a new name. Otherwise the name that is
 * charged to this producer now; it needs no space where it is charged to the same peer already.
 *
 * FAULT_NONE: there is space. TOO_MANY_PRODUCERS, PEER_PRODUCERS, MEMORY_BUDGET: there is none. */
MUST_CHECK enum fault_reason registry_reserve(struct registry *registry, struct peer_key peer,
                                              const struct producer *holder, struct fault *fault);

/* Whether one more name fits, whoever is charged for it. FAULT_NONE, TOO_MANY_PRODUCERS,
 * MEMORY_BUDGET. */
MUST_CHECK enum fault_reason registry_reserve_name(struct registry *registry, struct fault *fault);

/* Whether `peer` may keep so many bytes more for its names: as labels and topics. All peers
 * together may keep an eighth of the budget (base/budget.h). `holder`: as above. What it keeps is
 * given up. FAULT_NONE, or MEMORY_BUDGET with a bound that names the peer, or all peers, what is
 * kept, and the share or limit. */
MUST_CHECK enum fault_reason registry_check_bytes(const struct registry *registry, struct peer_key peer,
                                                  const struct producer *holder, uint64_t bytes,
                                                  struct fault *fault);

/* Charges the producer's name to a peer, and so many bytes that it keeps, after registry_reserve():
 * before the name is added, and also while the producer waits for it. ERR_NO_MEMORY: it is charged
 * to nobody. */
MUST_CHECK enum err registry_charge(struct producer *producer, struct peer_key peer, uint64_t bytes);
/* The name is charged to this producer's peer no more: a newer producer took it over, or the
 * producer failed to get it. Does nothing where it is charged to nobody. registry_remove() does
 * this too. */
void registry_discharge(struct producer *producer);

/* Puts the producer into its map: from now on it is found. This cannot fail after
 * registry_reserve(), or when another name has just been taken out. */
MUST_CHECK enum err registry_add(struct producer *producer);

/* Takes it out of the map, where it is there, and discharges it. */
void registry_remove(struct producer *producer);
/* The same for a producer that is in the map, and a caller that holds the registry's lock. */
void registry_remove_locked(struct producer *producer);

/* From now on every producer that is added keeps a history. Those that are there get theirs one by
 * one (bind_walk.c). */
void registry_keep_history(struct registry *registry);
/* Whether a new inlet is to keep one. */
bool registry_keeps_history(const struct registry *registry);

#endif
