/* test_chan_model.c - random schedules, compared with a plain model after every step.
 *
 * A failure names its seed; TRIBUTARY_SEED=<it> runs that one alone. */
#include <stdlib.h>

#include "chan_trial.h"
#include "event/encode.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/feed.h"
#include "flow/put_waiter.h"
#include "flow/shared_feed.h"
#include "keyed.h"
#include "lib/chunks.h"

#define SEEDS 3000

static void over(struct put_waiter *waiter)
{
    container_of(waiter, struct waiter, waiter)->over++;
}

/* Key 0 is none. There are three topics with three keys each. */
static struct keyed_event keyed(uint32_t key, uint32_t size)
{
    static const char *const names[] = {"x", "y", "z"};

    return (struct keyed_event){
        .topic = names[key % 3], .key = key > 0 ? names[key / 3 % 3] : NULL, .size = size};
}

/* A chunk as a filter leaves it: every other event of a chunk that has them all. */
static struct chunk *with_holes(struct source *source, uint64_t first_sequence, int64_t observed_ns,
                                uint32_t count, const struct keyed_event *events)
{
    struct keyed_event all[2 * MAX_EVENTS];
    OWNED(chunk_release) struct chunk *all_events = NULL;
    struct chunk *picked;
    uint32_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        all[2 * i] = events[i];
        all[2 * i + 1] = keyed(0, 0);
        bytes += events[i].size;
    }
    all_events = chunk_keyed(source, first_sequence, observed_ns, 2 * count, all);
    picked = chunk_picked(count, bytes);
    for (uint32_t i = 0; i < count; i++)
        chunk_pick(picked, all_events, 2 * i, 2 * i + 1);
    return picked;
}

static struct chunk *draw_chunk(struct trial *trial, uint32_t feed, uint32_t count,
                                struct model_event *events)
{
    /* The sizes of each feed are multiples of a prime of its own, so that no two feeds ever hold
     * the same number of bytes. Then DROP_OLDEST has no choice. */
    static const uint32_t unit[MODEL_FEEDS] = {1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049};
    bool too_old = trial_roll(trial, 4) == 0,
         has_keys = trial->model.limits.overflow == OVERFLOW_LATEST_PER_KEY;
    int64_t observed_ns = clock_mono_ns() - (too_old ? 2 * HOUR_NS : 0);
    struct keyed_event real[MAX_EVENTS];
    uint32_t sizes[MAX_EVENTS], step = 1 + (trial_roll(trial, 4) == 0);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = unit[feed] * (1 + trial_roll(trial, trial_roll(trial, 20) ? 20 : 60)),
                 key = has_keys ? trial_roll(trial, 10) : 0;

        events[i] = (struct model_event){.feed = feed,
                                         .size = size,
                                         .put = trial->puts,
                                         .key = key,
                                         .marks = trial->model.marks,
                                         .sequence = trial->next[feed] + i * step,
                                         .too_old = too_old};
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
    waiter->feed = feed;
    put_waiter_begin(&waiter->waiter);
    err = chan_put(trial->chan, trial->made[feed] ? NULL : trial->feeds[feed], chunk, first, last,
                   &waiter->waiter);
    if (trial->made[feed] && err != ERR_CLOSED)
        atomic_store(&trial->sources[feed]->routed, chunk_sequence(chunk, last - 1));
    waiter->waits = put_waiter_end(&waiter->waiter) == ERR_AGAIN;
    HOLDS(trial, waiter->waits == (err == ERR_AGAIN));
    return err;
}

static void put(struct trial *trial)
{
    uint32_t feed = trial_roll(trial, trial->feed_count),
             count = 1 + trial_roll(trial, trial_roll(trial, 3) ? 4 : MAX_EVENTS);
    uint32_t first = trial_roll(trial, 4) ? 0 : trial_roll(trial, count),
             last = first + 1 + trial_roll(trial, count - first);
    struct model_event events[MAX_EVENTS] = {[0] = {.size = 0}};
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
    if (trial_roll(trial, 2)) {
        /* The events that the put left out at the end of the chunk were filtered out, and perhaps
         * some more. */
        trial->next[feed] += trial_roll(trial, 3);
        trial->routed[feed] = trial->next[feed] - 1;
        atomic_store(&trial->sources[feed]->routed, trial->next[feed] - 1);
        trial->model.feeds[feed].routed = trial->next[feed] - 1;
    }
}

static void mark(struct trial *trial)
{
    trial->did = "mark";
    if (trial_roll(trial, 2)) {
        chan_mark(trial->chan, ++trial->mark);
        model_mark(&trial->model, trial->mark);
    } else {
        HOLDS(trial, chan_marked(trial->chan) == model_marked(&trial->model));
    }
}

static void batch(struct trial *trial)
{
    uint32_t max_events = 1 + trial_roll(trial, 12), at = 0;
    uint64_t max_bytes = 1 + trial_roll(trial, 200000);
    const struct model_queue *in_flight = &trial->model.in_flight;

    trial->did = "dequeue";
    if (trial->batch.count > 0)
        return;
    if (trial_roll(trial, 4) == 0)
        HOLDS(trial, chan_next_bytes(trial->chan) == model_next(&trial->model));
    model_update_mark(&trial->model);
    if (trial_roll(trial, 4) > 0)
        HOLDS(trial, chan_marked(trial->chan) == model_marked(&trial->model));
    trial->more = chan_dequeue(trial->chan, &trial->batch, max_events, max_bytes, clock_mono_ns());
    trial->readable_calls = 0;
    HOLDS(trial, model_dequeue(&trial->model, max_events, max_bytes) == trial->more);
    HOLDS(trial, trial->batch.events == in_flight->count);
    HOLDS(trial, trial->batch.bytes == model_queue_totals(in_flight, MODEL_FEEDS).bytes);
    for (uint32_t i = 0; i < trial->batch.count; i++)
        for (uint32_t k = trial->batch.entries[i].first; k < trial->batch.entries[i].last; k++, at++) {
            HOLDS(trial, trial->batch.entries[i].chunk->source->epoch == in_flight->events[at].feed);
            HOLDS(trial, chunk_sequence(trial->batch.entries[i].chunk, k) == in_flight->events[at].sequence);
        }
    HOLDS(trial, at == in_flight->count);
}

static void complete(struct trial *trial)
{
    enum loss reason = trial_roll(trial, 5)   ? (enum loss)0
                       : trial_roll(trial, 2) ? LOSS_DRAIN_CUT
                                              : LOSS_CONSUMER_GONE;

    trial->did = "complete";
    if (reason == 0)
        chan_delivered(trial->chan, &trial->batch);
    else
        chan_lost(trial->chan, &trial->batch, reason);
    HOLDS(trial, trial->batch.count == 0 && trial->batch.events == 0 && trial->batch.bytes == 0);
    model_complete(&trial->model, reason);
}

static void tick(struct trial *trial)
{
    bool late = trial_roll(trial, 2);

    trial->did = late ? "late tick" : "tick";
    chan_tick(trial->chan, clock_mono_ns() + (late ? 2 * HOUR_NS : 0));
    if (late)
        model_activate_fallback(&trial->model);
}

static void compare_loss(void *ctx, const struct lost_note *note)
{
    struct trial *trial = ctx;
    struct lost_note *model = &trial->model.feeds[note->source->epoch].unreported[note->reason];

    trial->reported++;
    HOLDS(trial, note->count > 0 && note->count == model->count);
    HOLDS(trial, note->bytes == model->bytes);
    HOLDS(trial, note->first_sequence == model->first_sequence);
    HOLDS(trial, note->last_sequence == model->last_sequence);
    *model = (struct lost_note){0};
}

static void losses(struct trial *trial)
{
    uint32_t max = trial_roll(trial, 3) ? UINT32_MAX : trial_roll(trial, 4), reported;

    trial->did = "losses";
    trial->reported = 0;
    reported = chan_losses(trial->chan, max, compare_loss, trial);
    HOLDS(trial, reported == trial->reported && reported <= max);
    for (uint32_t i = 0; i < trial->feed_count && reported < max; i++)
        for (uint32_t reason = 0; reason < LOSS_COUNT; reason++)
            HOLDS(trial, trial->model.feeds[i].unreported[reason].count == 0);
}

static void compare_position(void *ctx, const struct source *source, uint64_t sequence)
{
    struct trial *trial = ctx;
    uint32_t feed = (uint32_t)source->epoch;

    trial->reported++;
    HOLDS(trial, sequence == MAX_OF(model_position(&trial->model, feed), trial->model.feeds[feed].reported));
    trial->model.feeds[feed].reported = sequence;
}

/* Reading all changes nothing: what it gives is what the model says at this moment. */
static bool compare_any_position(void *ctx, const struct source *source, uint64_t sequence)
{
    struct trial *trial = ctx;
    uint32_t feed = (uint32_t)source->epoch;

    trial->reported++;
    HOLDS(trial, sequence == MAX_OF(model_position(&trial->model, feed), trial->model.feeds[feed].reported));
    return true;
}

struct sources {
    struct trial *trial;
    uint32_t next;
};

/* The open sources whose feeds the channel makes by itself. */
static bool next_source(void *ctx, const struct source **source_out, uint64_t *routed_out)
{
    struct sources *sources = ctx;
    const struct trial *trial = sources->trial;

    while (sources->next < trial->feed_count && !(trial->made[sources->next] && trial->feeds[sources->next]))
        sources->next++;
    if (sources->next == trial->feed_count)
        return false;
    *source_out = trial->sources[sources->next];
    *routed_out = atomic_load(&trial->sources[sources->next++]->routed);
    return true;
}

static void all_positions(struct trial *trial)
{
    struct sources sources = {trial, 0};
    uint32_t expected = 0;

    trial->did = "all positions";
    trial->reported = 0;
    chan_all_positions(trial->chan, &(struct chan_sources){next_source, &sources}, compare_any_position,
                       trial);
    for (uint32_t i = 0; i < trial->feed_count; i++)
        expected += !trial->model.feeds[i].gone &&
                    MAX_OF(model_position(&trial->model, i), trial->model.feeds[i].reported) > 0;
    HOLDS(trial, trial->reported >= expected); /* a feed that is gone may still have a batch in flight */
}

static void positions(struct trial *trial)
{
    uint32_t max = trial_roll(trial, 3) ? UINT32_MAX : trial_roll(trial, 4), reported;

    if (trial_roll(trial, 4) == 0) {
        all_positions(trial);
        return;
    }
    trial->did = "positions";
    trial->reported = 0;
    reported = chan_positions(trial->chan, max, compare_position, trial);
    HOLDS(trial, reported == trial->reported && reported <= max);
    for (uint32_t i = 0; i < trial->feed_count && reported < max; i++)
        HOLDS(trial, trial->model.feeds[i].gone || trial->made[i] ||
                         model_position(&trial->model, i) <= trial->model.feeds[i].reported);
}

static void compare_state(void *ctx, const struct feed_change *change)
{
    struct trial *trial = ctx;
    uint32_t feed = (uint32_t)change->source->epoch, state = change->state;
    struct model_feed *model = &trial->model.feeds[feed];

    trial->reported++;
    HOLDS(trial, !model->gone && state == model->state && state != model->reported_state);
    HOLDS(trial, !model->closed || !model_has_more(&trial->model, feed));
    model->reported_state = state;
}

static void states(struct trial *trial)
{
    uint32_t reported;

    trial->did = "states";
    trial->reported = 0;
    reported = chan_states(trial->chan, UINT32_MAX, compare_state, trial);
    HOLDS(trial, reported == trial->reported);
    for (uint32_t i = 0; i < trial->feed_count; i++) {
        struct model_feed *model = &trial->model.feeds[i];

        model->gone |= model->closed && !model_has_more(&trial->model, i);
        HOLDS(trial, model->state == model->reported_state || (model->closed && !model->gone));
    }
}

/* The same for a feed that the channel makes by itself. */
static void control_made(struct trial *trial, uint32_t feed, uint32_t what)
{
    struct model_feed *model = &trial->model.feeds[feed];
    struct source *source = trial->sources[feed];
    uint32_t state = 1 + trial_roll(trial, 3);

    if (what < 4 && state != model->reported_state) {
        model->state = state;
        shared_state(trial->chan, source, &(struct source_state){.state = state});
    } else if (what >= 4 && what < 7) {
        shared_gap(trial->chan, source, 1000, 1000 + what, false);
        model_gap(&trial->model, feed, 1000, 1000 + what);
    } else if (what >= 7) {
        shared_end(trial->chan, source, 9, 0, NULL);
        trial->feeds[feed] = NULL;
        model->state = 9;
        model->closed = true;
    }
}

static void control(struct trial *trial)
{
    uint32_t feed = trial_roll(trial, trial->feed_count), what = trial_roll(trial, 12);
    enum loss reason = trial_roll(trial, 2) ? LOSS_CONSUMER_GONE : LOSS_DRAIN_CUT;
    struct model_feed *model = &trial->model.feeds[feed];

    trial->did = "control";
    if (trial->made[feed] && what < 9 && trial->feeds[feed]) {
        control_made(trial, feed, what);
    } else if (what < 4 && trial->feeds[feed]) {
        model->state = 1 + trial_roll(trial, 3);
        feed_state(trial->chan, trial->feeds[feed], &(struct source_state){.state = model->state});
    } else if (what < 7 && trial->feeds[feed]) {
        feed_gap(trial->chan, trial->feeds[feed], 1000, 1000 + what, false);
        model_gap(&trial->model, feed, 1000, 1000 + what);
    } else if (what < 9 && trial->feeds[feed]) {
        feed_close(trial->chan, trial->feeds[feed], 9, 0, NULL);
        trial->feeds[feed] = NULL;
        model->state = 9;
        model->closed = true;
    } else if (what == 10 && trial_roll(trial, 3) == 0) {
        trial->did = "drain";
        chan_drain(trial->chan);
        model_drain(&trial->model);
    } else if (what == 11 && trial_roll(trial, 6) == 0) {
        trial->did = "close";
        chan_close(trial->chan, reason);
        model_close(&trial->model, reason);
    }
}

static void run(uint64_t seed)
{
    static void (*const steps[])(struct trial *) = {
        put, put, put, put, batch, batch, complete, complete, tick, losses, positions, states, control, mark};
    static struct trial trial;

    trial_begin(&trial, seed);
    for (trial.step = 0; trial.step < STEPS; trial.step++) {
        steps[trial_roll(&trial, ARRAY_LEN(steps))](&trial);
        trial_compare(&trial);
    }
    trial_end(&trial);
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
