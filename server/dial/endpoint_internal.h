/* endpoint_internal.h - an endpoint as the files see it that make it: endpoint.c, lasting_call.c.
 *
 * Threads: the loop, except what says otherwise. */
#ifndef TRIBUTARY_SERVER_DIAL_ENDPOINT_INTERNAL_H
#define TRIBUTARY_SERVER_DIAL_ENDPOINT_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "base/shared_bytes.h"
#include "hub/session_port.h"
#include "server/dial/dialled.h"
#include "server/dial/dial_turns.h"
#include "server/dial/endpoint_cascade.h"
#include "server/dial/endpoint_home.h"
#include "server/dial/endpoint_plan.h"
#include "server/dial/endpoint_schema.h"

struct endpoint {
    struct dialled dialled; /* the first: see dialled.h */
    struct endpoint_home home;
    struct endpoint_plan plan;
    struct session *session;
    char *name; /* for logs */
    enum session_mode mode;
    enum endpoint_restart restart;
    int64_t backoff_ns, max_backoff_ns;

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    struct map by_activation; /* struct upstream */

    unsigned entered;             /* it calls the hub, which may call back: it must not go yet */
    bool closing;                 /* no call is opened any more */
    enum fault_reason end_reason; /* for hub_unregister() */
    struct list calls;            /* struct upstream */
    uint32_t call_count;
    bool is_failing;     /* the last call that ended has failed, or was not accepted */
    struct list waiting; /* struct upstream, by its `waiting`: those that wait for a turn */
    struct dial_turn turn;
    struct upstream_end failure; /* the last one; code 0: none since a call was accepted */
    uint64_t unlogged;           /* failures since the last line about one */
    int64_t logged_ns;           /* of that line */
    bool is_logged;              /* it says that the endpoint fails, and no later one that it does not */
    struct map lasting;          /* struct lasting_call; SHARED and BY_REQUEST only */
    uint64_t random;
    struct endpoint_cascade cascade;
    struct endpoint_schema schema;
};

static inline struct bytes activation_key(const uint64_t *activation)
{
    return (struct bytes){(const uint8_t *)activation, sizeof(*activation)};
}

/* Opens an upstream call for an activation, or a lasting call, and charges params->payer.
 * FAULT_NONE, or MEMORY_BUDGET: memory, the budget or the payer's share of it is used up. */
MUST_CHECK enum fault_reason endpoint_start_call(struct endpoint *endpoint,
                                                 const struct activation_params *params, struct fault *fault);

/* No more is wanted of an upstream call, from this deadline on; 0: from now on. */
void endpoint_stop_call(struct upstream *upstream, enum fault_reason reason, int64_t deadline_ns);

/* The upstream call of an activation. NULL: it has none. */
struct upstream *endpoint_find_call(struct endpoint *endpoint, uint64_t activation);

/* The endpoint may be gone after the last endpoint_leave(). */
void endpoint_enter(struct endpoint *endpoint);
void endpoint_leave(struct endpoint *endpoint);

#endif
