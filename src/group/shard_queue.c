/* shard_queue.c - see shard_queue.h. */
#include "group/shard_queue.h"

void chain_append(struct window *window, struct slot_chain *chain, uint64_t position)
{
    struct slot *slot = window_slot(window, position);
    const uint32_t link = link_of(position);

    slot->next = 0;
    slot->prev = chain->tail;
    if (chain->tail)
        link_slot(window, chain->tail)->next = link;
    else
        chain->head = link;
    chain->tail = link;
}

void chain_remove(struct window *window, struct slot_chain *chain, uint64_t position)
{
    const struct slot *slot = window_slot(window, position);

    if (slot->prev)
        link_slot(window, slot->prev)->next = slot->next;
    else
        chain->head = slot->next;
    if (slot->next)
        link_slot(window, slot->next)->prev = slot->prev;
    else
        chain->tail = slot->prev;
}

/* ---- the heap: `next` is the sibling, `prev` the first child ---- */

static uint32_t meld(struct window *window, uint32_t a, uint32_t b)
{
    if (!a || !b)
        return a ? a : b;
    if (link_offset(window, b) < link_offset(window, a)) {
        const uint32_t other = a;

        a = b;
        b = other;
    }
    link_slot(window, b)->next = link_slot(window, a)->prev;
    link_slot(window, a)->prev = b;
    return a;
}

void queue_return(struct window *window, struct shard_queue *queue, uint64_t position)
{
    struct slot *slot = window_slot(window, position);

    slot->next = slot->prev = 0;
    queue->returned = meld(window, queue->returned, link_of(position));
}

/* Melds the children in pairs, and then all pairs from the last one on. */
static uint32_t meld_all(struct window *window, uint32_t child)
{
    uint32_t pairs = 0, root = 0;

    while (child) {
        struct slot *first = link_slot(window, child);
        const uint32_t second = first->next;
        uint32_t rest = 0, pair = 0;

        if (second) {
            rest = link_slot(window, second)->next;
            link_slot(window, second)->next = 0;
        }
        first->next = 0;
        pair = meld(window, child, second);
        link_slot(window, pair)->next = pairs;
        pairs = pair;
        child = rest;
    }
    while (pairs) {
        const uint32_t rest = link_slot(window, pairs)->next;

        link_slot(window, pairs)->next = 0;
        root = meld(window, root, pairs);
        pairs = rest;
    }
    return root;
}

void queue_remove_first(struct window *window, struct shard_queue *queue)
{
    if (queue->returned)
        queue->returned = meld_all(window, link_slot(window, queue->returned)->prev);
    else
        chain_remove(window, &queue->fresh, link_position(window, queue->fresh.head));
}
