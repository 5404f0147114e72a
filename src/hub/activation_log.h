/* activation_log.h - what the log says of activations.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_ACTIVATION_LOG_H
#define TRIBUTARY_HUB_ACTIVATION_LOG_H

#include <stdbool.h>

#include "hub/ending.h"

struct activation;

/* It is ACTIVE, or STOPPING, from now on. */
void activation_log_started(const struct activation *activation);
void activation_log_stopping(const struct activation *activation);

/* What was started has ended. `was_expired`: it had its time to stop. */
void activation_log_end(const struct activation *activation, const struct ending *ending, bool was_expired);

/* A step of its life failed: `event` says which. */
void activation_log_failed(const struct activation *activation, const char *event, const char *reason);

#endif
