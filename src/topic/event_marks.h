/* event_marks.h - what of an event counts for a topic: its id, when it is due, and when it expires.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_TOPIC_EVENT_MARKS_H
#define TRIBUTARY_TOPIC_EVENT_MARKS_H

#include <stdbool.h>

#include "base/base.h"

struct event_marks {
    struct bytes event;      /* with tag and length */
    struct bytes id;         /* empty: it has none */
    int64_t deliver_wall_ns; /* 0: it has none; INT64_MAX: later than any clock */
    int64_t expires_wall_ns; /* 0: never */
};

/* Reads the first of events that were accepted by framing_scan(), and moves *events behind it.
 * False: there is none, or it has no end. */
bool event_marks_next(struct bytes *events, struct event_marks *marks);

/* How many of the events are due after `now_wall_ns`, and their bytes. */
struct events_delayed {
    uint32_t count;
    size_t bytes;
    uint32_t all; /* events */
    bool expires; /* one of them does at some time */
    bool is_malformed;
};
struct events_delayed events_delayed(struct bytes events, int64_t now_wall_ns);

#endif
