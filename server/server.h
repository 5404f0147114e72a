/* server.h - the daemon: its parts, in the order in which they are made, and how it ends.
 *
 * Threads: the loop, which is the main thread, except where a function says otherwise. */
#ifndef TRIBUTARY_SERVER_SERVER_H
#define TRIBUTARY_SERVER_SERVER_H

#include "hub/hub.h"
#include "loop/loop.h"
#include "server/memory_trim.h"
#include "server/options.h"
#include "server/dial/dial.h"
#include "server/rpc/rpc.h"
#include "server/tls/tls_settings.h"
#include "server/wire/call_acceptor.h"
#include "server/fanin/fanin.h"
#include "server/wire/listener.h"
#include "server/wire/thread.h"
#include "server/wire/waiting_message.h"

struct server;
struct store;

/* The server's record of one wire thread. */
struct wire_worker {
    struct server *server;
    struct wire_thread *thread;
    struct task down; /* tells the loop that the thread has ended */
};

/*   SERVING --signal--> DRAINING --drained--> CLOSING --all threads down--> STOPPED
 *                          |                     |
 *                          |  second signal, or the deadline of the state
 *                          |                     |
 *                          +----> ABORTING <-----+  --all threads down--> STOPPED */
enum server_state { SERVER_SERVING, SERVER_DRAINING, SERVER_CLOSING, SERVER_ABORTING, SERVER_STOPPED };

struct server {
    struct options options;
    struct loop *loop;
    struct memory_trim memory_trim;
    struct store *store;   /* NULL: there is no --state-dir */
    struct topics *topics; /* likewise */
    struct hub *hub;
    struct tls_settings *tls; /* of upstreams */
    struct dial *dial;
    struct endpoint_files *endpoint_files; /* NULL: there are none */
    struct rpc *rpc;
    struct fanin fanin;
    struct method fanin_method;         /* of every call of --fan-in */
    struct h2guard_limits guard_limits; /* of every connection */
    struct h2guard_limits dialled_limits;
    struct listener *listener;
    const char *addresses[2 * MAX_LISTEN_ADDRESSES]; /* as bound; those of --fan-in come last */
    struct waiting_messages waiting;                 /* of all workers */
    struct wire_worker *workers;
    size_t worker_count;
    _Atomic size_t next_worker; /* counts connections: each goes to the next worker */
    /* shutdown.c */
    enum server_state state;
    struct timer deadline;   /* of the state */
    int64_t quarter_ns;      /* see shutdown.c */
    int64_t end_ns;          /* clock_mono_ns(): of the drain timeout */
    unsigned undrained;      /* hub and batches: what the drain waits for */
    size_t workers_up;       /* whose threads have not ended */
    bool forced;             /* by a second signal */
    bool sockets_are_down;   /* h2socket_shutdown_all() was called */
    int64_t linger_until_ns; /* clock_mono_ns(): when connections that linger are closed; 0: at once */
    struct task drain;       /* shutdown_drain() was called */
    int64_t drain_timeout_ns;
};

/* Makes and starts everything. A failure is logged. server_free() must follow, but not after
 * a forced end: there the process ends. */
MUST_CHECK struct status server_start(struct server *server, const struct options *options);
/* Serves until a signal ends it. Returns the exit status of the program: 1 after a forced end. */
int server_run(struct server *server);
/* Ends what still runs, and waits for it. False: the disk of the store does not answer. Then the
 * process must end, and nothing was freed. */
MUST_CHECK bool server_free(struct server *server);

/* shutdown.c */

/* A signal of the operator. `ctx` is the server. The first one drains, the second one aborts. */
void shutdown_signal(void *ctx, int signal);
/* An operator's call: drains as the first signal does, within this time. Where the server drains
 * already nothing changes. Returns the end of the timeout. `ctx` is the server. */
int64_t shutdown_drain(void *ctx, int64_t timeout_ns);
/* Wire thread. The thread of a worker has ended. `ctx` is the struct wire_worker. */
void shutdown_wire_worker_down(void *ctx);

#endif
