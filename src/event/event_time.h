/* event_time.h - the moment that an event names, for those who sort by it.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_EVENT_TIME_H
#define TRIBUTARY_EVENT_EVENT_TIME_H

#include <stdint.h>

#include "base/base.h"

struct field_path;

/* The time of an event that the scan accepted; `event` holds it with its tag and length. It is the
 * time in the field at `path` inside the event's data (field_as_time()). Where `path` has no number
 * or the data no such time, it is the event's own time_unix_nano. In nanoseconds since 1970; 0:
 * there is none, or it is after 2262. */
int64_t event_time(struct bytes event, const struct field_path *path);

/* The same for a message that is data alone, with no event around it: the time in its field at
 * `path`. 0: there is none, or it is after 2262. */
int64_t message_time(struct bytes message, const struct field_path *path);

#endif
