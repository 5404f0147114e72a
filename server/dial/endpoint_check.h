/* endpoint_check.h - the rules for what an endpoint may be.
 *
 * Threads: any. The functions keep nothing. */
#ifndef TRIBUTARY_SERVER_DIAL_ENDPOINT_CHECK_H
#define TRIBUTARY_SERVER_DIAL_ENDPOINT_CHECK_H

#include "base/fault.h"
#include "base/place.h"
#include "server/dial/endpoint_params.h"

/* Reads an address: as base/place.h, with a port, and also dns:HOST:PORT, dns:///HOST:PORT,
 * ipv4:HOST:PORT and ipv6:[HOST]:PORT. FAULT_NONE, or BAD_ADDRESS. */
MUST_CHECK enum fault_reason endpoint_place(const char *address, struct place *place_out,
                                            struct fault *fault);

/* Checks everything but the address. FAULT_NONE, or EMPTY, TOO_LONG, TOO_MANY, BAD_NAME, BAD_UTF8,
 * BAD_METHOD, BAD_METADATA or OUT_OF_BOUNDS, with the field, the value and the bound. */
MUST_CHECK enum fault_reason endpoint_check(const struct endpoint_params *params, struct fault *fault);

/* Checks what only a set must be (address_set.h). FAULT_NONE, or TOO_LONG, TOO_MANY, BAD_ADDRESS or
 * OUT_OF_BOUNDS. */
MUST_CHECK enum fault_reason endpoint_check_set(const struct endpoint_params *params,
                                                const struct place *place, struct fault *fault);

#endif
