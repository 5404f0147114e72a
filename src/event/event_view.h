/* event_view.h - reads one event that the scan accepted.
 *
 * Nothing is checked again, and nothing is copied: a view points into the event's bytes and is
 * valid as long as they are. An event that framing_scan() did not accept ends the process.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_EVENT_VIEW_H
#define TRIBUTARY_EVENT_EVENT_VIEW_H

#include "base/base.h"

struct event_headers;

/* The fields of one event. A field that the event does not have is empty, or 0. */
struct event_view {
    struct bytes id, topic, key, type, content_type, data;
    uint64_t time_unix_nano, expires_unix_nano, deliver_after_unix_nano;
    struct event_headers *headers; /* event_peek() sets it; NULL: there are none, or they were not read */
    struct bytes
        origin; /* of a stored topic's event: who published it (chunk_origin()); the caller sets it */
};

/* Reads an event, which `event` holds with its tag and length. Sets everything but the headers and
 * the origin, which are empty then. */
void event_view(struct bytes event, struct event_view *view_out);

#endif
