/* endpoint.h - endpoints: sessions whose producer the server dials. It reports the state of each
 * upstream call with session_report().
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_ENDPOINT_H
#define TRIBUTARY_HUB_ENDPOINT_H

#include <stdbool.h>

#include "flow/producer_state.h"
#include "hub/endpoint_rules.h"

/* In every session, because they all have rules. */
struct endpoint {
    bool is_endpoint;
    struct endpoint_rules rules;
    /* SHARED: what was reported last. PER_CONSUMER: CONNECTING or UNAVAILABLE, whichever came last
     * to an activation. */
    enum producer_state state;
    uint32_t active_count; /* activations whose last state is ACTIVE */
};

/* `rules` NULL: no endpoint, and the rules of sessions. */
void endpoint_init(struct endpoint *endpoint, const struct endpoint_rules *rules);

/* The state in which a source of this session begins. */
static inline enum producer_state endpoint_first_state(const struct endpoint *endpoint)
{
    return endpoint->is_endpoint ? PRODUCER_CONNECTING : PRODUCER_ACTIVE;
}

/* The upstream call of an activation of an endpoint has this state from now on: CONNECTING, ACTIVE,
 * or UNAVAILABLE until it is opened again. *active: whether active_count counts the activation. */
void endpoint_moved(struct endpoint *endpoint, bool *active, enum producer_state state);

/* The activation has no upstream call any more. Does nothing where it is not counted. */
void endpoint_left(struct endpoint *endpoint, bool *active);

#endif
