/* connection.h - the connections of one endpoint. A channel of gRPC core is one connection here: it
 * dials once. When a call on it could not be made or the connection was lost, it is given up, and
 * the next call makes a new one: with fresh addresses, and with a wait that is ours.
 *
 * Threads: one wire thread. */
#ifndef TRIBUTARY_SERVER_DIAL_CONNECTION_H
#define TRIBUTARY_SERVER_DIAL_CONNECTION_H

#include <stdbool.h>

#include "base/base.h"
#include "base/list.h"
#include "server/dial/dial_slots.h"
#include "server/dial/tls_turns.h"
#include "server/dial/upstream_cost.h"

#include <grpc/grpc.h>

/* Calls that share a connection: more than many servers allow would only wait. */
#define MAX_CONNECTION_CALLS 100u

/* What a call keeps of the process's memory, as it was measured, and what it has not read. Whoever
 * opens one charges it (upstream_cost.h). */
#define CONNECTION_LOOKAHEAD_BYTES 65535
#define CONNECTION_CALL_BYTES ((UINT64_C(14) << 10) + CONNECTION_LOOKAHEAD_BYTES)

struct h2guard_limits;
struct upstream_guard;
struct upstream_tls;

struct connections {
    const char *target;                 /* src/grpc/target.h */
    struct peer_key adder;              /* who has added the endpoint */
    const char *authority;              /* empty: from the target */
    struct upstream_tls *tls;           /* NULL: plaintext */
    struct tls_turns *turns;            /* of the thread */
    struct dial_slots *slots;           /* of the thread */
    struct upstream_costs *costs;       /* of all endpoints */
    const struct h2guard_limits *guard; /* for plaintext; NULL: no socket is watched */
    int64_t connect_timeout_ns;
    uint64_t max_message_bytes;
    uint32_t max_calls;     /* that share a connection */
    bool has_failed;        /* since a call was accepted, a connection was given up */
    bool was_late;          /* the last connection that did not come about had taken long */
    _Atomic uint64_t begun; /* connections, ever; any thread */
    struct list all;        /* struct connection; those that were given up are not among them */
};

struct connection {
    struct list link;
    struct connections *of;
    grpc_channel *channel;      /* NULL: it has not begun */
    grpc_resource_quota *quota; /* grows with the calls */
    uint32_t calls, accepted_calls;
    bool was_accepted; /* one call at least was */
    struct upstream_cost cost;
    struct dial_slot slot;
    struct tls_turn turn;
    uint64_t tls_version;         /* of its credentials */
    struct upstream_guard *guard; /* NULL: its sockets are not watched */
    struct list calls_waiting;    /* struct connection_call; those that it must not dial for yet */
    struct list calls_dialling;   /* struct connection_call; those that are not accepted */
};

/* A call from when it enters a connection until it is accepted, embedded. list_init() before the
 * first use. */
struct connection_call {
    struct list link;
    bool is_waiting; /* for begun() */
    void (*begun)(struct connection_call *call);
    /* Other connections wait to be dialled, and this one has taken `ran_ns`: end the call. */
    void (*yield)(struct connection_call *call, int64_t ran_ns);
};

void connections_init(struct connections *connections);

/* A connection for one more call: connection_leave() must follow. `payer` is charged where it is a
 * new one (upstream_cost.h). NULL: memory, the budget or the payer's share of it is used up, and
 * *fault says which. */
struct connection *connection_enter(struct connections *connections, struct peer_key payer,
                                    struct fault *fault);

/* Adds the call that has entered. begun() is called now, or where the connection has to wait for
 * its turn, later. A call that has ended removes its link before connection_leave(). */
void connection_add(struct connection *connection, struct connection_call *call);

/* The upstream has accepted the call. */
void connection_accepted(struct connection *connection, struct connection_call *call);

/* The connection has come about, but the upstream did not accept the call in time. Where it did
 * accept others, that is how many it allows: no more calls share a connection from now on. */
void connection_is_full(struct connections *connections, const struct connection *connection);

/* The call has ended. `is_lost`: the connection did not come about, or may be lost: no further call
 * is made on it. A connection without calls is closed. */
void connection_leave(struct connection *connection, bool was_accepted, bool is_lost);

/* Whether the connection has come about. */
bool connection_is_ready(const struct connection *connection);

#endif
