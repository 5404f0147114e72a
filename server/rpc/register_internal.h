/* register_internal.h - a producer session on one call. For register.c and register_stored.c.
 *
 * Threads: the call's wire thread, but for what goes to the loop. */
#ifndef TRIBUTARY_SERVER_RPC_REGISTER_INTERNAL_H
#define TRIBUTARY_SERVER_RPC_REGISTER_INTERNAL_H

#include "flow/put_waiter.h"
#include "hub/session.h"
#include "server/rpc/commands.h"
#include "server/rpc/hello.h"
#include "server/rpc/session_store.h"

struct registration;

/* What register.c does for what is stored. */
struct registration_port {
    /* A message of which nothing is stored: offers its events, carries its `end` to the loop,
     * confirms it and reads on. */
    void (*handle_live)(struct registration *registration, uint64_t activation,
                        const struct scanned_message *scanned);
    /* Offers a chunk. False: it waits for a channel. Then `offering_stored` says what follows:
     * session_store_offered(), or the end of the current message. */
    bool (*offer)(struct registration *registration, uint64_t activation, struct chunk *chunk,
                  enum err *err_out);
    /* Reads the next message, if the one before is done; or ends a session that has half-closed. */
    void (*go_on)(struct registration *registration);
};

struct registration {
    const struct registration_port *port;
    struct rpc *rpc;
    struct call *call;
    enum registration_state { HELLO, REGISTERING, LIVE, LEAVING, GONE } state;
    bool ending; /* leave LIVE as soon as the loop has given the task back */
    enum fault_reason reason;
    bool on_loop; /* `task` is at the loop with the `end` of the current message */
    bool offering, reading, welcomed, half_closed, aborted; /* aborted: by the hub */
    struct commands commands;
    struct hello hello; /* until the session is registered */
    struct session *session;
    struct session_store *store; /* NULL until a message may store; only of a shared session */
    struct source *name;         /* of a shared session, where topics may be stored; else NULL */
    bool offering_stored;        /* what is offered belongs to a message that was stored */
    uint64_t handled;            /* messages up to this one are done */
    ProtobufCMessage *end;       /* of the current message; NULL: none */
    struct put_waiter waiter;
    struct task task; /* goes to the loop and comes back */
    struct task unblocked_task, welcome_task, abort_task;
    struct fault refusal;     /* why the session was not registered */
    struct fault abort_fault; /* why the session is over; the loop's until `abort_task` has run */
};

/* ---- register_port.c: of session_port. The loop, except set_paused(): any thread ---- */

void registration_welcome(void *ctx, uint64_t epoch);
void registration_start(void *ctx, const struct activation_params *params);
void registration_stop(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns);
void registration_set_paused(void *ctx, uint64_t activation, bool pause);
void registration_closing(void *ctx, enum fault_reason reason, int64_t deadline_ns);

/* A message, or the live part of a stored one, is being offered; or an `end` is at the loop. */
static inline bool registration_is_occupied(const struct registration *registration)
{
    return registration->offering || registration->on_loop;
}

/* ---- register_stored.c ---- */

/* Whether the next message may be read: the session is not blocked, nor ends. */
bool registration_may_read(const struct registration *registration);

/* Whether a message for all consumers goes through registration_store(). */
bool registration_stores(const struct registration *registration, const struct framing_scan *scan);
/* Stores a message, or has it handled when its turn comes. MEMORY_BUDGET: nothing was begun. */
MUST_CHECK enum fault_reason registration_store(struct registration *registration,
                                                struct scanned_message *scanned, struct fault *fault);

#endif
