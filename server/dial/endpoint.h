/* endpoint.h - one endpoint: a session of the hub whose other side is upstream calls.
 *
 *   LIVE --closing()--> CLOSING --its last call has ended--> GONE
 *     `-------abort_call()--------^
 *
 * PER_CONSUMER: each activation has a call. The hub opens another one where it failed (session.h).
 * SHARED: one call, which the endpoint opens again by itself (lasting_call.h). It goes on whether
 * anybody listens or not. BY_REQUEST: the same for each request, as long as somebody listens.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_ENDPOINT_H
#define TRIBUTARY_SERVER_DIAL_ENDPOINT_H

#include "base/fault.h"
#include "base/place.h"
#include "server/dial/endpoint_home.h"
#include "server/dial/endpoint_params.h"

/* For those who look at it; valid until the loop goes on. */
struct endpoint_view {
    struct bytes definition; /* of its parameters */
    uint32_t upstream_calls;
};

/* Makes an endpoint of parameters that endpoint_check() has passed, and registers it. It ends when
 * the hub ends its session. FAULT_NONE, or a fault of hub_register(), or MEMORY_BUDGET: nothing was
 * made. */
MUST_CHECK enum fault_reason endpoint_add(const struct endpoint_home *home,
                                          const struct endpoint_params *params, const struct place *place,
                                          struct fault *fault);

/* The view of an endpoint; `port_ctx` is what the hub shows of its session (hub_query.h). */
struct endpoint_view endpoint_view(const void *port_ctx);

#endif
