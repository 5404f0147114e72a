/* operation.h - an operation that a program has begun, and how its end is reported.
 *
 * It has one reference of the engine's side, from its admission to its end, and one of each thread
 * that waits for it or is about to cancel it. */
#ifndef TRIBUTARY_CLIENT_BATCH_OPERATION_H
#define TRIBUTARY_CLIENT_BATCH_OPERATION_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/lib/batch/shard.h"

/* How it ended, beside enum batch_outcome. */
enum ending { ENDING_BATCH, ENDING_CANCELLED, ENDING_LATE };

struct tributary_batch_cancel {
    pthread_mutex_t lock;
    struct list operations;
    bool cancelled;
    _Atomic uint32_t refs; /* one of the program, one of each operation */
};

/* A thread that waits for an operation. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    struct tributary_status status;
};

/* What has come first, of two threads: the one that is to run it, or one that cancels it. */
enum claim { CLAIM_NONE, CLAIM_BEGUN, CLAIM_CANCELLED };

/* What most operations need is in two lines of the cache, and in one of them what they need to
 * run. */
struct operation {
    struct batch_operation operation; /* begins with a list node, as unused.h wants it */
    _Atomic uint32_t refs;
    _Atomic uint8_t claim; /* enum claim; only of one that is `cancellable` */
    bool cancellable;      /* anybody may cancel it */
    bool admitted;         /* shard_run() has been; under the shard's lock */
    bool failed;           /* the last time when it ran; the thread's that ran it */
    enum tributary_code (*operate)(void *ctx, void *resource, struct tributary_status *status);
    void *ctx;

    void (*done)(void *ctx, const struct tributary_status *status); /* or `waiter`, or neither */
    struct shard *shard;
    struct waiter *waiter;
    struct tributary_batch_cancel *cancel;
    struct tributary_status *own; /* it failed alone; NULL: it did not, or there was no memory */
    enum ending ending;           /* under the shard's lock */
    struct list with_cancel;      /* in cancel->operations, under its lock */

    /* The first of those that end together has what is said of all. */
    struct end end;
    struct list together;
    enum batch_outcome outcome;
    struct tributary_status *failure; /* of load or save; NULL: there is none, or no memory */
};

/* With one reference. NULL: no memory. */
struct operation *operation_new(const struct tributary_batch_operation *params);
/* The same in memory that has been one, and is free now. */
void operation_renew(struct operation *operation, const struct tributary_batch_operation *params);
void operation_retain(struct operation *operation);
void operation_release(struct operation *operation);
/* The same, but what would be freed is added to a list, for unused_add(). */
void operation_release_to(struct operation *operation, struct list *unused);

/* It is to run now. False: it was cancelled before, and must not. Without a lock. */
bool operation_claim(struct operation *operation);
/* It is to be cancelled. False: it runs, or has run. With the shard's lock. */
bool operation_claim_cancelled(struct operation *operation);

/* Enters it with what may cancel it. False: that has been cancelled. */
bool operation_begin_cancellable(struct operation *operation);
/* Takes it out there again. Any number of times. */
void operation_end_cancellable(struct operation *operation);

/* Ends the operations of a list, which is empty afterwards: they are reported outside of the lock.
 * `failure` is theirs. With the shard's lock. */
void operations_end(struct shard *shard, struct list *operations, enum batch_outcome outcome,
                    struct tributary_status *failure);

/* Ends one that has not run. With the shard's lock. */
void operation_end_alone(struct operation *operation, enum ending ending);

/* Reports the end to the thread that waits, at once, and to nobody later. With the shard's lock. */
void operation_report_early(struct operation *operation, enum ending ending);

/* What is said of one that has not run. */
void ending_status(enum ending ending, struct tributary_status *status_out);

void waiter_init(struct waiter *waiter);
void waiter_fini(struct waiter *waiter);
void waiter_complete(struct waiter *waiter, const struct tributary_status *status);

#endif
