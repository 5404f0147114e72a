/* set_home.h - where a set of endpoints lives, and its bounds. See address_set.h.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_SET_HOME_H
#define TRIBUTARY_SERVER_DIAL_SET_HOME_H

#include "base/fault.h"
#include "base/place.h"
#include "server/dial/dialled.h"

struct loop;
struct resolver;

/* What is left for "@", the address and the port. */
#define MAX_SET_NAME_BYTES 192u
#define MAX_SET_LABELS (MAX_ENDPOINT_LABELS - 2)

/* Where a set lives. */
struct set_home {
    struct loop *loop;
    struct hub *hub;
    struct resolver *resolver;
    /* Makes an endpoint of the set, as endpoint_add() does. */
    enum fault_reason (*add)(void *ctx, const struct endpoint_params *params, const struct place *place,
                             const struct dialled_owner *owner, struct dialled **dialled_out,
                             struct fault *fault);
    void (*gone)(void *ctx, struct dialled *dialled); /* the set is gone, and its endpoints too */
    void *ctx;
};

#endif
