/* shared_calls.h - the shared calls of one session. See shared_call.h.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_SHARED_CALLS_H
#define TRIBUTARY_HUB_SHARED_CALLS_H

#include <stdbool.h>

#include "base/list.h"
#include "base/map.h"
#include "base/peer_share.h"

/* Of one session. One peer may begin its share of them (base/peer_share.h). */
#define MAX_SHARED_CALLS 1000u

/* Embedded in the session. */
struct shared_calls {
    bool ignore_requests;     /* all consumers share one: the producer does not get their requests */
    struct map by_request;    /* struct shared_call that may be joined */
    struct list all;          /* struct shared_call, by its link */
    uint32_t count;           /* of `all` */
    uint32_t members;         /* of all of them together */
    struct peer_counts peers; /* by the peer that each is charged to */
};

#endif
