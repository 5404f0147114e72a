/* schema_fetch.h - asks an upstream's own reflection (v1, else v1alpha) for what describes some of
 * its services: one call on the endpoint's connection, with one question at a time.
 *
 * What an upstream answers has bounds: 1 MiB of files, and those of descriptors.h; 5 s from when
 * the call is accepted, and the connect timeout before that. Beyond them the fetch fails.
 *
 * Threads: the loop; the call lives on the thread of the plan. */
#ifndef TRIBUTARY_SERVER_DIAL_SCHEMA_FETCH_H
#define TRIBUTARY_SERVER_DIAL_SCHEMA_FETCH_H

#include "base/base.h"

struct schema;
struct schema_fetch;
struct upstream_plan;

struct schema_fetch_result {
    struct schema *schema; /* a reference of the receiver's; NULL: there is none */
    const char *failure;   /* NULL: everything was found; valid during done() */
    uint64_t connections;  /* connections.begun, when it ended */
};

struct schema_fetch_params {
    const struct upstream_plan *plan;                                  /* must live until done() */
    const struct bytes *services;                                      /* "package.Service"; copied */
    size_t count;                                                      /* at least 1 */
    void (*done)(void *ctx, const struct schema_fetch_result *result); /* once, in a later turn */
    void *ctx;
};

/* Begins. NULL: out of memory; done() does not follow. The result is valid until done(). */
struct schema_fetch *schema_fetch_begin(const struct schema_fetch_params *params);
/* It fails soon. done() follows all the same. */
void schema_fetch_cancel(struct schema_fetch *fetch);

#endif
