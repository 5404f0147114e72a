/* test_chan_model.c - random schedules, compared with a plain model after every step.
 *
 * A failure names its seed; TRIBUTARY_SEED=<it> runs that one alone. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"
#include "keyed.h"
#include "lib/chunks.h"
#include "model.h"

#define SEEDS 3000
#define STEPS 120
#define MAX_PUTS STEPS
#define MAX_EVENTS 16
#define HOUR_NS (3600 * NS_PER_S)

struct waiter {
    struct put_waiter waiter;
    uint32_t over;
    bool waits; /* put_waiter_end() said AGAIN */
};

struct pacer {
    struct trial *trial;
    bool paused;
};

struct trial {
    uint64_t seed, random;
    unsigned step;
    const char *did; /* the present step */
    struct chan *chan;
    struct feed *feeds[MODEL_FEEDS];
    struct source *sources[MODEL_FEEDS];
    uint64_t next[MODEL_FEEDS];
    _Atomic uint64_t routed[MODEL_FEEDS];
    uint32_t feed_count;
    struct waiter waiters[MAX_PUTS];
    struct pacer pacers[MODEL_FEEDS];
    uint32_t puts;
    struct chan_batch batch;
    bool more; /* the last take said so */
    uint32_t rings;
    uint32_t told; /* notes of the present call */
    uint32_t mark; /* the last that was drawn */
    struct model model;
};

#define HOLDS(trial, condition)                                                                              \
    cr_assert(condition, "seed %llu, step %u (%s): %s", (unsigned long long)(trial)->seed, (trial)->step,    \
              (trial)->did, #condition)

/* splitmix64 */
static uint32_t roll(struct trial *trial, uint32_t sides)
{
    uint64_t z = trial->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) % sides);
}

static void rang(void *ctx)
{
    struct trial *trial = ctx;

    trial->rings++;
}

static void over(struct put_waiter *waiter)
{
    container_of(waiter, struct waiter, waiter)->over++;
}

static void set_paused(void *ctx, bool pause)
{
    struct pacer *pacer = ctx;

    HOLDS(pacer->trial, pacer->paused != pause);
    pacer->paused = pause;
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

    trial->told++;
    HOLDS(trial, same(stats->accepted, model->accepted));
    HOLDS(trial, same(stats->delivered, model->delivered));
    HOLDS(trial, same(stats->dropped, model->dropped));
    HOLDS(trial, same(stats->queued, sum(model_line_totals(&trial->model.waiting, feed),
                                         model_line_totals(&trial->model.in_flight, feed))));
    HOLDS(trial, same(stats->accepted, sum(sum(stats->delivered, stats->dropped), stats->queued)));
}

static void compare(struct trial *trial)
{
    const struct model *model = &trial->model;
    struct chan_stats stats;
    uint32_t at_least = 0;

    model_line(&trial->model);
    chan_stats(trial->chan, &stats);
    HOLDS(trial, same(stats.accepted, sum(sum(stats.delivered, chan_dropped(&stats)), stats.queued)));
    HOLDS(trial, same(stats.accepted, model->accepted));
    HOLDS(trial, same(stats.delivered, model->delivered));
    HOLDS(trial, same(stats.queued, sum(model_line_totals(&model->waiting, MODEL_FEEDS),
                                        model_line_totals(&model->in_flight, MODEL_FEEDS))));
    for (int i = 0; i < LOSS_COUNT; i++)
        HOLDS(trial, same(stats.dropped[i], model->dropped[i]));
    HOLDS(trial, stats.fallback_active == model->fallback_active);
    HOLDS(trial, stats.blocked == model_is_stalled(model));
    HOLDS(trial, (chan_blocked_until(trial->chan) < INT64_MAX) == stats.blocked);
    HOLDS(trial, chan_state(trial->chan) == model->state);
    HOLDS(trial, chan_idle(trial->chan) ==
                     (model->waiting.count + model->parked.count + model->in_flight.count == 0));
    HOLDS(trial, trial->more || (model->waiting.count == 0 && !model->at_line) || trial->rings > 0);
    for (uint32_t i = 0; i < trial->puts; i++) {
        const struct waiter *waiter = &trial->waiters[i];

        HOLDS(trial, waiter->over == (waiter->waits && !model_is_parked(model, i) ? 1 : 0));
    }
    trial->told = 0;
    chan_feeds(trial->chan, UINT32_MAX, compare_feed, trial);
    for (uint32_t i = 0; i < trial->feed_count; i++) {
        bool parked = model->feeds[i].pausable && model_line_totals(&model->parked, i).events > 0;

        at_least += !model->feeds[i].gone;
        if (trial->feeds[i] && model->state != CHAN_CLOSED)
            HOLDS(trial, trial->pacers[i].paused == parked);
    }
    HOLDS(trial, trial->told >= at_least);
}

/* Key 0 is none; each topic has three keys, and there are three topics. */
static struct keyed_event keyed(uint32_t key, uint32_t size)
{
    static const char *const names[] = {"x", "y", "z"};

    return (struct keyed_event){
        .topic = names[key % 3], .key = key > 0 ? names[key / 3 % 3] : NULL, .size = size};
}

/* As a filter leaves it: every other event of a chunk that has them all. */
static struct chunk *with_holes(struct source *source, uint64_t first_sequence, int64_t observed_ns,
                                uint32_t count, const struct keyed_event *events)
{
    struct keyed_event all[2 * MAX_EVENTS];
    OWNED(chunk_release) struct chunk *whole = NULL;
    struct chunk *picked;
    uint32_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        all[2 * i] = events[i];
        all[2 * i + 1] = keyed(0, 0);
        bytes += events[i].size;
    }
    whole = chunk_keyed(source, first_sequence, observed_ns, 2 * count, all);
    picked = chunk_picked(count, bytes);
    for (uint32_t i = 0; i < count; i++)
        chunk_pick(picked, whole, 2 * i, 2 * i + 1);
    return picked;
}

static struct chunk *draw_chunk(struct trial *trial, uint32_t feed, uint32_t count,
                                struct model_event *events)
{
    /* Each feed counts in a prime of its own, so that no two ever hold equally much: then
     * DROP_OLDEST has no choice. */
    static const uint32_t unit[MODEL_FEEDS] = {1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049};
    bool old = roll(trial, 4) == 0, has_keys = trial->model.limits.overflow == OVERFLOW_LATEST_PER_KEY;
    int64_t observed_ns = clock_mono_ns() - (old ? 2 * HOUR_NS : 0);
    struct keyed_event real[MAX_EVENTS];
    uint32_t sizes[MAX_EVENTS], step = 1 + (roll(trial, 4) == 0);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = unit[feed] * (1 + roll(trial, roll(trial, 20) ? 20 : 60)),
                 key = has_keys ? roll(trial, 10) : 0;

        events[i] = (struct model_event){.feed = feed,
                                         .size = size,
                                         .put = trial->puts,
                                         .key = key,
                                         .line = trial->model.line,
                                         .sequence = trial->next[feed] + i * step,
                                         .old = old};
        sizes[i] = size;
        real[i] = keyed(key, size);
    }
    if (step > 1)
        return with_holes(trial->sources[feed], trial->next[feed], observed_ns, count, real);
    if (has_keys)
        return chunk_keyed(trial->sources[feed], trial->next[feed], observed_ns, count, real);
    return chunk_sized(trial->sources[feed], trial->next[feed], observed_ns, count, sizes);
}

static enum err put_chunk(struct trial *trial, uint32_t feed, struct chunk *chunk, uint32_t first,
                          uint32_t last)
{
    struct waiter *waiter = &trial->waiters[trial->puts];
    enum err err;

    if (trial->model.feeds[feed].pausable)
        return chan_put(trial->chan, trial->feeds[feed], chunk, first, last, NULL);
    waiter->waiter.over = over;
    put_waiter_begin(&waiter->waiter);
    err = chan_put(trial->chan, trial->feeds[feed], chunk, first, last, &waiter->waiter);
    waiter->waits = put_waiter_end(&waiter->waiter) == ERR_AGAIN;
    HOLDS(trial, waiter->waits == (err == ERR_AGAIN));
    return err;
}

static void put(struct trial *trial)
{
    uint32_t feed = roll(trial, trial->feed_count), count = 1 + roll(trial, roll(trial, 3) ? 4 : MAX_EVENTS);
    uint32_t first = roll(trial, 4) ? 0 : roll(trial, count), last = first + 1 + roll(trial, count - first);
    struct model_event events[MAX_EVENTS];
    struct chunk *chunk;
    enum err err;

    trial->did = "put";
    if (!trial->feeds[feed])
        return;
    chunk = draw_chunk(trial, feed, count, events);
    err = put_chunk(trial, feed, chunk, first, last);
    chunk_release(chunk);
    trial->puts++;
    trial->next[feed] = events[count - 1].sequence + 1;
    HOLDS(trial, model_put(&trial->model, events + first, last - first) == err);
    if (roll(trial, 2)) {
        /* What was left out of the chunk's end, and perhaps more, was filtered out. */
        trial->next[feed] += roll(trial, 3);
        trial->routed[feed] = trial->next[feed] - 1;
        trial->model.feeds[feed].routed = trial->next[feed] - 1;
    }
}

static void mark(struct trial *trial)
{
    trial->did = "mark";
    if (roll(trial, 2)) {
        chan_mark(trial->chan, ++trial->mark);
        model_mark(&trial->model, trial->mark);
    } else {
        HOLDS(trial, chan_marked(trial->chan) == model_marked(&trial->model));
    }
}

static void batch(struct trial *trial)
{
    uint32_t max_events = 1 + roll(trial, 12), at = 0;
    uint64_t max_bytes = 1 + roll(trial, 200000);
    const struct model_line *in_flight = &trial->model.in_flight;

    trial->did = "take";
    if (trial->batch.count > 0)
        return;
    if (roll(trial, 4) == 0)
        HOLDS(trial, chan_next_bytes(trial->chan) == model_next(&trial->model));
    model_line(&trial->model);
    if (roll(trial, 4) > 0)
        HOLDS(trial, chan_marked(trial->chan) == model_marked(&trial->model));
    trial->more = chan_dequeue(trial->chan, &trial->batch, max_events, max_bytes, clock_mono_ns());
    trial->rings = 0;
    HOLDS(trial, model_take(&trial->model, max_events, max_bytes) == trial->more);
    HOLDS(trial, trial->batch.events == in_flight->count);
    HOLDS(trial, trial->batch.bytes == model_line_totals(in_flight, MODEL_FEEDS).bytes);
    for (uint32_t i = 0; i < trial->batch.count; i++)
        for (uint32_t k = trial->batch.entries[i].first; k < trial->batch.entries[i].last; k++, at++) {
            HOLDS(trial, trial->batch.entries[i].chunk->source->epoch == in_flight->events[at].feed);
            HOLDS(trial, chunk_sequence(trial->batch.entries[i].chunk, k) == in_flight->events[at].sequence);
        }
    HOLDS(trial, at == in_flight->count);
}

static void land(struct trial *trial)
{
    enum loss reason = roll(trial, 5) ? (enum loss)0 : roll(trial, 2) ? LOSS_DRAIN_CUT : LOSS_CONSUMER_GONE;

    trial->did = "land";
    if (reason == 0)
        chan_delivered(trial->chan, &trial->batch);
    else
        chan_lost(trial->chan, &trial->batch, reason);
    HOLDS(trial, trial->batch.count == 0 && trial->batch.events == 0 && trial->batch.bytes == 0);
    model_land(&trial->model, reason);
}

static void tick(struct trial *trial)
{
    bool late = roll(trial, 2);

    trial->did = late ? "late tick" : "tick";
    chan_tick(trial->chan, clock_mono_ns() + (late ? 2 * HOUR_NS : 0));
    if (late)
        model_latch(&trial->model);
}

static void compare_loss(void *ctx, const struct lost_note *note)
{
    struct trial *trial = ctx;
    struct lost_note *model = &trial->model.feeds[note->source->epoch].untold[note->reason];

    trial->told++;
    HOLDS(trial, note->count > 0 && note->count == model->count);
    HOLDS(trial, note->bytes == model->bytes);
    HOLDS(trial, note->first_sequence == model->first_sequence);
    HOLDS(trial, note->last_sequence == model->last_sequence);
    *model = (struct lost_note){0};
}

static void losses(struct trial *trial)
{
    uint32_t max = roll(trial, 3) ? UINT32_MAX : roll(trial, 4), told;

    trial->did = "losses";
    trial->told = 0;
    told = chan_losses(trial->chan, max, compare_loss, trial);
    HOLDS(trial, told == trial->told && told <= max);
    for (uint32_t i = 0; i < trial->feed_count && told < max; i++)
        for (uint32_t reason = 0; reason < LOSS_COUNT; reason++)
            HOLDS(trial, trial->model.feeds[i].untold[reason].count == 0);
}

static void compare_position(void *ctx, const struct source *source, uint64_t sequence)
{
    struct trial *trial = ctx;
    uint32_t feed = (uint32_t)source->epoch;

    trial->told++;
    HOLDS(trial, sequence == MAX_OF(model_position(&trial->model, feed), trial->model.feeds[feed].told));
    trial->model.feeds[feed].told = sequence;
}

static void positions(struct trial *trial)
{
    uint32_t max = roll(trial, 3) ? UINT32_MAX : roll(trial, 4), told;
    bool all = roll(trial, 4) == 0;

    trial->did = all ? "all positions" : "positions";
    trial->told = 0;
    told = chan_positions(trial->chan, all, max, compare_position, trial);
    HOLDS(trial, told == trial->told && told <= max);
    for (uint32_t i = 0; i < trial->feed_count && told < max; i++)
        HOLDS(trial,
              trial->model.feeds[i].gone || model_position(&trial->model, i) <= trial->model.feeds[i].told);
}

static void compare_state(void *ctx, const struct feed_change *change)
{
    struct trial *trial = ctx;
    uint32_t feed = (uint32_t)change->source->epoch, state = change->state;
    struct model_feed *model = &trial->model.feeds[feed];

    trial->told++;
    HOLDS(trial, !model->gone && state == model->state && state != model->state_told);
    HOLDS(trial, !model->closed || !model_has_more(&trial->model, feed));
    model->state_told = state;
}

static void states(struct trial *trial)
{
    uint32_t told;

    trial->did = "states";
    trial->told = 0;
    told = chan_states(trial->chan, UINT32_MAX, compare_state, trial);
    HOLDS(trial, told == trial->told);
    for (uint32_t i = 0; i < trial->feed_count; i++) {
        struct model_feed *model = &trial->model.feeds[i];

        model->gone |= model->closed && !model_has_more(&trial->model, i);
        HOLDS(trial, model->state == model->state_told || (model->closed && !model->gone));
    }
}

static void control(struct trial *trial)
{
    uint32_t feed = roll(trial, trial->feed_count), what = roll(trial, 12);
    enum loss reason = roll(trial, 2) ? LOSS_CONSUMER_GONE : LOSS_DRAIN_CUT;
    struct model_feed *model = &trial->model.feeds[feed];

    trial->did = "control";
    if (what < 4 && trial->feeds[feed]) {
        model->state = 1 + roll(trial, 3);
        feed_state(trial->chan, trial->feeds[feed], model->state);
    } else if (what < 7 && trial->feeds[feed]) {
        feed_gap(trial->chan, trial->feeds[feed], 1000, 1000 + what, false);
        model_gap(&trial->model, feed, 1000, 1000 + what);
    } else if (what < 9 && trial->feeds[feed]) {
        feed_close(trial->chan, trial->feeds[feed], 9, 0, NULL);
        trial->feeds[feed] = NULL;
        model->state = 9;
        model->closed = true;
    } else if (what == 10 && roll(trial, 3) == 0) {
        trial->did = "drain";
        chan_drain(trial->chan);
        model_drain(&trial->model);
    } else if (what == 11 && roll(trial, 6) == 0) {
        trial->did = "close";
        chan_close(trial->chan, reason);
        model_close(&trial->model, reason);
    }
}

static struct chan_limits draw_limits(struct trial *trial)
{
    static const int64_t timeouts[] = {HOUR_NS, HOUR_NS, HOUR_NS, 0};

    return (struct chan_limits){.max_events = 1 + roll(trial, roll(trial, 4) ? 24 : 2),
                                .max_bytes = 1 + roll(trial, roll(trial, 3) ? 400000 : 30000),
                                .max_age_ns = roll(trial, 2) ? HOUR_NS : 0,
                                .overflow = roll(trial, 2) ? OVERFLOW_BLOCK
                                                           : (enum overflow)roll(trial, OVERFLOW_COUNT),
                                .fallback = (enum overflow)(OVERFLOW_DROP_OLDEST + roll(trial, 3)),
                                .block_timeout_ns = timeouts[roll(trial, 4)]};
}

static void begin(struct trial *trial, uint64_t seed)
{
    struct chan_callbacks callbacks = {.readable = rang, .ctx = trial};

    *trial = (struct trial){.seed = seed, .random = seed, .did = "begin"};
    trial->model.limits = draw_limits(trial);
    trial->chan = chan_new(&trial->model.limits, &callbacks);
    trial->feed_count = 1 + roll(trial, MODEL_FEEDS);
    for (uint32_t i = 0; i < trial->feed_count; i++) {
        trial->sources[i] = source_named("source", i);
        trial->pacers[i].trial = trial;
        trial->model.feeds[i].pausable = roll(trial, 2);
        trial->feeds[i] = feed_open(
            trial->chan, trial->sources[i], 1,
            trial->model.feeds[i].pausable ? &(struct pause_port){set_paused, &trial->pacers[i]} : NULL);
        feed_follow(trial->feeds[i], &trial->routed[i]);
        trial->model.feeds[i].state = 1;
        trial->next[i] = 1;
    }
}

static void end(struct trial *trial)
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

static void run(uint64_t seed)
{
    static void (*const steps[])(struct trial *) = {put,  put,  put,    put,       batch,  batch,   land,
                                                    land, tick, losses, positions, states, control, mark};
    static struct trial trial;

    begin(&trial, seed);
    for (trial.step = 0; trial.step < STEPS; trial.step++) {
        steps[roll(&trial, ARRAY_LEN(steps))](&trial);
        compare(&trial);
    }
    end(&trial);
}

Test(chan_model, random_schedules_agree_with_the_model)
{
    const char *seed = getenv("TRIBUTARY_SEED");

    if (seed) {
        run(strtoull(seed, NULL, 0));
        return;
    }
    for (uint64_t i = 1; i <= SEEDS; i++)
        run(i);
}
