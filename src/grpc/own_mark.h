/* own_mark.h - the metadata by which this process knows calls that it has made itself, and the same
 * of other processes.
 *
 * Threads: any. */
#ifndef TRIBUTARY_GRPC_OWN_MARK_H
#define TRIBUTARY_GRPC_OWN_MARK_H

#include <stdbool.h>

#include "base/base.h"

#include <grpc/grpc.h>

#define OWN_MARK_KEY "tributary-process"
#define MARK_BYTES 32u

/* The metadata for such a call: static, and the same for the whole life of the process. */
grpc_metadata own_mark(void);

/* Whether this value is the mark of this process, or may be that of another one: MARK_BYTES of 0-9
 * and a-f. */
bool mark_is_own(struct bytes value);
bool mark_is_valid(struct bytes value);

/* The metadata with this mark, of MARK_BYTES, which is copied. */
grpc_metadata mark_metadata(const uint8_t *mark);

#endif
