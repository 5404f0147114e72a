/* endpoint_cascade.h - the part of an endpoint that only a cascade has (cascade.h). Zeroed it is
 * none, and nothing below does anything.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_ENDPOINT_CASCADE_H
#define TRIBUTARY_SERVER_DIAL_ENDPOINT_CASCADE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct cascade;
struct endpoint_params;
struct hub;
struct relays;
struct session;
struct source_state;
struct upstream_plan;

struct endpoint_cascade {
    struct cascade *cascade;
    struct relays *relays;
    bool is_closed; /* endpoint_cascade_close() was called */
    bool closing;   /* it is at work */
    bool is_empty;
    void (*emptied)(void *ctx); /* the last source has ended, after endpoint_cascade_close() */
    void *ctx;
};

/* Makes of->cascade where `params` ask for it, for the calls of this plan, which must outlive it.
 * `emptied` and `ctx` must be set. ERR_NO_MEMORY: endpoint_cascade_fini() must follow all the
 * same. */
MUST_CHECK enum err endpoint_cascade_init(struct endpoint_cascade *of, const struct upstream_plan *plan,
                                          const struct endpoint_params *params, struct hub *hub);
void endpoint_cascade_fini(struct endpoint_cascade *of);

/* The session is welcome. */
void endpoint_cascade_begin(struct endpoint_cascade *of, struct session *session);

/* A call has ended, and the endpoint has this state now. */
void endpoint_cascade_ended(struct endpoint_cascade *of, const struct source_state *state);

/* Ends all sources, where no call is open and none follows. Returns true when none is left.
 * Otherwise emptied() follows; it is not called from within. */
bool endpoint_cascade_close(struct endpoint_cascade *of);

uint32_t endpoint_cascade_sources(const struct endpoint_cascade *of);

#endif
