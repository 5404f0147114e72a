/* event_view.h - reads one event that the scan accepted.
 *
 * Nothing is checked again, and nothing is copied: a view points into the event's bytes and is
 * valid as long as they are. An event that framing_scan() did not accept ends the process.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_EVENT_VIEW_H
#define TRIBUTARY_EVENT_EVENT_VIEW_H

#include <stdbool.h>

#include "base/base.h"

/* The fields of one event. A field that the event does not have is empty, or 0. */
struct event_view {
    struct bytes id, topic, key, type, content_type, data;
    uint64_t time_unix_nano, expires_unix_nano, deliver_after_unix_nano;
    struct bytes body; /* the whole event without its tag and length: for event_header() */
};

/* Reads an event, which `event` holds with its tag and length. */
void event_view(struct bytes event, struct event_view *view_out);

/* Finds the value of a header; of several with this name the last one counts. False: the event does
 * not have it, and *value_out is unchanged. */
bool event_header(const struct event_view *view, struct bytes name, struct bytes *value_out);

#endif
