/* chan_limits.h - the bounds of a channel, what it does when it is full, and why events get
 * lost. */
#ifndef TRIBUTARY_FLOW_CHAN_LIMITS_H
#define TRIBUTARY_FLOW_CHAN_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "event/field_path.h"

/* The overflow policy. Numbers as in the API's enum Overflow. */
enum overflow {
    OVERFLOW_BY_FEED = 0,     /* BLOCK for pausable feeds, DROP_OLDEST for shared ones */
    OVERFLOW_BLOCK = 1,       /* parks what does not fit */
    OVERFLOW_DROP_OLDEST = 2, /* the feed with most bytes waiting loses its oldest events */
    OVERFLOW_DROP_NEWEST = 3, /* drops what does not fit */
    OVERFLOW_DISCONNECT = 4,  /* drops what does not fit, and breaks the channel */
    /* Keeps one waiting event for each (source, topic, key). A newer one replaces it. Events
     * without a key replace nothing. What does not fit is dropped as by DROP_OLDEST. */
    OVERFLOW_LATEST_PER_KEY = 5,
    OVERFLOW_COUNT
};

/* Why events were lost. Numbers as in the API's enum LossReason. */
enum loss {
    LOSS_OVERFLOW_OLDEST = 1,
    LOSS_OVERFLOW_NEWEST = 2,
    LOSS_COALESCED = 3, /* a newer event of the same key took its place */
    LOSS_EXPIRED = 4,   /* older than max_age_ns */
    LOSS_BLOCK_TIMEOUT = 5,
    LOSS_DRAIN_CUT = 6, /* still waiting at the deadline of a drain */
    LOSS_BUDGET = 7,    /* the server is short of memory */
    LOSS_RESUME_GAP = 8,
    LOSS_CONSUMER_GONE = 9,         /* counted, never reported */
    LOSS_REPORTED_BY_PRODUCER = 10, /* of an upstream server, whose reason is not known here */
    LOSS_TRIMMED = 11,              /* retention or deletion overtook the reader of a stored topic */
    LOSS_COUNT = 12
};

/* Events are held until they can go in the order of their times: see docs/order.md. */
struct sort_window {
    int64_t duration_ns; /* how long an event is held; 0: events are not sorted */
    uint32_t max_events; /* held events; 1 to half of chan_limits.max_events */
    /* The time stands in this field of an event's data; `count` 0: it is the event's own. */
    struct field_path field;
    bool is_raw; /* an event is data alone, with nothing of ours around it; `field` is in it */
};

struct chan_limits {
    bool no_states;      /* nobody wants the states of shared sources */
    uint32_t max_events; /* waiting events; at least 1 */
    uint64_t max_bytes;  /* at least 1; one larger event is accepted when nothing else waits */
    int64_t max_age_ns;  /* from the chunk's observed_mono_ns; 0: no bound */
    enum overflow overflow;
    /* With BLOCK and BY_FEED: applies to shared feeds after the block timeout, to a pausable feed
     * beyond its reserve, and beyond the bounds of what may be parked. One of DROP_OLDEST,
     * DROP_NEWEST and DISCONNECT. */
    enum overflow fallback;
    /* With BLOCK, for shared feeds: how long they may be blocked. 0: the fallback becomes active at
     * once. */
    int64_t block_timeout_ns;
    struct sort_window sort;
};

#endif
