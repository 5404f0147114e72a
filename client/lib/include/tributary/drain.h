/* drain.h - end the server gently. Part of <tributary/tributary.h>.
 *
 * The rules and the errors of admin.h apply to this function, too. */
#ifndef TRIBUTARY_DRAIN_H
#define TRIBUTARY_DRAIN_H

#include "admin.h"

/* A server that drains. */
struct tributary_draining {
    uint64_t deadline_unix_nano; /* when its process will have ended */
    uint32_t producers, subscriptions;
};

/* Drains the server, as SIGTERM does. Returns when that has begun. `drain_ns`: how long it may
 * take; 0: what the server was started with. Where it drains already, nothing changes.
 *   TRIBUTARY_PERMISSION_DENIED  it does not take that from callers on other machines */
TRIBUTARY_API enum tributary_code tributary_drain(struct tributary *client, int64_t drain_ns,
                                                  int64_t timeout_ns, struct tributary_draining *draining_out,
                                                  struct tributary_status *status);

#endif
