/* stored_reader_internal.h - a stored reader as its two files see it.
 *
 *     ┌───────────────────▼
 *   SPARE ──▶ TAIL ◀──▶ READING ◀──▶ PAUSED          each of them ──▶ OVER
 *               └──────────────────────▲
 *
 * DESIGN. The route of a reader is always linked. In TAIL it puts what the inlet is offered. The
 * first put that is parked (ERR_AGAIN) takes it out of TAIL at once, under the inlet's lock: so
 * nothing more is parked, and the position is known. In READING it asks for steps of the log, one
 * at a time, and puts their rows, until a put is parked; then it is PAUSED until nothing of its
 * feed is parked any more. When a step has brought it to the log's end it changes to TAIL under the
 * inlet's lock. What was delivered since the step is put from the inlet's history. Where the
 * history does not reach back to there, it takes another step.
 *
 * The log may be ahead of what the inlet was offered. So a reader may be ahead as well: in TAIL it
 * leaves out what it has put already.
 *
 * Pausing. A put that returns ERR_AGAIN takes 1 from `balance`, and set_paused(false), which
 * follows each of them, adds 1. Whoever finds that the other one has come first lets the reader go
 * on.
 *
 * Locks: reader, inlet, channel, in this order. `lock` is held while a portion of a run is put. The
 * state changes under the inlet's lock; that of a reader whose route is out, under its own. */
#ifndef TRIBUTARY_TOPIC_STORED_READER_INTERNAL_H
#define TRIBUTARY_TOPIC_STORED_READER_INTERNAL_H

#include <pthread.h>

#include "base/fault.h"
#include "hub/reader.h"
#include "loop/loop.h"
#include "topic/live_topic.h"
#include "topic/read_turns.h"

struct source;

enum stored_state { STORED_SPARE, STORED_TAIL, STORED_READING, STORED_PAUSED, STORED_OVER };

/* Where the first step begins. */
enum stored_from {
    FROM_POSITION, /* `routed` is right */
    FROM_RESUMED,  /* it is, unless it is beyond the log's end */
    FROM_SEQUENCE, /* `value`, which must be kept */
    FROM_EARLIEST,
    FROM_TIME, /* `value` */
    FROM_LAST  /* the last `value` events */
};

/* What the loop is to do. */
enum stored_due { DUE_CAUGHT_UP = 1, DUE_FAILED = 2, DUE_RETRY = 4 };

struct stored_reader {
    struct reader base;
    struct live_topic *topic; /* a reference */
    _Atomic uint32_t refs;    /* the loop's, that of its turn, that of its task */
    struct turn_wait wait;
    _Atomic int32_t balance;
    /* The position, but in TAIL: everything up to here was put or filtered out. */
    _Atomic uint64_t routed;

    /* Under the inlet's lock. */
    enum stored_state state;
    uint64_t tail_from; /* in TAIL: what comes up to here was put already */

    /* Under `lock`. */
    pthread_mutex_t lock;
    bool is_left, is_started, is_caught_up; /* the last: it was once */
    enum stored_from from;
    uint64_t value;
    uint32_t rows;         /* that the next step asks for */
    uint64_t leaves_out;   /* events up to here are not wanted: a start beyond the log's end */
    struct source *origin; /* of the run that was put last; NULL: none */
    unsigned due;
    bool is_posted;
    struct fault fault; /* with DUE_FAILED */

    struct task task;
    struct timer retry; /* loop only */
};

static inline struct stored_reader *stored_reader_of(struct reader *reader)
{
    return container_of(reader, struct stored_reader, base);
}

void stored_reader_retain(struct stored_reader *reader);
void stored_reader_release(struct stored_reader *reader);

/* Changes the state. The caller holds the lock that guards it. */
void stored_reader_move(struct stored_reader *reader, enum stored_state state);

/* It leaves TAIL, and has put everything up to `position`. Under the inlet's lock. */
void stored_reader_stand_back(struct stored_reader *reader, uint64_t position, enum stored_state state);

/* A put was parked, and the state is PAUSED. Returns whether nothing is parked any more: then the
 * reader goes on. Any thread. */
bool stored_reader_may_go_on(struct stored_reader *reader);

/* It wants a step. Any thread, under any lock. */
void stored_reader_want(struct stored_reader *reader);

/* Asks the loop to do what is due. Under the reader's lock. */
void stored_reader_post(struct stored_reader *reader, enum stored_due due);

/* The two functions of its turn_wait (stored_step.c). */
bool stored_step_fill(struct turn_wait *wait, struct topic_read *read);
void stored_step_done(struct turn_wait *wait, struct topic_read *read);

#endif
