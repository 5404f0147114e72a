/* params_copy.h - parameters of an endpoint that outlive whoever gave them.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_DIAL_PARAMS_COPY_H
#define TRIBUTARY_SERVER_DIAL_PARAMS_COPY_H

#include "server/dial/endpoint_params.h"

/* A copy in one piece of memory, but for `requests` and `definition`: the copy has them shared, and
 * the others NULL. NULL: memory or budget is used up. */
struct endpoint_params *params_copy(const struct endpoint_params *from);
void params_copy_free(struct endpoint_params *copy); /* NULL is allowed */

#endif
