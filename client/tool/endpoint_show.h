/* endpoint_show.h - prints what the server knows of a producer that it dials. The producers here
 * are endpoints. Any thread. */
#ifndef TRIBUTARY_TOOL_ENDPOINT_SHOW_H
#define TRIBUTARY_TOOL_ENDPOINT_SHOW_H

#include <jansson.h>

#include "base/buf.h"
#include "tributary/tributary.h"

/* "per-consumer", "shared" or "by-request". */
const char *endpoint_activation_name(const struct tributary_endpoint *endpoint);

/* Why it does not survive a restart of the server, in a few words. NULL: it does, or nobody
 * knows. */
const char *endpoint_not_kept_text(const struct tributary_producer *producer);

/* Prints what it is, on the rest of one line: method, address, activation, state. */
void endpoint_show_line(const struct tributary_producer *producer);

/* Prints all settings but the labels, how many upstream calls there are, and the last failure: a
 * line each. */
void endpoint_show_whole(const struct tributary_producer *producer);

/* The endpoint as an object, and its failure. The caller owns the reference. */
json_t *endpoint_json(const struct tributary_endpoint *endpoint);
json_t *endpoint_failure_json(const struct tributary_failure *failure);

/* Adds who defines the endpoint, and the names of its children, to an object. */
void endpoint_put_origin(json_t *object, const struct tributary_producer *producer);

/* Appends how its last upstream call failed, in a few words: "nothing listens at HOST:PORT".
 * Nothing where none has. */
void endpoint_put_failure(struct buf *buf, const struct tributary_producer *producer);

#endif
