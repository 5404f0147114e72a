/* status.h - the core's endings, and its details, become `struct tributary_status`. */
#ifndef TRIBUTARY_CLIENT_STATUS_H
#define TRIBUTARY_CLIENT_STATUS_H

#include <grpc/grpc.h>

#include "base/base.h"
#include "tributary/tributary.h"

/* Fills *status in, where it is not NULL, and returns the code. */
enum tributary_code status_set(struct tributary_status *status, enum tributary_code code,
                               const char *message);
enum tributary_code status_format(struct tributary_status *status, enum tributary_code code,
                                  const char *format, ...) PRINTF_LIKE(3, 4);

/* From the end of a call: code, message, and the reason out of `grpc-status-details-bin` in the
 * trailers. */
void status_from_call(struct tributary_status *status, grpc_status_code code, grpc_slice message,
                      const grpc_metadata_array *trailers);

/* Is it worth trying again, on another connection? */
bool status_is_passing(const struct tributary_status *status);

#endif
