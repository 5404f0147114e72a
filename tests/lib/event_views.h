/* event_views.h - reads all of one event: its fields, and its headers by name. */
#ifndef TRIBUTARY_TESTS_LIB_EVENT_VIEWS_H
#define TRIBUTARY_TESTS_LIB_EVENT_VIEWS_H

#include "event/peek.h"

/* Reads an event, which `event` holds with its tag and length. *headers_out is the memory for its
 * headers. */
static inline void view_whole(struct bytes event, struct event_view *view_out,
                              struct event_headers *headers_out)
{
    event_view(event, view_out);
    event_peek(event, view_out, headers_out);
}

/* Finds the value of a header, as event_header() does. */
static inline bool view_header(const struct event_view *view, struct bytes name, struct bytes *value_out)
{
    const struct pair_name key = pair_name_of(name);

    return event_header(view->headers, &key, value_out);
}

#endif
