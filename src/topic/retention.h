/* retention.h - which rows of a topic are no longer kept.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_TOPIC_RETENTION_H
#define TRIBUTARY_TOPIC_RETENTION_H

#include <stdbool.h>

#include "base/base.h"
#include "topic/topic_settings.h"

/* A row, or all that a topic keeps. */
struct retention_size {
    uint64_t events, bytes;
};

/* Whether the first row goes. By count and bytes it stays until what is behind it reaches the
 * bound, so a topic keeps at least what its bound promises, if it ever had that much. The wall
 * clock may go back: then rows stay longer. */
bool retention_drops(const struct topic_settings *settings, struct retention_size kept,
                     struct retention_size first, int64_t first_appended_ns, int64_t now_ns);

/* When the first row is too old, on the wall clock; INT64_MAX: never. */
int64_t retention_due_ns(const struct topic_settings *settings, int64_t first_appended_ns);

#endif
