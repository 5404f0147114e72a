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
#include "server/dial/dialled.h"
#include "server/dial/endpoint_home.h"

/* For those who look at it; valid until the loop goes on. */
struct endpoint_view {
    struct bytes definition; /* of its parameters; with ORIGIN_DNS those of its set */
    enum endpoint_keeping keeping;
    enum endpoint_origin origin;
    const char *origin_text;
    const struct dialled *set; /* NULL: it is an endpoint */
    uint32_t upstream_calls, inner_sources;
};

/* Makes an endpoint of parameters that endpoint_check() has passed, and registers it. It ends when
 * the hub ends its session. FAULT_NONE, or a fault of hub_register(), or MEMORY_BUDGET: nothing was
 * made. */
MUST_CHECK enum fault_reason endpoint_add(const struct endpoint_home *home,
                                          const struct endpoint_params *params, const struct place *place,
                                          const struct dialled_owner *owner, struct dialled **dialled_out,
                                          struct fault *fault);

/* The view of an endpoint, which is no set. */
struct endpoint_view endpoint_view(const struct dialled *dialled);
/* When a call of SHARED (`number` 0) or BY_REQUEST (the hub's number) is opened again:
 * clock_mono_ns(). INT64_MAX: it does not wait for that, or it is of a set. */
int64_t endpoint_retry_at(const struct dialled *dialled, uint64_t number);
/* Whether calls of it wait for its turn to dial (dial_turns.h). It is no set. */
bool endpoint_waits_turn(const struct dialled *dialled);

#endif
