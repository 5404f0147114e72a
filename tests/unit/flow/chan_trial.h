/* chan_trial.h - one trial of test_chan_model: a channel and its model, side by side. */
#ifndef TRIBUTARY_TESTS_FLOW_CHAN_TRIAL_H
#define TRIBUTARY_TESTS_FLOW_CHAN_TRIAL_H

#include <criterion/criterion.h>

#include "base/clock.h"
#include "chan_model.h"
#include "flow/chan_batch.h"
#include "flow/put_waiter.h"

#define STEPS 120
#define MAX_PUTS STEPS
#define MAX_EVENTS 16
#define HOUR_NS (3600 * NS_PER_S)

struct waiter {
    struct put_waiter waiter;
    uint32_t over;
    uint32_t feed;
    bool waits; /* put_waiter_end() returned ERR_AGAIN */
};

struct fake_producer {
    struct trial *trial;
    bool paused;
};

struct trial {
    uint64_t seed, random;
    unsigned step;
    const char *did; /* the present step, in words */
    struct chan *chan;
    /* NULL: closed. What a feed that the channel makes by itself has here is not NULL, and means
     * nothing else. */
    struct feed *feeds[MODEL_FEEDS];
    bool made[MODEL_FEEDS]; /* the channel makes the feed by itself (shared_feed.h) */
    struct source *sources[MODEL_FEEDS];
    uint64_t next[MODEL_FEEDS];
    _Atomic uint64_t routed[MODEL_FEEDS];
    uint32_t feed_count;
    struct waiter waiters[MAX_PUTS];
    struct fake_producer producers[MODEL_FEEDS];
    uint32_t puts;
    struct chan_batch batch;
    bool more; /* the last chan_dequeue() returned that */
    uint32_t readable_calls;
    uint32_t reported; /* how often the present call called back */
    uint32_t mark;     /* the last one that was set */
    struct model model;
};

#define HOLDS(trial, condition)                                                                              \
    cr_assert(condition, "seed %llu, step %u (%s): %s", (unsigned long long)(trial)->seed, (trial)->step,    \
              (trial)->did, #condition)

/* A random number below `sides`. The seed decides them all. */
uint32_t trial_roll(struct trial *trial, uint32_t sides);

void trial_begin(struct trial *trial, uint64_t seed);
void trial_compare(struct trial *trial); /* after each step: channel and model must agree */
void trial_end(struct trial *trial);

#endif
