/* list.h - a ring of nodes embedded in what they link. The head is a node of its own. */
#ifndef TRIBUTARY_BASE_LIST_H
#define TRIBUTARY_BASE_LIST_H

#include <stdbool.h>

#include "base/base.h"

struct list {
    struct list *prev;
    struct list *next;
};

static inline void list_init(struct list *list)
{
    list->prev = list;
    list->next = list;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Last in the ring: before the head. */
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Takes the node out; it is a ring of its own again, so taking it out twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, or NULL. */
static inline struct list *list_first(const struct list *head)
{
    return list_empty(head) ? NULL : head->next;
}

/* `node` may be removed or freed by the body. */
#define list_each(node, safe, head)                                                                          \
    for (struct list *node = (head)->next, *safe = node->next; node != (head); node = safe, safe = node->next)

#endif
