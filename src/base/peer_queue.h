/* peer_queue.h - a queue in which peers take turns. What one peer has waiting keeps its order, and
 * a peer that was served stands behind the others. So nobody waits for all that another peer has
 * queued, but for one of it at most. Each step costs the same however many wait.
 *
 * The first entry of each peer is a *head*, and stands in the list of heads. The others of that
 * peer stand behind it. Adding may need memory for the map of heads. Where there is none the entry
 * is a head of its own: it has one turn more than its peer should have.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_BASE_PEER_QUEUE_H
#define TRIBUTARY_BASE_PEER_QUEUE_H

#include <stdbool.h>

#include "base/list.h"
#include "base/map.h"
#include "base/peer.h"

struct peer_queue {
    struct list heads; /* struct peer_entry, by its link */
    struct map by_peer;
};

/* Embedded in what waits. */
struct peer_entry {
    struct list link;     /* in queue->heads, or in head->behind; in no list: it does not wait */
    struct list behind;   /* of a head */
    struct map_node node; /* of a head; its key is `peer` */
    struct peer_key peer; /* may change while it does not wait */
    bool is_head, is_mapped;
};

void peer_queue_init(struct peer_queue *queue);
void peer_queue_fini(struct peer_queue *queue); /* it must be empty */

void peer_entry_init(struct peer_entry *entry, struct peer_key peer);

static inline bool peer_queue_is_empty(const struct peer_queue *queue)
{
    return list_empty(&queue->heads);
}

static inline bool peer_entry_waits(const struct peer_entry *entry)
{
    return !list_empty(&entry->link);
}

/* The entry must not wait. */
void peer_queue_add(struct peer_queue *queue, struct peer_entry *entry);
/* Whose turn it is; NULL: nobody waits. */
struct peer_entry *peer_queue_first(const struct peer_queue *queue);
/* The turn of peer_queue_first() has come: it is taken out, and its peer stands behind the
 * others. */
void peer_queue_serve(struct peer_queue *queue, struct peer_entry *first);
/* It waits no more, and its peer keeps its place. Does nothing where it does not wait. */
void peer_queue_remove(struct peer_queue *queue, struct peer_entry *entry);

#endif
