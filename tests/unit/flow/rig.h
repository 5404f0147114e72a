/* rig.h - a channel with feeds named a, b, c and so on, whose answers are short texts: "a1-3 b7"
 * was taken, "a:NEWEST 4-5 x2" was lost. */
#ifndef TRIBUTARY_TESTS_FLOW_RIG_H
#define TRIBUTARY_TESTS_FLOW_RIG_H

#include "flow/chan.h"

#define RIG_FEEDS 10
#define FOR_EVER INT64_MAX

struct rig_pacer { /* of a paced feed */
    struct rig *rig;
    const char *name;
    bool paused, silenced;
};

struct rig {
    struct chan *chan;
    struct source *sources[RIG_FEEDS];
    struct feed *feeds[RIG_FEEDS];      /* NULL: closed */
    uint64_t next[RIG_FEEDS];           /* the next sequence */
    _Atomic uint64_t routed[RIG_FEEDS]; /* what the feeds follow */
    uint32_t count;
    int64_t observed_ns; /* of chunks to come; at first now */
    struct chan_batch batch;
    struct rig_pacer pacers[RIG_FEEDS];
    char paces[1024]; /* what producers were asked for since the last rig_paces() */
    uint32_t rings;
    char text[4096]; /* the last answer */
};

struct waiter {
    struct put_waiter waiter;
    uint32_t over; /* how often */
};

void rig_open(struct rig *rig, const struct chan_limits *limits, uint32_t feeds);
/* in this order */
void rig_open_paced(struct rig *rig, const struct chan_limits *limits, uint32_t shared, uint32_t pausable);
void rig_close(struct rig *rig); /* checks that nothing is left behind */

/* One chunk of `events` events of `size` bytes into feed number `feed`. */
enum err rig_put(struct rig *rig, uint32_t feed, uint32_t events, uint32_t size);

/* Events of topic `t` with these keys, "k1 k2 - k1"; `-` is none. Their sizes as they come. */
enum err rig_put_keys(struct rig *rig, uint32_t feed, const char *keys);

/* The same as a putter who may have to wait: the whole protocol. */
enum err rig_put_waiting(struct rig *rig, uint32_t feed, uint32_t events, uint32_t size,
                         struct waiter *waiter);

/* Takes at most so many events into flight. */
const char *rig_take(struct rig *rig, uint32_t max_events);
const char *rig_taken(struct rig *rig); /* what is in flight */
/* Takes and delivers at once. */
const char *rig_deliver(struct rig *rig, uint32_t max_events);
const char *rig_losses(struct rig *rig, uint32_t max);
const char *rig_positions(struct rig *rig, bool all, uint32_t max);
const char *rig_states(struct rig *rig, uint32_t max);
void rig_feed_close(struct rig *rig, uint32_t feed, uint32_t state);
const char *rig_paces(struct rig *rig); /* "b stops c stops b goes"; each must alternate */

/* Checks the equation, and that the feeds' sums add up to the channel's (none may have gone).
 * Returns the channel's sums. */
struct chan_stats rig_balance(struct rig *rig);

#endif
