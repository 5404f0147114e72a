/* stored_step.c - a step of a stored reader: rows of the log become chunks in the channel. See the
 * design in stored_reader_internal.h.
 *
 * Threads: fill() as read_turns.h says, the rest on a thread of the backend. */
#include <inttypes.h>
#include <stdio.h>

#include "base/budget.h"
#include "base/clock.h"
#include "event/chunk.h"
#include "event/chunk_origin.h"
#include "flow/chan.h"
#include "flow/feed.h"
#include "flow/feed_catch.h"
#include "route/history.h"
#include "route/wanted.h"
#include "topic/expiry.h"
#include "topic/run_chunk.h"
#include "topic/stored_reader_internal.h"

#define STEP_BYTES (1u << 20)

/* What a put has at most, but for one event that is larger: usually, and while more than half of
 * the memory budget is used. Each reader that waits holds one or two of these. */
#define PORTION_BYTES (64u << 10)
#define SMALL_PORTION_BYTES (8u << 10)

/* A part of a chunk that pins so many times its size is copied. */
#define COPY_PINNED_TIMES 4u

enum next {
    NEXT_STEP, /* it wants another one */
    NEXT_NONE  /* it waits, keeps up, or ends */
};

struct step {
    struct stored_reader *reader;
    struct framing_scan scan;
};

static uint64_t position_of(const struct stored_reader *reader)
{
    return atomic_load_explicit(&reader->routed, memory_order_relaxed);
}

/* Under the reader's lock. The feed reads it. */
static void set_position(struct stored_reader *reader, uint64_t position)
{
    atomic_store_explicit(&reader->routed, position, memory_order_release);
}

/* ---- what it asks for ---- */

static void request_rows(const struct stored_reader *reader, struct topic_read *read)
{
    read->topic = reader->topic->id;
    read->max_rows = reader->rows;
    read->max_bytes = STEP_BYTES;
    read->start = START_SEQUENCE;
    read->value = position_of(reader) + 1;
    if (reader->is_started)
        return;
    if (reader->from == FROM_EARLIEST || reader->from == FROM_LAST) {
        read->start = START_LAST;
        read->value = reader->from == FROM_LAST ? reader->value : UINT64_MAX;
    } else if (reader->from == FROM_TIME) {
        read->start = START_TIME;
        read->value = reader->value;
    }
}

bool stored_step_fill(struct turn_wait *wait, struct topic_read *read)
{
    struct stored_reader *reader = container_of(wait, struct stored_reader, wait);
    struct inlet *inlet = reader->base.route.inlet;
    bool wants;

    pthread_mutex_lock(&reader->lock);
    wants = !reader->is_left;
    if (wants) {
        pthread_mutex_lock(&inlet->lock);
        if (reader->state == STORED_PAUSED)
            stored_reader_move(reader, STORED_READING);
        pthread_mutex_unlock(&inlet->lock);
        request_rows(reader, read);
    }
    pthread_mutex_unlock(&reader->lock);
    if (!wants)
        stored_reader_release(reader); /* the reference of its turn */
    return wants;
}

/* ---- putting ---- */

static void pause(struct stored_reader *reader, enum stored_state state)
{
    struct inlet *inlet = reader->base.route.inlet;

    pthread_mutex_lock(&inlet->lock);
    stored_reader_move(reader, state);
    pthread_mutex_unlock(&inlet->lock);
}

/* Puts events [first, last). ERR_OK, or ERR_AGAIN: it is paused now. */
static enum err put_some(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last)
{
    OWNED(chunk_release) struct chunk *copy = NULL;
    struct stored_reader *reader = container_of(route, struct stored_reader, base.route);
    const uint64_t position = chunk_sequence(chunk, last - 1);
    enum err err;

    if (last - first < chunk->count &&
        chunk->pinned > (uint64_t)chunk_bytes(chunk, first, last) * COPY_PINNED_TIMES &&
        chunk_copy(chunk, first, last, &copy) == ERR_OK)
        err = chan_put(route->chan, route->feed, copy, 0, last - first, NULL);
    else
        err = chan_put(route->chan, route->feed, chunk, first, last, NULL);
    if (err == ERR_CLOSED)
        return err;
    set_position(reader, position);
    if (err != ERR_AGAIN)
        return ERR_OK;
    pause(reader, STORED_PAUSED);
    if (!stored_reader_may_go_on(reader))
        return ERR_AGAIN;
    pause(reader, STORED_READING);
    return ERR_OK;
}

/* The same, without what has expired. */
static enum err put_live(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last)
{
    return expiry_put(route, chunk, first, last, put_some);
}

static bool set_origin(struct stored_reader *reader, struct bytes name)
{
    struct source *origin;

    if (reader->origin && bytes_compare(source_name(reader->origin), name) == 0)
        return true;
    origin = source_new(name, 0);
    if (!origin)
        return false;
    source_release(reader->origin);
    reader->origin = origin;
    return true;
}

static size_t portion_bytes(void)
{
    return budget_used() > budget_part(2) ? SMALL_PORTION_BYTES : PORTION_BYTES;
}

/* Puts the next portion of a run whose first event has this sequence, and takes it off the run.
 * Under the reader's lock. */
static enum err put_portion(struct step *step, struct topic_run *run, uint64_t first_seq)
{
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct stored_reader *reader = step->reader;
    const uint64_t last = first_seq + run->count - 1;
    const uint64_t position = MAX_OF(position_of(reader), reader->leaves_out);
    const uint32_t skip = position >= first_seq ? (uint32_t)(position + 1 - first_seq) : 0;
    enum err err;

    if (position >= last) {
        set_position(reader, last);
        return ERR_OK;
    }
    err = set_origin(reader, run->origin) ? run_chunk(run, skip, portion_bytes(), &step->scan, &chunk)
                                          : ERR_NO_MEMORY;
    if (err != ERR_OK)
        return err;
    if (!chunk_set_origin(chunk, reader->origin))
        return ERR_NO_MEMORY;
    chunk->source = source_retain(reader->base.route.inlet->source);
    chunk->first_sequence = first_seq + skip;
    chunk->observed_wall_ns = clock_wall_ns();
    chunk->observed_mono_ns = clock_mono_ns();
    err = route_put_wanted(&reader->base.route, chunk, 0, run->expires ? put_live : put_some);
    if (err == ERR_OK)
        set_position(reader, chunk_sequence(chunk, chunk->count - 1));
    return err;
}

/* The lock is released between two portions: the loop may wait for it. False: the reader has
 * left. */
static bool let_others_in(struct stored_reader *reader)
{
    pthread_mutex_unlock(&reader->lock);
    pthread_mutex_lock(&reader->lock);
    return !reader->is_left;
}

static void report_trimmed(struct stored_reader *reader, uint64_t next)
{
    const struct route *route = &reader->base.route;
    const uint64_t position = MAX_OF(position_of(reader), reader->leaves_out);

    if (next <= position_of(reader) + 1)
        return;
    if (position < next - 1)
        feed_trimmed(route->chan, route->feed, position + 1, next - 1, route->part.answer == FILTER_BY_EVENT);
    set_position(reader, next - 1);
}

/* ERR_INVALID: it is damaged. ERR_CANCELLED: the reader has left. */
static enum err put_row(struct step *step, const struct topic_row *row)
{
    struct stored_reader *reader = step->reader;
    uint64_t sequence = row->first_seq;
    struct row_walk walk;
    struct topic_run run;

    if (row->first_seq + row->count - 1 <= position_of(reader))
        return ERR_OK;
    if (!row_walk_begin(&walk, row))
        return ERR_INVALID;
    report_trimmed(reader, row->first_seq);
    while (row_walk_next(&walk, &run)) {
        const uint64_t end = sequence + run.count;

        while (end - 1 > position_of(reader)) {
            const enum err err = put_portion(step, &run, end - run.count);

            if (err != ERR_OK)
                return err;
            if (!let_others_in(reader))
                return ERR_CANCELLED;
        }
        sequence = end;
    }
    return ERR_OK;
}

/* ---- the end of the log ---- */

/* It is where the log ended a moment ago. */
static enum next keep_up(struct stored_reader *reader)
{
    struct route *route = &reader->base.route;
    struct inlet *inlet = route->inlet;
    const uint64_t position = position_of(reader);
    enum next next = NEXT_NONE;

    pthread_mutex_lock(&inlet->lock);
    stored_reader_move(reader, STORED_TAIL);
    reader->tail_from = MAX_OF(position, reader->leaves_out);
    if (position < inlet->last_sequence && !history_put_from(inlet->history, route, position + 1)) {
        stored_reader_move(reader, STORED_READING);
        next = NEXT_STEP;
    } else if (reader->state == STORED_TAIL) {
        feed_caught_up(route->chan, route->feed, MAX_OF(position, inlet->last_sequence));
        feed_follow(route->feed, &inlet->source->routed);
        if (!reader->is_caught_up)
            stored_reader_post(reader, DUE_CAUGHT_UP);
        reader->is_caught_up = true;
    }
    pthread_mutex_unlock(&inlet->lock);
    return next;
}

/* ---- outcomes ---- */

static enum next fail(struct stored_reader *reader, enum fault_reason reason, uint64_t sequence,
                      const char *bound)
{
    char text[64];

    snprintf(text, sizeof(text), "sequence %" PRIu64 "%s%s", sequence, bound ? ": " : "", bound ? bound : "");
    fault_bytes(&reader->fault, reason, "topic", source_name(reader->base.route.inlet->source), text);
    stored_reader_post(reader, DUE_FAILED);
    return NEXT_NONE;
}

static enum next try_later(struct stored_reader *reader)
{
    stored_reader_post(reader, DUE_RETRY);
    return NEXT_NONE;
}

/* The first step says where it begins. False: what it was to begin with is not kept any more. */
static bool start(struct stored_reader *reader, const struct topic_read *read)
{
    const struct route *route = &reader->base.route;
    const uint64_t kept = read->next_seq - read->first_seq, last = read->next_seq - 1;

    reader->is_started = true;
    switch (reader->from) {
    case FROM_POSITION:
        break;
    case FROM_RESUMED:
        if (position_of(reader) > last) {
            feed_gap(route->chan, route->feed, 0, 0, true);
            set_position(reader, last);
        }
        break;
    case FROM_SEQUENCE:
        if (position_of(reader) > last) {
            reader->leaves_out = position_of(reader);
            set_position(reader, last);
        }
        return reader->value >= read->first_seq;
    case FROM_EARLIEST:
        set_position(reader, read->first_seq - 1);
        break;
    case FROM_TIME:
        set_position(reader, read->count > 0 ? read->rows[0].first_seq - 1 : last);
        break;
    case FROM_LAST:
        set_position(reader, last - MIN_OF(reader->value, kept));
        break;
    }
    return true;
}

static enum next put_rows(struct stored_reader *reader, const struct topic_read *read)
{
    struct step step = {.reader = reader};
    enum err err = ERR_OK;
    uint32_t done = 0;

    for (; done < read->count && err == ERR_OK; done++)
        err = put_row(&step, &read->rows[done]);
    framing_fini(&step.scan);
    if (err == ERR_INVALID)
        return fail(reader, FAULT_STORED_DATA_LOST, position_of(reader) + 1, NULL);
    if (err == ERR_NO_MEMORY)
        return try_later(reader);
    reader->rows = err == ERR_OK ? MIN_OF(reader->rows * 2, MAX_READ_ROWS) : MAX_OF(done, 1u);
    if (err != ERR_OK)
        return NEXT_NONE;
    if (read->count == 0)
        report_trimmed(reader, read->next_seq);
    return position_of(reader) + 1 < read->next_seq ? NEXT_STEP : keep_up(reader);
}

static enum next go_on(struct stored_reader *reader, const struct topic_read *read)
{
    char bound[40];

    if (!reader->is_started) {
        const bool is_kept = start(reader, read);

        feed_placed(reader->base.route.chan, reader->base.route.feed);
        if (!is_kept) {
            snprintf(bound, sizeof(bound), "the first is %" PRIu64, read->first_seq);
            return fail(reader, FAULT_TRIMMED, reader->value, bound);
        }
    }
    return put_rows(reader, read);
}

static enum next decide(struct stored_reader *reader, const struct topic_read *read)
{
    switch (read->outcome) {
    case TOPIC_DONE:
        return go_on(reader, read);
    case TOPIC_DAMAGED:
        return fail(reader, FAULT_STORED_DATA_LOST, read->value, NULL);
    case TOPIC_NO_MEMORY:
    case TOPIC_LOCKED:
        return try_later(reader);
    case TOPIC_NOT_FOUND: /* it is about to be removed */
    case TOPIC_CLOSED:    /* the server ends */
        return NEXT_NONE;
    case TOPIC_EXISTS:
    case TOPIC_INVALID:
    case TOPIC_FENCED:
    case TOPIC_GAP:
    case TOPIC_PUBLISHER_FORGOTTEN:
    case TOPIC_TOO_MANY_DELAYED:
    case TOPIC_TOO_MANY:
    case TOPIC_DISK_FULL:
    case TOPIC_FAILED:
    case TOPIC_UNKNOWN:
        break;
    }
    return fail(reader, FAULT_STORE_FAILED, position_of(reader) + 1, NULL);
}

void stored_step_done(struct turn_wait *wait, struct topic_read *read)
{
    struct stored_reader *reader = container_of(wait, struct stored_reader, wait);
    enum next next = NEXT_NONE;

    pthread_mutex_lock(&reader->lock);
    if (!reader->is_left)
        next = decide(reader, read);
    pthread_mutex_unlock(&reader->lock);
    if (next == NEXT_STEP)
        stored_reader_want(reader);
    stored_reader_release(reader); /* the reference of this turn */
}
