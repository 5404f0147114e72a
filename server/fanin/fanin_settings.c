/* fanin_settings.c - see fanin_settings.h. */
#include "server/fanin/fanin_settings.h"

#include "event/field_write.h"
#include "proto/field_numbers.h"

void fanin_settings_write(const struct chan_limits *limits, struct buf *settings)
{
    field_varint(settings, PB_SETTINGS_MAX_EVENTS, limits->max_events);
    field_varint(settings, PB_SETTINGS_MAX_BYTES, limits->max_bytes);
    field_varint(settings, PB_SETTINGS_OVERFLOW, limits->overflow);
    field_varint(settings, PB_SETTINGS_FALLBACK, limits->fallback);
    field_varint(settings, PB_SETTINGS_SORT_DURATION_NANOS, (uint64_t)limits->sort.duration_ns);
    field_varint(settings, PB_SETTINGS_SORT_EVENTS, limits->sort.max_events);
}
