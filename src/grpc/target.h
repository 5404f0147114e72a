/* target.h - the target of a client as gRPC core wants it.
 *
 * Threads: any. */
#ifndef TRIBUTARY_GRPC_TARGET_H
#define TRIBUTARY_GRPC_TARGET_H

#include "base/place.h"

/* Large enough for every target, its closing NUL included: each byte of a path may take three. */
#define TARGET_CAPACITY 512u

/* Writes the target of a place whose port is not 0. gRPC core reads a target as a URI, so bytes
 * that mean something in one are escaped. */
void target_write(const struct place *place, char target[TARGET_CAPACITY]);

#endif
