/* event_rate.h - whether so many events leave for one consumer that it pays to gather them.
 *
 * Threads: the wire thread of the consumer. */
#ifndef TRIBUTARY_SERVER_WIRE_EVENT_RATE_H
#define TRIBUTARY_SERVER_WIRE_EVENT_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* A message costs about as much as so many events do, from their scan to their copy. */
#define EVENTS_PER_MESSAGE 32u

/* Zeroed at first: the rate is low. */
struct event_rate {
    int64_t began_ns; /* of the window */
    uint64_t events;  /* that left in it */
    bool is_high;     /* the window before had EVENTS_PER_MESSAGE events or more for each linger */
};

/* A message with `events` leaves. Before that, a window of at least `linger_ns` is closed. */
static inline void event_rate_add(struct event_rate *rate, uint32_t events, int64_t linger_ns, int64_t now_ns)
{
    const int64_t elapsed_ns = now_ns - rate->began_ns;

    if (elapsed_ns >= linger_ns) {
        rate->is_high = rate->events * (uint64_t)linger_ns >= EVENTS_PER_MESSAGE * (uint64_t)elapsed_ns;
        rate->began_ns = now_ns;
        rate->events = 0;
    }
    rate->events += events;
}

#endif
