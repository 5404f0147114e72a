/* endpoint_schema.h - the part of an endpoint that serves callers of --fan-in: its entry in the
 * catalog, for reflection. Zeroed it is none, and nothing below does anything.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_ENDPOINT_SCHEMA_H
#define TRIBUTARY_SERVER_DIAL_ENDPOINT_SCHEMA_H

#include "reflect/catalog.h"

struct endpoint_params;
struct schema_fetch;
struct upstream_plan;

struct endpoint_schema {
    struct catalog_entry entry;
    struct upstream_plan *plan;
    struct schema_fetch *fetch; /* NULL: none is under way */
    uint64_t fetched_at;        /* connections.begun, then; UINT64_MAX: never */
    bool is_closed;
    void (*emptied)(void *ctx); /* the last fetch has ended, after endpoint_schema_close() */
    void *ctx;
};

/* `emptied` and `ctx` must be set. `plan` must outlive it. FAULT_NONE, or MEMORY_BUDGET:
 * endpoint_schema_fini() must follow all the same. */
MUST_CHECK enum fault_reason endpoint_schema_init(struct endpoint_schema *of, struct catalog *catalog,
                                                  struct upstream_plan *plan,
                                                  const struct endpoint_params *params, struct fault *fault);
void endpoint_schema_fini(struct endpoint_schema *of); /* no fetch is under way */

/* Nobody is answered from it any more. Returns true when no fetch is under way. Otherwise emptied()
 * follows, in a later turn. */
bool endpoint_schema_close(struct endpoint_schema *of);

#endif
