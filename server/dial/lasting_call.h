/* lasting_call.h - a call that an endpoint opens again each time it has ended, until it is stopped:
 * the one of SHARED, and with BY_REQUEST the one of each request.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_LASTING_CALL_H
#define TRIBUTARY_SERVER_DIAL_LASTING_CALL_H

#include "base/base.h"
#include "base/fault.h"

struct activation_params;
struct endpoint;
struct upstream_end;

/* Opens it. params->activation: of the hub's shared call; 0 with SHARED. params->payer is charged
 * for each of its upstream calls. Without memory it has ended, or is opened again later. */
void lasting_call_begin(struct endpoint *endpoint, const struct activation_params *params);

/* Its upstream call was accepted, or has ended. `is_good`: it is no failure. */
void lasting_call_accepted(struct endpoint *endpoint, uint64_t number);
void lasting_call_ended(struct endpoint *endpoint, uint64_t number, const struct upstream_end *end,
                        bool is_good);

/* No more is wanted of it, from this deadline on at the latest; 0: from now on. With a deadline,
 * session_end() follows. */
void lasting_call_stop(struct endpoint *endpoint, uint64_t number, enum fault_reason reason,
                       int64_t deadline_ns);

/* When it is opened again, clock_mono_ns(); INT64_MAX: it does not wait for that. */
int64_t lasting_call_retry_at(const struct endpoint *endpoint, uint64_t number);

/* None is opened again. */
void lasting_calls_rest(struct endpoint *endpoint);
void lasting_calls_free(struct endpoint *endpoint);

#endif
