/* sort_request.c - see sort_request.h. */
#include "server/rpc/sort_request.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "event/text.h"
#include "server/rpc/decode.h"

#define DEFAULT_WINDOW_NS (100 * NS_PER_MS)

static const struct duration_rule duration_rule = {.field = "sort_window.duration",
                                                   .default_ns = DEFAULT_WINDOW_NS,
                                                   .min_ns = NS_PER_MS,
                                                   .max_ns = 60 * NS_PER_S};

/* What is held may not be more than half of the channel: see docs/order.md. */
static enum fault_reason events_read(uint32_t events, struct chan_limits *limits, struct fault *fault)
{
    const uint32_t max = limits->max_events / 2;
    char bound[80];

    if (max == 0)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "buffer.max_events", limits->max_events,
                            "at least 2 with sort_window");
    if (events > max) {
        snprintf(bound, sizeof(bound), "at most %" PRIu32 ", half of buffer.max_events", max);
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "sort_window.events", events, bound);
    }
    limits->sort.max_events = events > 0 ? events : max;
    return FAULT_NONE;
}

/* An event that was held would be too old to be sent. */
static enum fault_reason check_age(const struct chan_limits *limits, struct fault *fault)
{
    char bound[96];

    if (limits->max_age_ns == 0 || limits->sort.duration_ns < limits->max_age_ns)
        return FAULT_NONE;
    snprintf(bound, sizeof(bound), "ns: less than buffer.max_age, %" PRId64 " ns", limits->max_age_ns);
    return fault_number(fault, FAULT_OUT_OF_BOUNDS, "sort_window.duration",
                        (uint64_t)limits->sort.duration_ns, bound);
}

enum fault_reason sort_window_read(const Tributary__V1__SortWindow *window, struct chan_limits *limits,
                                   struct fault *fault)
{
    enum fault_reason reason;

    limits->sort = (struct sort_window){.duration_ns = 0};
    if (!window)
        return FAULT_NONE;
    reason = decode_duration(window->duration ? &window->duration->base : NULL, &duration_rule,
                             &limits->sort.duration_ns, fault);
    if (!reason)
        reason = check_age(limits, fault);
    if (!reason)
        reason = events_read(window->events, limits, fault);
    if (!reason && window->field[0] != '\0' && !field_path_parse(window->field, &limits->sort.field))
        reason = fault_bytes(fault, FAULT_BAD_FIELD_PATH, "sort_window.field", text_bytes(window->field),
                             "1 to 8 field numbers, such as 3 or 1.3.2");
    return reason;
}
