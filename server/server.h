/* server.h - the whole daemon: its parts in the order in which they are made, and how they end.
 *
 * Threads: the loop's, except what the parts themselves allow. */
#ifndef TRIBUTARY_SERVER_SERVER_H
#define TRIBUTARY_SERVER_SERVER_H

#include "hub/hub.h"
#include "loop/loop.h"
#include "server/options.h"
#include "server/rpc/rpc.h"
#include "server/wire/call_acceptor.h"
#include "server/wire/listener.h"
#include "server/wire/thread.h"

struct server;

/* One wire thread and the news of its end. */
struct wire_worker {
    struct server *server;
    struct wire_thread *thread;
    struct task down;
};

/*   SERVING --signal--> DRAINING --emptied--> CLOSING --all threads down--> STOPPED
 *                          |  time up, second signal  |
 *                          +--------> CUTTING <-------+  --all threads down--> STOPPED       */
enum server_state {
    SERVER_SERVING,
    SERVER_DRAINING,
    SERVER_CLOSING,
    SERVER_ABORTING,
    SERVER_STOPPED,
    SERVER_STATE_COUNT
};

struct server {
    struct options options;
    struct loop *loop;
    struct hub *hub;
    struct rpc *rpc;
    struct listener *listener;
    const char *addresses[MAX_LISTEN];
    struct wire_worker *workers;
    size_t worker_count;
    _Atomic size_t next_worker; /* the listener's: connections go in turn */
    /* shutdown.c */
    enum server_state state;
    struct timer limit;
    size_t workers_up;
    bool forced;
};

/* Makes and starts everything; what failed is logged. On failure, too, server_free() must
 * follow. */
MUST_CHECK struct status server_start(struct server *server, const struct options *options);
/* Serves until a signal ended it. Returns the exit status. */
int server_run(struct server *server);
void server_free(struct server *server);

/* shutdown.c: the signals of the operator, and the news of strands. */
void shutdown_signal(void *ctx, int signal);
void shutdown_wire_worker_down(void *ctx); /* wire thread; ctx is the strand */

#endif
