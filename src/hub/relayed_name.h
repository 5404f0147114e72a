/* relayed_name.h - the names of inner sources.
 *
 * Threads: any. */
#ifndef TRIBUTARY_HUB_RELAYED_NAME_H
#define TRIBUTARY_HUB_RELAYED_NAME_H

#include "base/base.h"

#define MAX_RELAYED_NAME_BYTES 256u

/* Writes ENDPOINT/INNER. Where that has over 256 bytes it is truncated between characters, and ends
 * with '~' and sixteen hexadecimal digits of a hash of the inner name: so it is the same name each
 * time. `endpoint` has at most MAX_CASCADE_NAME_BYTES. Returns the size. */
size_t relayed_name(struct bytes endpoint, struct bytes inner, uint8_t name[MAX_RELAYED_NAME_BYTES]);

#endif
