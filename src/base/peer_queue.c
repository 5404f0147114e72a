/* peer_queue.c - see peer_queue.h. */
#include "base/peer_queue.h"

static struct bytes key_of(const struct peer_key *peer)
{
    return (struct bytes){(const uint8_t *)peer, sizeof(*peer)};
}

static struct peer_entry *entry_of(struct list *link)
{
    return link ? container_of(link, struct peer_entry, link) : NULL;
}

void peer_queue_init(struct peer_queue *queue)
{
    list_init(&queue->heads);
    map_init(&queue->by_peer);
}

void peer_queue_fini(struct peer_queue *queue)
{
    CHECK(list_empty(&queue->heads));
    map_fini(&queue->by_peer);
}

void peer_entry_init(struct peer_entry *entry, struct peer_key peer)
{
    *entry = (struct peer_entry){.peer = peer};
    list_init(&entry->link);
    list_init(&entry->behind);
}

static void be_head(struct peer_queue *queue, struct peer_entry *entry)
{
    entry->is_head = true;
    entry->node.key = key_of(&entry->peer);
    entry->is_mapped =
        !map_find(&queue->by_peer, entry->node.key) && map_add(&queue->by_peer, &entry->node) == ERR_OK;
}

void peer_queue_add(struct peer_queue *queue, struct peer_entry *entry)
{
    struct map_node *node = map_find(&queue->by_peer, key_of(&entry->peer));

    CHECK(list_empty(&entry->link));
    if (node) {
        list_append(&container_of(node, struct peer_entry, node)->behind, &entry->link);
        return;
    }
    be_head(queue, entry);
    list_append(&queue->heads, &entry->link);
}

struct peer_entry *peer_queue_first(const struct peer_queue *queue)
{
    return entry_of(list_first(&queue->heads));
}

/* Takes a head out; the one behind it, if there is one, is the head then, behind this place of the
 * list. */
static void replace_head(struct peer_queue *queue, struct peer_entry *head, struct list *place)
{
    struct peer_entry *next = entry_of(list_first(&head->behind));

    if (head->is_mapped)
        map_remove(&queue->by_peer, &head->node);
    head->is_head = false;
    head->is_mapped = false;
    list_remove(&head->link);
    if (!next)
        return;
    list_remove(&next->link);
    list_move_all(&head->behind, &next->behind);
    be_head(queue, next);
    list_append(place, &next->link);
}

void peer_queue_serve(struct peer_queue *queue, struct peer_entry *first)
{
    CHECK(first->is_head);
    replace_head(queue, first, &queue->heads);
}

/* A ring has no beginning: what is appended to a node stands before it. */
void peer_queue_remove(struct peer_queue *queue, struct peer_entry *entry)
{
    if (entry->is_head)
        replace_head(queue, entry, entry->link.next);
    else
        list_remove(&entry->link);
}
