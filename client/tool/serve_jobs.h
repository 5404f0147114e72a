/* serve_jobs.h - the commands of `tributary serve`, one for each activation (serve_jobs.c), and
 * what they are told (serve_orders.c).
 *
 * Threads: the functions of struct tributary_session_callbacks run on the client thread and leave
 * orders; everything else is the main thread's. */
#ifndef TRIBUTARY_TOOL_SERVE_JOBS_H
#define TRIBUTARY_TOOL_SERVE_JOBS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "tributary/tributary.h"
#include "client/tool/stop.h"

#define MAX_JOBS 4096u

/* What an activation's command is to do; ROOM: its queue is not full any more. */
enum order_kind { ORDER_START, ORDER_STOP, ORDER_EXPIRED, ORDER_PAUSE, ORDER_RESUME, ORDER_ROOM };

struct order {
    struct list node;
    enum order_kind kind;
    uint64_t activation;
    struct buf request;
};

struct serve {
    /* Set by the caller. */
    const char *command;
    const char *name;
    uint64_t max_jobs;
    bool quiet;
    struct tributary_event template; /* what the options say of every event */
    struct stop stop;

    /* Its own. Main thread only. */
    struct tributary_session *session;
    struct list jobs;
    int epoll_fd, child_fd;
    uint64_t commands, events;
    bool leaving;     /* everything is being stopped */
    int64_t leave_ns; /* then: what is not sent by this moment is nobody's */

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    struct list orders;

    /* Any thread. */
    _Atomic uint64_t live; /* activations that were accepted and whose command has not ended */
    _Atomic bool ended;    /* the session has */
    _Atomic int ended_code;
};

/* Blocks SIGCHLD: before other threads begin. False: errno says why. */
bool serve_init(struct serve *serve);
void serve_fini(struct serve *serve);

/* The callbacks; `ctx` is the serve. */
struct tributary_session_callbacks serve_watch(struct serve *serve);

/* The oldest order, which is the caller's to free; NULL: none. */
struct order *serve_next_order(struct serve *serve);

/* Until somebody asks to stop, or the session ends; then every command has ended, too. */
void serve_run(struct serve *serve);

#endif
