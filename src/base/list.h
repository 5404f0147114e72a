/* list.h - a doubly linked ring. Nodes are embedded in the objects that they link.
 *
 * A list is a head: a node that is embedded in no element. A node that is in no list is a ring of
 * its own (list_init()).
 *
 * Threads: one, or the caller's lock. */
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

/* Makes `node` the last of the list. The node must be in no list. */
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Takes the node out of its list. It is a ring of its own afterwards, so a second call does
 * nothing. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Makes all nodes of one list the last ones of another, in their order. */
static inline void list_move_all(struct list *from, struct list *to)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* The first node, and the last one; NULL: the list is empty. */
static inline struct list *list_first(const struct list *head)
{
    return list_empty(head) ? NULL : head->next;
}
static inline struct list *list_last(const struct list *head)
{
    return list_empty(head) ? NULL : head->prev;
}

/* Runs the body for each node. The body may remove or free `node`, but not the node after it. */
#define list_each(node, safe, head)                                                                          \
    for (struct list *node = (head)->next, *safe = node->next; node != (head); node = safe, safe = node->next)

#endif
