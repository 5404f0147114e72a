/* stored_reader.c - the life of a stored reader: how it begins, keeps up, and ends. See the design
 * in stored_reader_internal.h. stored_step.c reads the log. */
#include "topic/stored_reader.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "base/peer_share.h"
#include "event/chunk.h"
#include "event/matcher.h"
#include "flow/chan.h"
#include "flow/feed.h"
#include "flow/feed_catch.h"
#include "hub/hub_parts.h"
#include "hub/ready.h"
#include "hub/reselection.h"
#include "hub/subscription.h"
#include "hub/subscription_internal.h"
#include "route/history.h"
#include "route/inlet.h"
#include "route/resume.h"
#include "route/resume_point.h"
#include "topic/expiry.h"
#include "topic/stored_reader_internal.h"

#define RETRY_NS (100 * NS_PER_MS)
#define FIRST_ROWS 4u

static const struct fsm machine = {
    .name = "stored reader",
    .states = {[STORED_SPARE] = {"SPARE", BIT(STORED_TAIL) | BIT(STORED_READING) | BIT(STORED_OVER)},
               [STORED_TAIL] = {"TAIL", BIT(STORED_READING) | BIT(STORED_PAUSED) | BIT(STORED_OVER)},
               [STORED_READING] = {"READING", BIT(STORED_TAIL) | BIT(STORED_PAUSED) | BIT(STORED_OVER)},
               [STORED_PAUSED] = {"PAUSED", BIT(STORED_READING) | BIT(STORED_OVER)},
               [STORED_OVER] = {"OVER", 0}},
};

static bool is_behind(enum stored_state state)
{
    return state == STORED_READING || state == STORED_PAUSED;
}

void stored_reader_move(struct stored_reader *reader, enum stored_state state)
{
    const int32_t change = (int32_t)is_behind(state) - (int32_t)is_behind(reader->state);

    fsm_move(&machine, reader, state);
    (void)atomic_fetch_add_explicit(&reader->topic->behind, change, memory_order_relaxed);
}

/* ---- references ---- */

void stored_reader_retain(struct stored_reader *reader)
{
    (void)atomic_fetch_add_explicit(&reader->refs, 1, memory_order_relaxed);
}

void stored_reader_release(struct stored_reader *reader)
{
    if (atomic_fetch_sub_explicit(&reader->refs, 1, memory_order_acq_rel) > 1)
        return;
    source_release(reader->origin);
    pthread_mutex_destroy(&reader->lock);
    live_topic_release(reader->topic);
    free(reader);
}

/* ---- turns ---- */

void stored_reader_want(struct stored_reader *reader)
{
    stored_reader_retain(reader);
    read_turns_add(reader->topic->turns, &reader->wait);
}

bool stored_reader_may_go_on(struct stored_reader *reader)
{
    return atomic_fetch_sub(&reader->balance, 1) == 1;
}

/* Any thread, under locks of the putter's. */
static void set_paused(void *ctx, bool pause)
{
    struct stored_reader *reader = ctx;

    if (!pause && atomic_fetch_add(&reader->balance, 1) == -1)
        stored_reader_want(reader);
}

/* ---- what comes from the inlet ---- */

void stored_reader_stand_back(struct stored_reader *reader, uint64_t position, enum stored_state state)
{
    struct route *route = &reader->base.route;

    atomic_store_explicit(&reader->routed, position, memory_order_release);
    feed_follow(route->feed, &reader->routed);
    stored_reader_move(reader, state);
    feed_fell_behind(route->chan, route->feed, position + 1);
}

static enum err put_run(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last)
{
    struct stored_reader *reader = container_of(route, struct stored_reader, base.route);
    const enum err err = chan_put(route->chan, route->feed, chunk, first, last, NULL);
    if (err == ERR_AGAIN) {
        stored_reader_stand_back(reader, chunk_sequence(chunk, last - 1), STORED_PAUSED);
        if (stored_reader_may_go_on(reader))
            stored_reader_want(reader);
    }
    return err;
}

/* Under the inlet's lock. */
static enum err put(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last)
{
    struct stored_reader *reader = container_of(route, struct stored_reader, base.route);

    if (reader->state != STORED_TAIL)
        return ERR_CLOSED;
    while (first < last && chunk_sequence(chunk, first) <= reader->tail_from)
        first++;
    if (first == last)
        return ERR_CLOSED;
    if (chunk_sequence(chunk, first) >
        atomic_load_explicit(&reader->topic->tail.last_expiring, memory_order_relaxed))
        return put_run(route, chunk, first, last);
    return expiry_put(route, chunk, first, last, put_run);
}

/* In TAIL. The reader may be ahead of the inlet: see DESIGN. */
static uint64_t tail_position(const struct stored_reader *reader)
{
    const uint64_t routed = atomic_load_explicit(&reader->routed, memory_order_relaxed);

    return MAX_OF(reader->base.route.inlet->last_sequence, routed);
}

void stored_readers_hole(struct inlet *inlet)
{
    history_clear(inlet->history);
    for (uint32_t i = 0; i < inlet->route_count; i++) {
        struct stored_reader *reader = container_of(inlet->routes[i], struct stored_reader, base.route);

        if (reader->state != STORED_TAIL)
            continue;
        stored_reader_stand_back(reader, tail_position(reader), STORED_READING);
        stored_reader_want(reader);
    }
}

/* ---- what the loop does ---- */

void stored_reader_post(struct stored_reader *reader, enum stored_due due)
{
    reader->due |= due;
    if (reader->is_posted)
        return;
    reader->is_posted = true;
    stored_reader_retain(reader);
    loop_post(hub_loop(reader->topic->producer.hub), &reader->task);
}

static void retry(struct timer *timer)
{
    struct stored_reader *reader = container_of(timer, struct stored_reader, retry);

    stored_reader_want(reader);
    stored_reader_release(reader);
}

static void retry_later(struct stored_reader *reader)
{
    stored_reader_retain(reader);
    if (timer_start(hub_loop(reader->topic->producer.hub), &reader->retry, RETRY_NS) != ERR_OK)
        retry(&reader->retry);
}

static void run(struct task *task)
{
    struct stored_reader *reader = container_of(task, struct stored_reader, task);
    struct hub *hub = reader->topic->producer.hub;
    unsigned due;

    pthread_mutex_lock(&reader->lock);
    due = reader->is_left ? 0 : reader->due;
    reader->due = 0;
    reader->is_posted = false;
    pthread_mutex_unlock(&reader->lock);
    if (due & DUE_CAUGHT_UP)
        reader_caught_up(&reader->base);
    if (due & DUE_FAILED)
        reader_failed(&reader->base, &reader->fault);
    if (due & DUE_RETRY)
        retry_later(reader);
    if (due)
        ready_run(hub_ready(hub));
    stored_reader_release(reader);
}

/* ---- the kind ---- */

static void lock(struct reader *base)
{
    pthread_mutex_lock(&stored_reader_of(base)->lock);
}

static void unlock(struct reader *base)
{
    pthread_mutex_unlock(&stored_reader_of(base)->lock);
}

/* Under the inlet's lock. */
static void begin_live(struct stored_reader *reader)
{
    struct route *route = &reader->base.route;
    const uint64_t sequence = route->inlet->last_sequence;

    reader->is_started = true;
    atomic_store_explicit(&reader->routed, sequence, memory_order_release);
    reader->tail_from = sequence;
    stored_reader_move(reader, STORED_TAIL);
    feed_caught_up(route->chan, route->feed, sequence);
    feed_follow(route->feed, &route->inlet->source->routed);
}

static void begin(struct reader *base)
{
    begin_live(stored_reader_of(base));
}

/* Deletion has overtaken it. One that keeps up misses what the tail did not deliver in time. */
static void report_deleted(struct stored_reader *reader)
{
    const struct route *route = &reader->base.route;
    const uint64_t last = reader->topic->last_seq;
    bool is_unknown = route->part.answer == FILTER_BY_EVENT;
    uint64_t position = atomic_load_explicit(&reader->routed, memory_order_relaxed);

    if (reader->state == STORED_TAIL)
        position = tail_position(reader);
    else if (!is_behind(reader->state))
        return;
    if (!reader->is_started && reader->from == FROM_LAST)
        position = last - MIN_OF(last, reader->value);
    is_unknown |= !reader->is_started && reader->from == FROM_TIME;
    position = MAX_OF(position, reader->leaves_out);
    if (position < last)
        feed_trimmed(route->chan, route->feed, position + 1, last, is_unknown);
}

static void stop(struct reader *base)
{
    struct stored_reader *reader = stored_reader_of(base);

    if (reader->topic->is_removed)
        report_deleted(reader);
    reader->is_left = true;
    stored_reader_move(reader, STORED_OVER);
    if (read_turns_remove(reader->topic->turns, &reader->wait))
        stored_reader_release(reader);
    if (reader->retry.loop) {
        timer_stop(&reader->retry);
        stored_reader_release(reader);
    }
}

/* What it says may change at once. */
static bool is_paused(const struct reader *base)
{
    const struct stored_reader *reader = container_of(base, struct stored_reader, base);
    struct inlet *inlet = base->route.inlet;
    bool is_paused;

    pthread_mutex_lock(&inlet->lock);
    is_paused = reader->state == STORED_PAUSED;
    pthread_mutex_unlock(&inlet->lock);
    return is_paused;
}

static void release(struct reader *base)
{
    stored_reader_release(stored_reader_of(base));
}

static const struct reader_kind kind = {
    .lock = lock,
    .unlock = unlock,
    .begin = begin,
    .stop = stop,
    .is_paused = is_paused,
    .release = release,
};

/* ---- making ---- */

static struct stored_reader *reader_new(struct producer *producer, struct subscription *subscription,
                                        const struct filter *filter, const struct filter_part *part,
                                        bool is_spare)
{
    struct stored_reader *reader = calloc(1, sizeof(*reader));
    const struct pause_port pause_port = {
        .set_paused = set_paused, .ctx = reader, .by_result = true, .is_stored = true};

    if (!reader)
        return NULL;
    reader->base.kind = &kind;
    reader->base.is_spare = is_spare;
    reader->base.kept_bytes = sizeof(*reader);
    if (reader_open(&reader->base, producer, subscription, filter, part, &pause_port) != ERR_OK) {
        free(reader);
        return NULL;
    }
    reader->base.route.put = put;
    reader->topic = live_topic_retain(container_of(producer, struct live_topic, producer));
    atomic_init(&reader->refs, 1);
    reader->state = STORED_SPARE;
    reader->rows = FIRST_ROWS;
    turn_wait_init(&reader->wait, subscription->charge->peer);
    reader->wait.fill = stored_step_fill;
    reader->wait.done = stored_step_done;
    CHECK(pthread_mutex_init(&reader->lock, NULL) == 0);
    reader->task.run = run;
    reader->retry.fired = retry;
    inlet_keep_history(&producer->inlet, NULL);
    return reader;
}

static void link_route(struct stored_reader *reader)
{
    struct inlet *inlet = reader->base.route.inlet;

    pthread_mutex_lock(&inlet->lock);
    route_link(&reader->base.route);
    pthread_mutex_unlock(&inlet->lock);
}

/* Where a topic stands of which the earlier stream knew another incarnation, which may be one that
 * the topic had before. *known_out: the stream has missed nothing but what comes from there on. */
static uint64_t resumed_position(const struct live_topic *topic, const struct resume_point *point,
                                 bool *known_out)
{
    *known_out = point->epoch == live_topic_incarnation(topic);
    if (*known_out)
        return point->sequence;
    for (uint32_t i = 0; i < topic->ancestor_count; i++) {
        if (topic->ancestors[i].incarnation != point->epoch)
            continue;
        *known_out = point->sequence <= topic->ancestors[i].last_seq;
        return MIN_OF(point->sequence, topic->ancestors[i].last_seq);
    }
    return 0; /* it was deleted and made again */
}

/* Decides where it begins. Returns whether that is with what is published from now on. */
static bool set_start(struct stored_reader *reader, const struct start_point *start)
{
    const struct route *route = &reader->base.route;
    const struct resume_point *point;
    bool is_known;

    if (!start)
        return true;
    point = start->resume ? resume_find(start->resume, source_name(route->inlet->source)) : NULL;
    reader->value = start->stored_value;
    if (point) {
        reader->from = FROM_RESUMED;
        atomic_init(&reader->routed, resumed_position(reader->topic, point, &is_known));
        if (!is_known)
            feed_gap(route->chan, route->feed, 0, 0, true);
    } else if (start->stored_start == STORED_EARLIEST) {
        reader->from = FROM_EARLIEST;
    } else if (start->stored_start == STORED_SEQUENCE) {
        reader->from = FROM_SEQUENCE;
        atomic_init(&reader->routed, MAX_OF(reader->value, 1u) - 1);
        if (MAX_OF(reader->value, 1u) - 1 > route->inlet->last_sequence)
            feed_unplaced(route->chan, route->feed); /* it may be beyond the log's end */
    } else if (start->stored_start == STORED_TIME) {
        reader->from = FROM_TIME;
        feed_unplaced(route->chan, route->feed);
    } else if (start->resume) {
        reader->from = FROM_POSITION;
        return resume_others(start->resume) == RESUME_OTHERS_LIVE;
    } else if (start->last > 0) {
        reader->from = FROM_LAST;
        reader->value = start->last;
        feed_unplaced(route->chan, route->feed);
    } else {
        return true;
    }
    return false;
}

enum err stored_reader_bind(struct producer *producer, struct subscription *subscription,
                            const struct filter_part *part, const struct start_point *start_point,
                            struct list *created)
{
    struct stored_reader *reader = reader_new(producer, subscription, subscription->filter, part, false);
    struct inlet *inlet = &producer->inlet;
    bool is_live;

    (void)created; /* no activations */
    if (!reader)
        return ERR_NO_MEMORY;
    is_live = set_start(reader, start_point);
    pthread_mutex_lock(&inlet->lock);
    route_link(&reader->base.route);
    if (is_live) {
        begin_live(reader);
    } else {
        feed_follow(reader->base.route.feed, &reader->routed);
        stored_reader_move(reader, STORED_READING);
    }
    pthread_mutex_unlock(&inlet->lock);
    if (is_live)
        return ERR_OK;
    if (start_point && subscription->ends_when_caught_up) {
        reader->base.catches_up = true;
        subscription->catching_up++;
    }
    stored_reader_want(reader);
    return ERR_OK;
}

/* A topic that the filter before wanted has its reader, whose route changes with the filter. */
enum err stored_reader_reselect(struct producer *producer, struct subscription *subscription,
                                const struct filter_part *part, struct reselection *reselection)
{
    struct stored_reader *reader;

    if (producer_part(producer, reselection->before).answer != FILTER_NONE)
        return ERR_OK;
    reader = reader_new(producer, subscription, reselection->filter, part, true);
    if (!reader)
        return ERR_NO_MEMORY;
    link_route(reader);
    return ERR_OK;
}
