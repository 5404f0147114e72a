/* schema.h - the .proto files that describe what an endpoint serves: a FileDescriptorSet, and its
 * index.
 *
 * Threads: a schema does not change; any thread may read and release it. */
#ifndef TRIBUTARY_REFLECT_SCHEMA_H
#define TRIBUTARY_REFLECT_SCHEMA_H

#include "base/fault.h"
#include "base/peer_charge.h"
#include "reflect/descriptors.h"

#define MAX_SCHEMA_BYTES (1u << 20) /* of a set */

struct schema;
struct settings;

/* Copies and indexes a set. It takes some milliseconds where the set is large, so not on the loop
 * for what a peer sends. `field` names it in faults. FAULT_NONE: *schema_out is a reference of the
 * caller's. Else TOO_LONG, BAD_DESCRIPTORS or MEMORY_BUDGET. */
MUST_CHECK enum fault_reason schema_new(const char *field, struct bytes set, struct schema **schema_out,
                                        struct fault *fault);
struct schema *schema_retain(struct schema *schema); /* NULL is allowed */
void schema_release(struct schema *schema);          /* NULL is allowed */
OWNED_BY(schema_release, struct schema);

/* Charges a peer with it, unless somebody is charged already, until it is freed. `charges` must
 * outlive it. Loop. FAULT_NONE or MEMORY_BUDGET. */
MUST_CHECK enum fault_reason schema_charge(struct schema *schema, struct peer_charges *charges,
                                           const struct settings *settings, struct peer_key peer,
                                           struct fault *fault);

const struct descriptors *schema_descriptors(const struct schema *schema);

#endif
