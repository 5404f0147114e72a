/* stress_sessions.h - what the files of stress_sessions share. */
#ifndef TRIBUTARY_TESTS_STRESS_STRESS_SESSIONS_H
#define TRIBUTARY_TESTS_STRESS_STRESS_SESSIONS_H

#include "flow/chan_batch.h"
#include "flow/put_waiter.h"
#include "hub/endpoint_rules.h"
#include "hub/session.h"
#include "seam/hub_fixture.h"
#include "stress/wakeup.h"

#define NAMES 2u
#define SESSIONS 4u
#define TAKERS 5u
#define MAX_RUNNING 64u
#define MAX_SOURCES 65536u

extern struct loop *loop;
extern struct hub *hub;
extern atomic_bool stopping; /* the takers must end */
extern atomic_uint callers_left;

/* ---- producers: threads that publish, and that need the loop for some steps ---- */

struct caller {
    pthread_t thread;
    struct dice dice;
    struct wakeup wakeup;
    struct task task;
    void (*run_on_loop)(struct caller *caller); /* what the loop is to do */
    _Atomic bool answered;
    char name[4];
    struct put_waiter waiter;
    uint64_t events;
    /* A transient producer's. */
    struct inlet *inlet;
    uint64_t removed;
    /* A session's. */
    struct session *session;
    enum session_mode mode;
    bool is_endpoint;
    uint64_t reports;
    uint64_t ending; /* the activation to end */
    pthread_mutex_t lock;
    /* Under the lock: what the session was notified of. */
    bool welcomed, abort_call;
    uint64_t latest;
    struct started {
        uint64_t number;
        bool stopped;
    } running[MAX_RUNNING];
    unsigned running_count;
    /* Any thread. */
    _Atomic int64_t starts, ends, stops, paused, pauses;
};

void *publish_all(void *caller);         /* a thread: a transient producer that is removed now and then */
void *register_repeatedly(void *caller); /* a thread: one session after the other */
void caller_init(struct caller *caller, uint64_t random);

/* ---- consumers ---- */

struct transcript { /* of one source */
    uint64_t epoch, last;
};

struct taker {
    pthread_t thread;
    struct dice dice; /* the taker's */
    struct wakeup wakeup;
    struct task ended;
    _Atomic enum { FREE, SERVING, ENDED } state;
    /* The taker's while SERVING, otherwise the loop's. */
    bool selects; /* its filter is topic `a` or `b`, in turn, and nothing is parked */
    bool lossy;   /* its policy may drop events */
    _Atomic uint32_t mark;
    struct chan *chan;
    struct chan_batch batch;
    struct transcript *transcript;
    unsigned source_count;
    uint64_t taken, unavailable;
    /* The loop's. */
    struct subscription *subscription;
    struct subscription_result result;
    uint32_t revision;
    uint64_t served, marks, total_taken;
};

void *take_repeatedly(void *taker);                         /* a thread: one subscription after the other */
void subscribe(struct taker *taker, struct dice *dice);     /* loop */
void end_or_select(struct taker *taker, struct dice *dice); /* loop; mostly it selects */

#endif
