/* walk_name.h - the last key of a walk that goes on later.
 *
 * Threads: the caller's. */
#ifndef TRIBUTARY_HUB_WALK_NAME_H
#define TRIBUTARY_HUB_WALK_NAME_H

#include <string.h>

#include "base/base.h"

/* Names of producers and ids of subscriptions are not longer. */
#define MAX_WALK_NAME 256u

struct walk_name {
    size_t size;
    uint8_t data[MAX_WALK_NAME];
};

static inline void walk_name_set(struct walk_name *walk, struct bytes name)
{
    CHECK(name.size <= sizeof(walk->data));
    walk->size = name.size;
    if (name.size > 0)
        memcpy(walk->data, name.data, name.size);
}

static inline struct bytes walk_name_get(const struct walk_name *walk)
{
    return (struct bytes){walk->data, walk->size};
}

#endif
