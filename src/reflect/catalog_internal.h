/* catalog_internal.h - the catalog as the files see it that make it: catalog_entries.c has the
 * entries, catalog_lookup.c the lookups. The loop. */
#ifndef TRIBUTARY_REFLECT_CATALOG_INTERNAL_H
#define TRIBUTARY_REFLECT_CATALOG_INTERNAL_H

#include "reflect/catalog.h"

struct catalog_service {
    struct map_node node; /* by its name, "package.Service" */
    struct list in_order;
    struct list offers; /* struct catalog_offer */
    char name[];
};

/* What the waits are for is over: their lookups go on, in a later turn. */
void catalog_wake(struct catalog *catalog, struct list *waits);
bool catalog_step(struct slice *slice);

#endif
