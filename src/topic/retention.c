/* retention.c - which rows are no longer kept. */
#include "topic/retention.h"

#include "base/clock.h"

int64_t retention_due_ns(const struct topic_settings *settings, int64_t first_appended_ns)
{
    return settings->max_age_ns == 0 ? INT64_MAX
                                     : clock_add_ns(MAX_OF(first_appended_ns, 0), settings->max_age_ns);
}

bool retention_drops(const struct topic_settings *settings, struct retention_size kept,
                     struct retention_size first, int64_t first_appended_ns, int64_t now_ns)
{
    return (settings->max_events > 0 && kept.events - first.events >= settings->max_events) ||
           (settings->max_bytes > 0 && kept.bytes - first.bytes >= settings->max_bytes) ||
           now_ns >= retention_due_ns(settings, first_appended_ns);
}
