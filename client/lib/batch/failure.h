/* failure.h - what a callback says of its failure, kept until all have heard of it. Any thread. */
#ifndef TRIBUTARY_CLIENT_BATCH_FAILURE_H
#define TRIBUTARY_CLIENT_BATCH_FAILURE_H

#include "base/base.h"
#include "tributary/tributary.h"

/* A copy of `status` with `code`, and with a reason where it has none. The caller frees it. NULL:
 * no memory. */
struct tributary_status *failure_of_operation(const struct tributary_status *status,
                                              enum tributary_code code);

/* The same, with "loading" or "saving the resource of key "K" failed: " before the message. */
struct tributary_status *failure_of_load(const struct tributary_status *status, enum tributary_code code,
                                         struct bytes key);
struct tributary_status *failure_of_save(const struct tributary_status *status, enum tributary_code code,
                                         struct bytes key);

#endif
