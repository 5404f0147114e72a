/* chan_trial.c - a channel and its model, side by side. */
#include "chan_trial.h"

#include "base/splitmix.h"
#include "flow/chan_batch.h"
#include "flow/chan_stats.h"
#include "flow/feed.h"
#include "flow/shared_feed.h"
#include "flow/totals.h"
#include "lib/chunks.h"

uint32_t trial_roll(struct trial *trial, uint32_t sides)
{
    return (uint32_t)(splitmix64(&trial->random) % sides);
}

static void count_readable(void *ctx)
{
    struct trial *trial = ctx;

    trial->readable_calls++;
}

static void set_paused(void *ctx, bool pause)
{
    struct fake_producer *fake_producer = ctx;

    HOLDS(fake_producer->trial, fake_producer->paused != pause);
    fake_producer->paused = pause;
}

static bool same(struct totals a, struct totals b)
{
    return a.events == b.events && a.bytes == b.bytes;
}

static struct totals sum(struct totals a, struct totals b)
{
    return (struct totals){a.events + b.events, a.bytes + b.bytes};
}

static void compare_feed(void *ctx, const struct feed_stats *stats)
{
    struct trial *trial = ctx;
    uint32_t feed = (uint32_t)stats->source->epoch;
    const struct model_feed *model = &trial->model.feeds[feed];

    trial->reported++;
    /* A feed that is made when it is needed does not know what was before. */
    if (!trial->made[feed]) {
        HOLDS(trial, same(stats->accepted, model->accepted));
        HOLDS(trial, same(stats->delivered, model->delivered));
        HOLDS(trial, same(stats->dropped, model->dropped));
    }
    HOLDS(trial, same(stats->queued, sum(model_queue_totals(&trial->model.waiting, feed),
                                         model_queue_totals(&trial->model.in_flight, feed))));
    HOLDS(trial, same(stats->accepted, sum(sum(stats->delivered, stats->dropped), stats->queued)));
}

void trial_compare(struct trial *trial)
{
    const struct model *model = &trial->model;
    struct chan_stats stats;
    struct feed_stats others;
    uint32_t at_least = 0;

    model_update_mark(&trial->model);
    chan_stats(trial->chan, &stats);
    HOLDS(trial, same(stats.accepted, sum(sum(stats.delivered, chan_dropped(&stats)), stats.queued)));
    HOLDS(trial, same(stats.accepted, model->accepted));
    HOLDS(trial, same(stats.delivered, model->delivered));
    HOLDS(trial, same(stats.queued, sum(model_queue_totals(&model->waiting, MODEL_FEEDS),
                                        model_queue_totals(&model->in_flight, MODEL_FEEDS))));
    for (int i = 0; i < LOSS_COUNT; i++)
        HOLDS(trial, same(stats.dropped[i], model->dropped[i]));
    HOLDS(trial, stats.fallback_active == model->fallback_active);
    HOLDS(trial, stats.blocked == model_is_blocked(model));
    HOLDS(trial, (chan_blocked_until(trial->chan) < INT64_MAX) == stats.blocked);
    HOLDS(trial, chan_state(trial->chan) == model->state);
    HOLDS(trial, chan_idle(trial->chan) ==
                     (model->waiting.count + model->parked.count + model->in_flight.count == 0));
    HOLDS(trial, trial->more || (model->waiting.count == 0 && !model->at_mark) || trial->readable_calls > 0);
    for (uint32_t i = 0; i < trial->puts; i++) {
        const struct waiter *waiter = &trial->waiters[i];

        /* Nobody waits for a shared source that has ended. */
        bool ended = !trial->feeds[waiter->feed];

        HOLDS(trial, waiter->over == (waiter->waits && (ended || !model_is_parked(model, i)) ? 1 : 0));
    }
    trial->reported = 0;
    chan_feeds(trial->chan, UINT32_MAX, compare_feed, trial, &stats, &others);
    for (uint32_t i = 0; i < trial->feed_count; i++) {
        bool parked = model->feeds[i].pausable && model_queue_totals(&model->parked, i).events > 0;

        at_least += !model->feeds[i].gone && !trial->made[i];
        if (trial->feeds[i] && model->state != CHAN_CLOSED)
            HOLDS(trial, trial->producers[i].paused == parked);
    }
    HOLDS(trial, trial->reported >= at_least);
    HOLDS(trial, same(others.accepted, sum(sum(others.delivered, others.dropped), others.queued)));
    HOLDS(trial, others.queued.events == 0);
}

static struct chan_limits draw_limits(struct trial *trial)
{
    static const int64_t timeouts[] = {HOUR_NS, HOUR_NS, HOUR_NS, 0};

    return (struct chan_limits){
        .max_events = 1 + trial_roll(trial, trial_roll(trial, 4) ? 24 : 2),
        .max_bytes = 1 + trial_roll(trial, trial_roll(trial, 3) ? 400000 : 30000),
        .max_age_ns = trial_roll(trial, 2) ? HOUR_NS : 0,
        .overflow = trial_roll(trial, 2) ? OVERFLOW_BLOCK : (enum overflow)trial_roll(trial, OVERFLOW_COUNT),
        .fallback = (enum overflow)(OVERFLOW_DROP_OLDEST + trial_roll(trial, 3)),
        .block_timeout_ns = timeouts[trial_roll(trial, 4)]};
}

void trial_begin(struct trial *trial, uint64_t seed)
{
    struct chan_callbacks callbacks = {.readable = count_readable, .ctx = trial};

    *trial = (struct trial){.seed = seed, .random = seed, .did = "begin"};
    trial->model.limits = draw_limits(trial);
    trial->chan = chan_new(&trial->model.limits, &callbacks);
    trial->feed_count = 1 + trial_roll(trial, MODEL_FEEDS);
    for (uint32_t i = 0; i < trial->feed_count; i++) {
        trial->sources[i] = source_named("source", i);
        trial->producers[i].trial = trial;
        trial->model.feeds[i].pausable = trial_roll(trial, 2);
        trial->model.feeds[i].state = 1;
        trial->next[i] = 1;
        trial->made[i] = !trial->model.feeds[i].pausable && trial_roll(trial, 2);
        if (trial->made[i]) {
            trial->feeds[i] = (struct feed *)(void *)trial;
            shared_state(trial->chan, trial->sources[i], &(struct source_state){.state = 1});
            continue;
        }
        trial->feeds[i] =
            feed_open(trial->chan, trial->sources[i], 1,
                      trial->model.feeds[i].pausable
                          ? &(struct pause_port){.set_paused = set_paused, .ctx = &trial->producers[i]}
                          : NULL);
        feed_follow(trial->feeds[i], &trial->routed[i]);
    }
}

void trial_end(struct trial *trial)
{
    chan_lost(trial->chan, &trial->batch, LOSS_CONSUMER_GONE);
    chan_batch_fini(&trial->batch);
    chan_release(trial->chan);
    for (uint32_t i = 0; i < trial->feed_count; i++)
        source_release(trial->sources[i]);
    trial->did = "release";
    for (uint32_t i = 0; i < trial->puts; i++)
        HOLDS(trial, trial->waiters[i].over == (trial->waiters[i].waits ? 1 : 0));
}
