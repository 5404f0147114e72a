/* metadata_names.h - which keys of metadata pass from a client to an upstream, and back.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_DIAL_METADATA_NAMES_H
#define TRIBUTARY_SERVER_DIAL_METADATA_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

#define MAX_METADATA_NAMES 32u /* in a list */
#define MAX_METADATA_NAME_BYTES 64u

/* Whether gRPC makes the key, or it would change what a call is, or it is this server's own:
 * authorization, and what begins with "tributary-". It is on no list. */
bool metadata_is_reserved(struct bytes key);
/* Whether a pair that a peer has sent may ever be sent on: it is legal, and not reserved. */
bool metadata_may_pass(struct bytes key, struct bytes value);
/* Whether a text may stand on a list: a key, or the beginning of keys with '*' behind it. */
bool metadata_name_is_valid(struct bytes name);
/* Whether the list has the key. */
bool metadata_names_have(const struct bytes *names, size_t count, struct bytes key);

#endif
