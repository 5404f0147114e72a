/* event_headers.h - the headers of one event.
 *
 * event_peek() notes where they are, while it reads the event. The first question for a header then
 * reads and indexes all of them. So every byte of an event is read once, however many filters ask,
 * and an event whose headers nobody asks for pays nothing.
 *
 * Threads: one. */
#ifndef TRIBUTARY_EVENT_EVENT_HEADERS_H
#define TRIBUTARY_EVENT_EVENT_HEADERS_H

#include "event/pair_index.h"

/* The caller provides the memory, and need not clear it. It points into the event. */
struct event_headers {
    uint32_t count;
    bool indexed;
    struct bytes entries[MAX_PAIRS]; /* as they are in the event, in its order */
    struct pair_index index;         /* means nothing before `indexed` */
};

/* Reads and indexes the headers, unless that was done already. In the index each name is once. */
const struct pair_index *event_headers_index(struct event_headers *headers);

/* Finds the value of a header; of several with this name the last one counts. False: the event does
 * not have it, and *value_out is unchanged. NULL: an event without headers. */
bool event_header(struct event_headers *headers, const struct pair_name *name, struct bytes *value_out);

#endif
