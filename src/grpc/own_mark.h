/* own_mark.h - the metadata by which this process knows calls that it has made itself.
 *
 * Threads: any. */
#ifndef TRIBUTARY_GRPC_OWN_MARK_H
#define TRIBUTARY_GRPC_OWN_MARK_H

#include <stdbool.h>

#include <grpc/grpc.h>

#define OWN_MARK_KEY "tributary-process"

/* The metadata for such a call: static, and the same for the whole life of the process. */
grpc_metadata own_mark(void);

/* Whether a received call has it. */
bool own_mark_is_in(const grpc_metadata_array *metadata);

#endif
