/* thread.h - a wire thread: one grpc_server, one completion queue, one thread that serves it, and
 * all calls and connections that were given to it.
 *
 * A tick is: everything the queue has at hand, then what was noted for the tick's end, then
 * waiting. Threads: wire_post() may be called from any; everything else belongs to the wire thread
 * itself, unless it says otherwise. */
#ifndef TRIBUTARY_SERVER_WIRE_THREAD_H
#define TRIBUTARY_SERVER_WIRE_THREAD_H

#include <stdbool.h>

#include "base/base.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/status.h"
#include "loop/loop.h"
#include "server/wire/core.h"

#include <grpc/grpc.h>

struct framing_scan;
struct wire_thread;

/* A batch in flight: its address is the tag. Each start lands once, on the call's wire thread. */
struct wire_op {
    void (*done)(struct wire_op *op, bool ok);
};

struct wire_timer {
    struct heap_node node;
    void (*fired)(struct wire_timer *timer, int64_t now_ns);
};

/* Something to do at the end of the tick; noted once however often it is asked for. */
struct post_poll_hook {
    struct list link; /* list_init() before the first use */
    void (*post_poll)(struct post_poll_hook *ready, int64_t now_ns);
};

/* What a thread asks of whoever takes calls from its server (calls.c): all on the wire thread, but
 * for `free`. */
struct call_acceptor {
    void (*accept)(struct call_acceptor *acceptor); /* the server has started: ask for calls */
    void (*refuse)(struct call_acceptor *acceptor); /* the server shuts down: ask for no more */
    bool (*empty)(struct call_acceptor *acceptor);  /* no call is left; the thread does not end before */
    void (*free)(struct call_acceptor *acceptor);   /* the thread has ended */
};

MUST_CHECK struct status wire_thread_new(const struct wire_settings *settings,
                                         struct wire_thread **thread_out);
/* `down` is called on the wire thread, as its last act, when everything of it has ended. */
MUST_CHECK struct status wire_thread_start(struct wire_thread *thread, void (*down)(void *ctx), void *ctx);

/* Any thread. Shuts the server down: no new calls or connections; `cancel` ends the calls that are
 * left, at once. Idempotent. */
void wire_thread_shutdown(struct wire_thread *thread, bool cancel);
/* Waits until the server is down and the thread has ended: after wire_thread_shutdown(). */
void wire_thread_join(struct wire_thread *thread);
void wire_thread_free(struct wire_thread *thread);

/* Any thread. Takes over a connected socket: its calls will be served here. */
void wire_thread_adopt(struct wire_thread *thread, int fd);

grpc_server *wire_thread_server(struct wire_thread *thread);
grpc_completion_queue *wire_thread_queue(struct wire_thread *thread);
/* Who fills the server with calls; set before the thread starts, freed with it. */
void wire_thread_set_acceptor(struct wire_thread *thread, struct call_acceptor *acceptor);
struct call_acceptor *wire_thread_acceptor(struct wire_thread *thread);
/* Scratch memory for scanning one message. */
struct framing_scan *wire_scan(struct wire_thread *thread);
/* Who is at the other end of a descriptor: set once, before the thread starts. */
void wire_thread_peers(struct wire_thread *thread,
                       void (*peer)(void *ctx, int fd, char *text, size_t capacity), void *ctx);
void wire_thread_peer(struct wire_thread *thread, int fd, char *text, size_t capacity);

/* Any thread; never blocks. Runs `task` on the wire thread. Posting order of one thread is kept. */
void wire_post(struct wire_thread *thread, struct task *task);
bool wire_is_mine(const struct wire_thread *thread); /* any thread */

/* (Re)arms a timer for `at_ns` (clock_mono_ns()). INT64_MAX disarms. */
void wire_timer_set(struct wire_thread *thread, struct wire_timer *timer, int64_t at_ns);

void wire_post_poll(struct wire_thread *thread, struct post_poll_hook *ready);
/* The same, ahead of all those: for what they may still take along. */
void wire_post_poll_early(struct wire_thread *thread, struct post_poll_hook *ready);

/* True while the thread has more work than waiting: then gathering pays. */
bool wire_busy(const struct wire_thread *thread);
/* The thread's clock_mono_ns(), read once per turn. */
int64_t wire_now(const struct wire_thread *thread);

#endif
