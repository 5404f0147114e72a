/* flow_fixture.h - a channel with feeds named a, b, c and so on. Its answers are short texts: "a1-3
 * b7" was dequeued, "a:NEWEST 4-5 x2" was lost. */
#ifndef TRIBUTARY_TESTS_FLOW_FLOW_FIXTURE_H
#define TRIBUTARY_TESTS_FLOW_FLOW_FIXTURE_H

#include "event/chunk.h"
#include "flow/chan.h"
#include "flow/chan_batch.h"
#include "flow/chan_stats.h"
#include "flow/put_waiter.h"

#define FIXTURE_FEEDS 10
#define FOR_EVER INT64_MAX

struct fake_producer { /* of a pausable feed */
    struct flow_fixture *fixture;
    const char *name;
    bool paused, silenced;
};

struct flow_fixture {
    struct chan *chan;
    struct source *sources[FIXTURE_FEEDS];
    struct feed *feeds[FIXTURE_FEEDS];      /* NULL: closed */
    uint64_t next[FIXTURE_FEEDS];           /* the next sequence */
    _Atomic uint64_t routed[FIXTURE_FEEDS]; /* what the feeds follow */
    uint32_t count;
    int64_t observed_ns; /* of chunks to come; now, at first */
    struct chan_batch batch;
    struct fake_producer producers[FIXTURE_FEEDS];
    char pauses[1024]; /* what producers were asked for since the last flow_fixture_pauses() */
    uint32_t readable_calls;
    uint32_t wanted_positions;
    char text[4096]; /* the last answer */
};

struct waiter {
    struct put_waiter waiter;
    uint32_t over; /* how often it was notified */
};

void flow_fixture_open(struct flow_fixture *fixture, const struct chan_limits *limits, uint32_t feeds);
/* The shared feeds come first. */
void flow_fixture_open_pausable(struct flow_fixture *fixture, const struct chan_limits *limits,
                                uint32_t shared, uint32_t pausable);
void flow_fixture_close(struct flow_fixture *fixture); /* checks that nothing is left behind */

/* Puts one chunk of `events` events of `size` bytes into feed number `feed`. */
enum err flow_fixture_put(struct flow_fixture *fixture, uint32_t feed, uint32_t events, uint32_t size);

/* Puts events of topic `t` with these keys, "k1 k2 - k1"; `-` is none. Each event has the size that
 * it needs. */
enum err flow_fixture_put_keys(struct flow_fixture *fixture, uint32_t feed, const char *keys);

/* Puts with a waiter, in the whole protocol. */
enum err flow_fixture_put_waiting(struct flow_fixture *fixture, uint32_t feed, uint32_t events, uint32_t size,
                                  struct waiter *waiter);

/* Dequeues at most this many events. They stay in flight. */
const char *flow_fixture_dequeue(struct flow_fixture *fixture, uint32_t max_events);
const char *flow_fixture_in_flight(struct flow_fixture *fixture); /* what is in flight */
/* Dequeues and delivers at once. */
const char *flow_fixture_deliver(struct flow_fixture *fixture, uint32_t max_events);
const char *flow_fixture_losses(struct flow_fixture *fixture, uint32_t max);
const char *flow_fixture_positions(struct flow_fixture *fixture, uint32_t max);
/* All positions until `wanted` were given. */
const char *flow_fixture_all_positions(struct flow_fixture *fixture, uint32_t wanted);
const char *flow_fixture_states(struct flow_fixture *fixture, uint32_t max);
void flow_fixture_feed_close(struct flow_fixture *fixture, uint32_t feed, uint32_t state);
const char *flow_fixture_pauses(
    struct flow_fixture *fixture); /* "b stops c stops b goes"; each producer's must alternate */

/* Checks the equation, and that the totals of the feeds add up to the channel's (no feed may have
 * gone). Returns the channel's stats. */
struct chan_stats flow_fixture_balance(struct flow_fixture *fixture);

/* How many feeds the channel has. Checks the balance. */
uint32_t flow_fixture_feeds(struct flow_fixture *fixture);

#endif
