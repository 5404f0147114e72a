/* client.h - the inside of a client: its connections, one completion queue, and the client thread
 * that serves the queue.
 *
 * The client thread runs three kinds of work, one at a time: completed operations (`struct op`),
 * timers, and posts, which other threads hand over. State that only the client thread uses needs no
 * lock. */
#ifndef TRIBUTARY_CLIENT_CLIENT_H
#define TRIBUTARY_CLIENT_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include <grpc/grpc.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "client/lib/core/connection.h"
#include "tributary/tributary.h"

#define MAX_METADATA 16u

/* One batch of gRPC operations on a call. Its address is the tag. */
struct op {
    void (*done)(struct op *op, bool ok); /* client thread; exactly once for each start */
};

/* Client thread only. Embed it, and call timer_init() before use. */
struct timer {
    struct list node;
    int64_t at_ns; /* clock_mono_ns() */
    void (*fired)(struct timer *timer);
};

/* Work for the client thread. Set `run` before use. */
struct post {
    struct list node; /* under the client's lock */
    bool queued;      /* under the client's lock */
    void (*run)(struct post *post);
};

struct tributary {
    /* Set once, before the thread starts. */
    struct connections connections; /* once the client thread runs: client thread only */
    grpc_completion_queue *queue;
    /* The wakeup of the client thread: an empty batch on a call of a lame channel. gRPC core has no
     * other public way to post onto a completion queue. */
    grpc_channel *lame;
    grpc_call *wakeup;
    struct op wakeup_op;
    pthread_t thread;
    int64_t connect_timeout_ns, backoff_base_ns, backoff_cap_ns;
    grpc_metadata metadata[MAX_METADATA];
    size_t metadata_count;

    /* Client thread only. */
    struct list timers;
    int64_t next_timer_ns; /* not later than the first timer */
    uint64_t random;
    struct buf gathered; /* a message that came in several pieces, while it is read */

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    struct list posts;
    bool wakeup_pending; /* the wakeup batch has started and has not completed */

    _Atomic uint32_t users; /* publishers, sessions and subscribers */
};

/* Whether the caller runs on the client thread. */
bool on_client_thread(const struct tributary *client);

/* Runs `post` on the client thread, once. A post that is already queued stays where it is. Any
 * thread. */
void client_post(struct tributary *client, struct post *post);

/* Removes a post that has not run. Client thread only, so the post cannot be running. */
void client_unpost(struct tributary *client, struct post *post);

/* Client thread only. */
void timer_init(struct timer *timer, void (*fired)(struct timer *timer));

/* Sets a timer, or moves it. Client thread only. */
void client_timer(struct tributary *client, struct timer *timer, int64_t at_ns);

/* Does nothing if the timer is not set. Client thread only. */
void timer_stop(struct timer *timer);

/* Returns how long to wait before attempt number `attempt`; 0 is the first retry. Client thread
 * only. */
int64_t client_backoff_ns(struct tributary *client, uint32_t attempt);

/* Creates a condition that waits on the clock of clock_mono_ns(). */
void cond_init(pthread_cond_t *cond);

/* Waits for `cond`. The caller holds `lock`. False: `deadline_ns` has passed. INT64_MAX waits
 * without a limit. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns);

/* Returns now + timeout on the clock of clock_mono_ns(), or INT64_MAX where that overflows. */
int64_t deadline_after_ns(int64_t timeout_ns);

#endif
