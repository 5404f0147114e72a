/* serve_jobs.h - the commands of `tributary serve`, one for each activation (serve_jobs.c), and the
 * orders that they get (serve_orders.c). job_table.h finds them.
 *
 * Threads: the callbacks of the session run on the client thread and post orders. Everything else
 * runs on the main thread. */
#ifndef TRIBUTARY_TOOL_SERVE_JOBS_H
#define TRIBUTARY_TOOL_SERVE_JOBS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "client/tool/job_table.h"
#include "tributary/tributary.h"
#include "client/tool/stop.h"

#define MAX_JOBS 4096u

/* What the main thread does for an activation.
 *   ORDER_START     run the command
 *   ORDER_STOP      end it gently: what it has printed is still sent
 *   ORDER_EXPIRED   end it: what it prints is discarded
 *   ORDER_PAUSE     read no more of its output
 *   ORDER_RESUME    read on
 *   ORDER_WRITABLE  read on: the activation's queue is no longer full */
enum order_kind { ORDER_START, ORDER_STOP, ORDER_EXPIRED, ORDER_PAUSE, ORDER_RESUME, ORDER_WRITABLE };

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
    struct tributary_event template; /* the members of every event that the options set */
    struct stop stop;

    /* Main thread only. */
    struct tributary_session *session;
    struct job_table table;
    bool child_ended; /* SIGCHLD came */
    int epoll_fd, child_fd;
    uint64_t commands, events;
    bool stopping;      /* all commands are being stopped */
    int64_t give_up_ns; /* while stopping: what is not sent by then is discarded */
    bool has_given_up;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    struct list orders;

    /* Any thread. */
    _Atomic uint64_t active; /* accepted activations whose command has not ended */
    _Atomic bool ended;      /* the session has ended */
    _Atomic int ended_code;
};

/* Blocks SIGCHLD. Call it before other threads start, so that they inherit the mask. False: errno
 * says why. */
bool serve_init(struct serve *serve);
void serve_fini(struct serve *serve);

/* The callbacks of the session. Their `ctx` is `serve`. */
struct tributary_session_callbacks serve_callbacks(struct serve *serve);

/* Removes the oldest order. The caller frees it and its `request`. NULL: there is none. */
struct order *serve_next_order(struct serve *serve);

/* Runs commands until a stop is requested or the session ends. When it returns, every command has
 * ended. */
void serve_run(struct serve *serve);

#endif
