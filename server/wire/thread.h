/* thread.h - a wire thread: one grpc_server, the completion-queue thread that serves it, and the
 * calls and connections that were given to it.
 *
 * The room src/grpc has the thread itself, and says what a *turn* is (grpc/cq_thread.h). A wire
 * thread adds this: in each turn it adopts one connection that waits, does a millisecond of heavy
 * work, and measures whether it is busy. While it is busy, a turn handles several completions.
 *
 * Threads: the wire thread itself, unless a function says otherwise. */
#ifndef TRIBUTARY_SERVER_WIRE_THREAD_H
#define TRIBUTARY_SERVER_WIRE_THREAD_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"
#include "grpc/cq_thread.h"
#include "grpc/cq_wake.h"
#include "server/wire/heavy_queue.h"
#include "server/wire/wire.h"

#include <grpc/grpc.h>

struct framing_scan;
struct wire_thread;

/* What takes the calls that the core hands over (call_acceptor.c). Every function but `free` runs
 * on the wire thread, or before it has started. */
struct call_acceptor {
    void (*accept)(struct call_acceptor *acceptor); /* the server has started: ask for calls */
    void (*refuse)(struct call_acceptor *acceptor); /* the server shuts down: ask for no more calls */
    void (*abort)(struct call_acceptor *acceptor);  /* abort every call that is alive: DRAINING */
    bool (*empty)(struct call_acceptor *acceptor);  /* no call is left; until then the thread goes on */
    void (*free)(struct call_acceptor *acceptor);   /* the thread has ended */
};

/*   ERR_NO_MEMORY  out of memory; *thread_out is unchanged */
MUST_CHECK struct status wire_thread_new(const struct wire_settings *settings,
                                         struct wire_thread **thread_out);
/* Starts the server and the thread. The wire thread calls `down` as its last act, when all its
 * calls and its server have ended.
 *   ERR_IO  the thread could not be started, see `sys` */
MUST_CHECK struct status wire_thread_start(struct wire_thread *thread, void (*down)(void *ctx), void *ctx);

/* Any thread. Shuts the server down: it takes no new calls or connections. `cancel`: it also ends
 * the calls that are left, at once. Idempotent. */
void wire_thread_shutdown(struct wire_thread *thread, bool cancel);
/* Any other thread, after wire_thread_shutdown(). Blocks until the server is down and the thread
 * has ended. */
void wire_thread_join(struct wire_thread *thread);
/* After wire_thread_join(), or where the thread never started. Runs the tasks that were posted and
 * not yet run. NULL allowed. */
void wire_thread_free(struct wire_thread *thread);

/* Any thread. Takes over a connected socket; its calls are served here. A turn takes over
 * one. The socket is closed if the server shuts down already, or if memory runs out. */
void wire_thread_adopt(struct wire_thread *thread, int fd);

grpc_server *wire_thread_server(struct wire_thread *thread);
/* Sets the call acceptor before the thread starts. wire_thread_free() frees it. */
void wire_thread_set_acceptor(struct wire_thread *thread, struct call_acceptor *acceptor);
struct call_acceptor *wire_thread_acceptor(struct wire_thread *thread);
/* The settings that the thread was made with. */
const struct wire_settings *wire_thread_settings(const struct wire_thread *thread);
/* Scratch memory for the scan of one message. */
struct framing_scan *wire_scan(struct wire_thread *thread);

/* The thread's queue, mailbox, timers and hooks. */
struct cq_thread *wire_cq(const struct wire_thread *thread);

/* Heavy work, such as inflating messages: a turn does only so much of it.
 *
 * Whether this turn has time for more, and none waits. */
bool wire_has_time(const struct wire_thread *thread);
/* Runs heavy work now. */
void wire_run_heavy(struct wire_thread *thread, struct heavy_work *work);
/* The work that waits for a turn, with that of others (heavy_queue.h). */
struct heavy_queue *wire_heavy_queue(struct wire_thread *thread);

/* True while the thread has more work than waiting: then it pays to gather. */
bool wire_busy(const struct wire_thread *thread);
/* How long it ran so far, or waited for a processor: busy_meter_runnable_ns(). */
int64_t wire_runnable_ns(const struct wire_thread *thread);

#endif
