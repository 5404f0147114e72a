/* unused.h - memory of objects of one kind that have ended, for others that begin: malloc() costs
 * more, above all where one thread frees what another one allocates. Each object begins with a list
 * node, and was allocated alone. At most MAX_UNUSED are kept; the others are freed.
 *
 * Threads: the owner's lock, but for unused_trim(). */
#ifndef TRIBUTARY_CLIENT_BATCH_UNUSED_H
#define TRIBUTARY_CLIENT_BATCH_UNUSED_H

#include <stdatomic.h>

#include "base/list.h"

#define MAX_UNUSED 2048u

struct unused {
    struct list objects;
    _Atomic unsigned count;
};

void unused_init(struct unused *unused);
void unused_fini(struct unused *unused);

/* Frees those of `more` for which there is no space. Returns how many are left. Any thread. */
unsigned unused_trim(const struct unused *unused, struct list *more);
/* Adds those that are left. `more` is empty afterwards. */
void unused_add(struct unused *unused, struct list *more, unsigned count);
/* The one that was added last, which is still in a cache. NULL: there is none. */
void *unused_reuse(struct unused *unused);

#endif
