/* hub_internal.h - the hub as few files of this room see it; the others use hub_parts.h.
 *
 *   hub ──registry──▶ producer ──inlet──▶ binding ◀──────── subscription ◀──order, ids── hub
 *                        ▲                                       │
 *                     session ◀───────── activation ─────────────┘ */
#ifndef TRIBUTARY_HUB_HUB_INTERNAL_H
#define TRIBUTARY_HUB_HUB_INTERNAL_H

#include "base/ctx.h"
#include "base/map.h"
#include "base/peer_share.h"
#include "hub/due_queue.h"
#include "hub/hub.h"
#include "hub/walk_name.h"
#include "hub/ready.h"
#include "hub/registry.h"
#include "route/wildcard.h"

struct change_log;
struct drained_positions;
struct producer_sampler;

/* How far a drain is. Each phase is one step for each object. */
enum drain_phase {
    DRAIN_PRODUCERS,     /* their inlets are closed */
    DRAIN_SUBSCRIPTIONS, /* they drain, and their activations with them */
    DRAIN_SESSIONS,
    DRAIN_WAITING,  /* until the last subscription is gone */
    DRAIN_ABORTING, /* the sessions that are left */
    DRAIN_OVER
};

struct hub_drain {
    enum drain_phase phase;
    int64_t deadline_ns;
    struct slice slice;
    struct walk_name after;              /* the last producer or subscription */
    struct list sessions;                /* whose turn is to come */
    struct drained_positions *positions; /* once the inlets are closed; NULL: none */
};

struct hub {
    struct loop *loop;
    atomic_bool draining; /* written by the loop */

    struct registry registry;
    struct wildcard_set wildcards; /* of shared producers */
    struct slice report;           /* what its wildcards are still to hear; loop only */
    struct slice sweep;            /* wildcard_sweep.h; loop only */
    bool adding_to_sweep;          /* the caller runs the ready list */
    struct transients *transients;
    struct shedder *shedder;
    struct change_log *change_log;
    struct producer_sampler *producer_sampler;

    /* Loop only. */
    struct ready_list ready;
    struct due_queue due_queue;
    uint64_t random_state;
    struct ctx ctx;
    struct sorted subscriptions; /* by their ids, which is by their beginning */
    struct map ids;
    struct peer_counts peers;       /* subscriptions by their peers */
    struct peer_counts watch_peers; /* who reads changes (changes.h), by their peers */
    uint32_t watch_count;
    uint64_t filter_cost; /* of all subscriptions (filter_charge.h) */
    uint64_t kept_bytes;  /* by all subscriptions (kept_memory.h) */
    struct list sessions; /* until they are unregistered; those in drain.sessions are too */
    struct hub_drain drain;
    void (*emptied)(void *ctx);
    void *emptied_ctx;
};

#endif
