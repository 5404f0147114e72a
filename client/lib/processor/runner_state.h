/* runner_state.h - the inside of a runner.
 *
 *   runner.c         what any thread may call
 *   runner_make.c    making and freeing
 *   runner_ends.c    how operations end, or are sent again: client thread
 *   runner_stream.c  the call: client thread
 *   run.c            one operation
 *
 * DESIGN. An operation is in exactly one of `added`, `queued`, `sent` and `delayed`, and in `slots`
 * until it ends. Its place in `slots` is in its number, so that an answer finds it. */
#ifndef TRIBUTARY_CLIENT_RUNNER_STATE_H
#define TRIBUTARY_CLIENT_RUNNER_STATE_H

#include "client/lib/core/client.h"
#include "client/lib/core/stream.h"
#include "client/lib/processor/answers.h"
#include "client/lib/processor/packed.h"
#include "client/lib/processor/run.h"

#define RUNNER_SLOT_BITS 20u
#define MAX_RUNNER_OPERATIONS (1u << RUNNER_SLOT_BITS)
#define RUNNER_ID_BYTES 16u
#define RUNNER_IDS 64u

/*   IDLE --operations--> OPEN --lost--> BACKOFF --timer--> IDLE
 *    ^                    | |
 *    `--refused for good--' `--free--> CLOSING --call ended--> CLOSED
 *   Without a call (IDLE, BACKOFF), free leads to CLOSED at once. */
enum runner_state { RUNNER_IDLE, RUNNER_OPEN, RUNNER_BACKOFF, RUNNER_CLOSING, RUNNER_CLOSED };

struct tributary_runner {
    /* Set once. */
    struct tributary *client;
    struct tributary_runner_options options; /* defaults filled in; owns `processor` */

    /* Client thread only. */
    enum runner_state state;
    struct stream stream;
    struct packed packed; /* at most the message that is being filled */
    struct list queued;   /* they wait to be sent */
    struct list sent;     /* in the order in which they were sent */
    struct list delayed;
    struct list cancelling; /* they are sent, and their cancel is not; by `cancel` */
    /* BACKOFF: the next attempt. OPEN: the limit for the connection. */
    struct cq_timer retry;
    struct cq_timer tick; /* a deadline or a delay ends */
    int64_t earliest_ns;  /* no deadline or delay of those that are not sent ends before; INT64_MAX: none */
    uint32_t attempt;     /* since the last answer */
    bool greeted;         /* the first message of this stream was written */
    bool connected;       /* this stream has sent a message */
    uint64_t ok, failed;  /* have ended since `stats` was brought up to date */
    uint64_t sent_again;

    struct post work;
    struct post end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* operations have ended, or the runner has */
    uint32_t flush_waiters;
    pthread_cond_t space; /* an eighth of the bounds is free */
    uint32_t space_waiters;
    struct list added;
    struct list cancels; /* the program has cancelled them; by `cancel` */
    struct run **slots;
    uint32_t *free_slots; /* the last `free_count` of it are used as a stack */
    uint32_t free_count;
    uint64_t last_number;
    uint32_t held; /* operations that hold a slot */
    size_t held_bytes;
    int64_t tick_ns; /* for when `tick` is armed */
    bool idle;       /* the next operation must wake the client thread */
    bool is_freed;   /* nothing is accepted any more */
    bool ended;
    struct tributary_runner_stats stats;
    uint8_t ids[RUNNER_IDS][RUNNER_ID_BYTES]; /* random ones, of which the first `id_count` are unused */
    uint32_t id_count;
};

/* runner_stream.c. Sets up the stream, the timers and the posts. Sends nothing yet. */
void runner_stream_init(struct tributary_runner *runner);

/* runner_ends.c. Client thread. */

/* How an operation ended, without a status that the server gave. */
enum run_ending { RUN_ENDED_CANCELLED, RUN_ENDED_LATE, RUN_ENDED_LOST, RUN_ENDED_FREED };

/* Ends it: calls done(), and frees it. */
void runner_end(struct tributary_runner *runner, struct run *run, enum run_ending ending);
void runner_end_with(struct tributary_runner *runner, struct run *run, const struct tributary_status *status,
                     bool may_have_run);

/* The server has answered: it ends, or is sent again later. */
void runner_answered(struct tributary_runner *runner, const struct answer *answer);

/* The stream is lost: those that were sent are queued again, in front, or end. */
void runner_requeue(struct tributary_runner *runner);

/* All that there are end, with this status or, where it is NULL, because the runner is freed. */
void runner_end_all(struct tributary_runner *runner, const struct tributary_status *status);

/* Ends those whose deadline has passed, queues those whose delay has, and sets `earliest_ns`. */
void runner_tick(struct tributary_runner *runner, int64_t now_ns);

/* Whether the deadline of one that was sent has passed. Lowers `earliest_ns` for the others. */
bool runner_has_late(struct tributary_runner *runner, int64_t now_ns);

/* Moves those that are new to `queued`, and handles cancels. */
void runner_collect(struct tributary_runner *runner);

/* Counts those that have ended, and wakes those who wait for it. The last act of whatever may have
 * ended some. */
void runner_count(struct tributary_runner *runner);

#endif
