/* status.h - fills in `struct tributary_status`, also from the end of a gRPC call. */
#ifndef TRIBUTARY_CLIENT_STATUS_H
#define TRIBUTARY_CLIENT_STATUS_H

#include "base/base.h"
#include "base/fault.h"
#include "grpc/client_call.h"
#include "tributary/tributary.h"

/* Sets *status, with an empty reason, and returns the code. `status` may be NULL. */
enum tributary_code status_set(struct tributary_status *status, enum tributary_code code,
                               const char *message);
enum tributary_code status_format(struct tributary_status *status, enum tributary_code code,
                                  const char *format, ...) PRINTF_LIKE(3, 4);

/* The same with a reason. */
enum tributary_code status_set_reason(struct tributary_status *status, enum tributary_code code,
                                      const char *reason, const char *message);
/* The code, the reason and the text of a fault. */
enum tributary_code status_set_fault(struct tributary_status *status, const struct fault *fault);

/* Sets *status from the end of a call. The reason is that of the first ErrorInfo in the trailer
 * `grpc-status-details-bin`. */
void status_from_call(struct tributary_status *status, const struct client_call_end *end);

/* Whether another attempt, on another connection, may succeed. */
bool status_is_retryable(const struct tributary_status *status);

#endif
