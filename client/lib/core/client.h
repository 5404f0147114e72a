/* client.h - the inside of a client: one channel of the core, one completion queue, one thread that
 * serves it.
 *
 * The thread runs three kinds of work, one at a time: operations that landed (`struct op`), timers,
 * and posts: work that other threads hand over. Whatever belongs to the client thread needs no
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

/* One batch on a call: its address is the tag. Lands exactly once per start, on the client
 * thread. */
struct op {
    void (*done)(struct op *op, bool ok);
};

/* Client thread only. Embedded; list_init() before use, by timer_init(). */
struct timer {
    struct list node;
    int64_t at_ns; /* clock_mono_ns() */
    void (*fired)(struct timer *timer);
};

/* Work for the client thread. Posting it again before it ran changes nothing. */
struct post {
    struct list node; /* under the client's lock */
    bool queued;      /* likewise */
    void (*run)(struct post *post);
};

struct tributary {
    /* Set once, before the thread starts. */
    struct connections connections; /* client thread only, once it runs */
    grpc_completion_queue *queue;
    grpc_channel *lame; /* an empty batch on a call of it brings the thread to its posts */
    grpc_call *wakeup;
    struct op rung;
    pthread_t thread;
    int64_t connect_timeout_ns, backoff_base_ns, backoff_cap_ns;
    grpc_metadata metadata[MAX_METADATA];
    size_t metadata_count;

    /* Client thread only. */
    struct list timers;
    int64_t next_timer_ns; /* not later than the first timer */
    uint64_t random;
    struct buf whole; /* a message that came in pieces, while it is read */

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    struct list posts;
    bool ringing; /* an empty batch is on its way */

    _Atomic uint32_t users; /* publishers and subscribers */
};

bool client_is_here(const struct tributary *client); /* the caller runs on the client thread */

/* Any thread. */
void client_post(struct tributary *client, struct post *post);

/* Takes a post back that has not run. Client thread only, so it cannot be running. */
void client_unpost(struct tributary *client, struct post *post);

/* Client thread only. */
void timer_init(struct timer *timer, void (*fired)(struct timer *timer));
void client_timer(struct tributary *client, struct timer *timer, int64_t at_ns); /* sets it, or moves it */
/* harmless where it is not set */
void timer_stop(struct timer *timer);

/* The pause before attempt number `attempt` (0: the first try again). Client thread only. */
int64_t client_pause_ns(struct tributary *client, uint32_t attempt);

/* A condition that waits on the clock of clock_mono_ns(). */
void cond_init(pthread_cond_t *cond);

/* False when `until_ns` has passed; INT64_MAX waits without limit. The caller holds `lock`. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns);

/* now + timeout, without overflow. */
int64_t until_ns(int64_t timeout_ns);

#endif
