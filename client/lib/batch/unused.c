/* unused.c - see unused.h. */
#include "client/lib/batch/unused.h"

#include <stdlib.h>

void unused_init(struct unused *unused)
{
    list_init(&unused->objects);
    atomic_init(&unused->count, 0);
}

void unused_fini(struct unused *unused)
{
    list_each(node, next, &unused->objects)
        free(node);
}

unsigned unused_trim(const struct unused *unused, struct list *more)
{
    const unsigned count = atomic_load_explicit(&unused->count, memory_order_relaxed);
    unsigned kept = 0;

    list_each(node, next, more) {
        if (count + kept < MAX_UNUSED) {
            kept++;
            continue;
        }
        list_remove(node);
        free(node);
    }
    return kept;
}

void unused_add(struct unused *unused, struct list *more, unsigned count)
{
    list_move_all(more, &unused->objects);
    atomic_fetch_add_explicit(&unused->count, count, memory_order_relaxed);
}

void *unused_reuse(struct unused *unused)
{
    struct list *node = list_last(&unused->objects);

    if (!node)
        return NULL;
    list_remove(node);
    atomic_fetch_sub_explicit(&unused->count, 1, memory_order_relaxed);
    return node;
}
