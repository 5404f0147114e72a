/* reselection.h - another filter of a live subscription, before it counts.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_RESELECTION_H
#define TRIBUTARY_HUB_RESELECTION_H

#include <stdint.h>

#include "base/list.h"

struct filter;

struct reselection {
    const struct filter *filter, *before; /* `before`: the one that counts now */
    uint32_t generation;                  /* of the bindings that are made for it */
    struct list created;                  /* activations to begin with it, by their in_subscription */
};

#endif
