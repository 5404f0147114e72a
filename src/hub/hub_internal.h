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
#include "hub/ready.h"
#include "hub/registry.h"

struct hub {
    struct loop *loop;
    atomic_bool draining; /* written by the loop */

    struct registry registry;
    struct transients *transients;
    struct shedder *shedder;

    /* Loop only. */
    struct ready_list ready;
    struct due_queue due_queue;
    uint64_t random_state;
    struct ctx ctx;
    struct list subscriptions; /* in the order of their beginning, which is that of their ids */
    struct map ids;
    struct peer_counts peers; /* subscriptions by their peers */
    struct list sessions;     /* until they are unregistered */
    void (*emptied)(void *ctx);
    void *emptied_ctx;
};

#endif
