/* framing_fault.h - what the scan says of a message that it refuses: path, quoted value, bound.
 *
 * The scan calls these functions only when it refuses, so they are never inlined into it.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_FRAMING_FAULT_H
#define TRIBUTARY_EVENT_FRAMING_FAULT_H

#include "base/base.h"
#include "base/fault.h"
#include "base/settings.h"

/* Where the scan is. */
struct framing_place {
    const struct framing_limits *limits;
    struct fault *fault; /* what the functions below fill in */
    uint32_t event;      /* the index of the event that is read */
};

/* Each fills in the fault and returns `reason`, or the reason that its name says. */

/* events[3] */
enum fault_reason framing_refuse_event(const struct framing_place *place, enum fault_reason reason);

/* events[3], EVENT_TOO_LARGE. `size` is the event's. */
enum fault_reason framing_refuse_event_size(const struct framing_place *place, size_t size);

/* events[3].headers, TOO_MANY_HEADERS. */
enum fault_reason framing_refuse_headers(const struct framing_place *place);

/* events[3].topic. `number` is that of a known field of Event. `value` is shown where the value
 * itself is wrong: TOO_LONG, BAD_UTF8, BAD_NAME. */
enum fault_reason framing_refuse_field(const struct framing_place *place, enum fault_reason reason,
                                       uint32_t number, struct bytes value);

/* events[3].headers["key"]. `entry` is the whole entry, `value` its value. */
enum fault_reason framing_refuse_header_value(const struct framing_place *place, enum fault_reason reason,
                                              struct bytes entry, struct bytes value);

/* Any path, with the bound "at most MAX UNIT". A `value` of 0 is not shown. */
enum fault_reason framing_refuse_bound(struct fault *fault, enum fault_reason reason, const char *path,
                                       uint64_t value, uint32_t max, const char *unit);

#endif
