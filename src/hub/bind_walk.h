/* bind_walk.h - binds a new subscription and every producer that it wants, in slices. Reports the
 * sources of an earlier stream that are gone.
 *
 * It first sorts the positions of the earlier stream. Producers that are added after that, while
 * the walk goes on, bind the subscription themselves.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BIND_WALK_H
#define TRIBUTARY_HUB_BIND_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct resume_point;
struct subscription;

/* Where a new subscription starts, as in struct subscription_params. */
struct bind_start {
    const struct resume_point *resume;
    size_t resume_count;
    uint64_t resume_left_out;
    bool resume_others_live;
    uint32_t last;
    uint32_t stored_start; /* enum stored_start */
    uint64_t stored_value;
    bool at_once; /* all in the first portion */
};

/* Begins the walk, as subscription->walk, and takes the steps that this turn has time for. The
 * subscription has its filter. `start` is copied; what it points to must stay valid until the walk
 * is over.
 *   ERR_NO_MEMORY  there is no walk; some producers may be bound */
MUST_CHECK enum err bind_walk_begin(struct subscription *subscription, const struct bind_start *start);

/* The caller is done with the first portion. Where the walk is over already, its activations begin,
 * and this returns true. Otherwise the rest follows, and then bound() of the port is called. */
bool bind_walk_go_on(struct subscription *subscription);

/* Stops the walk and takes back the activations that it has created. Bindings stay. Does nothing
 * where there is no walk. */
void bind_walk_stop(struct subscription *subscription);

#endif
