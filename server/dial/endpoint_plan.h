/* endpoint_plan.h - what an endpoint keeps of its parameters, as its upstream calls need it.
 *
 * Threads: the loop makes and frees it; see struct upstream_plan for the rest. */
#ifndef TRIBUTARY_SERVER_DIAL_ENDPOINT_PLAN_H
#define TRIBUTARY_SERVER_DIAL_ENDPOINT_PLAN_H

#include "base/status.h"
#include "grpc/target.h"
#include "server/dial/endpoint_params.h"
#include "server/dial/upstream.h"

struct endpoint_plan {
    struct upstream_plan calls;
    struct connections connections; /* of the calls' thread */
    char *target, *name, *method, *authority, *content_type;
    struct shared_bytes *requests[MAX_ENDPOINT_REQUESTS];
    struct bytes *names;     /* calls.request_names, calls.answer_names, and the bytes of both */
    grpc_metadata *metadata; /* the first is own_mark() */
};

/* Copies everything. ERR_NO_MEMORY: endpoint_plan_fini() must follow all the same. */
MUST_CHECK enum err endpoint_plan_init(struct endpoint_plan *plan, const struct endpoint_params *params,
                                       const struct place *place);
void endpoint_plan_fini(struct endpoint_plan *plan); /* a zeroed one is allowed */

#endif
