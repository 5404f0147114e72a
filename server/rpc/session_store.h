/* session_store.h - what a shared session stores: its messages with events of stored topics. For
 * the files of this room.
 *
 * Many of them may be in flight. A message that stores nothing, or is refused, waits until the
 * pipeline is empty, so the order stays.
 *
 * Threads: the call's wire thread. */
#ifndef TRIBUTARY_SERVER_RPC_SESSION_STORE_H
#define TRIBUTARY_SERVER_RPC_SESSION_STORE_H

#include "server/rpc/held_message.h"
#include "server/rpc/intake.h"

/* What the owner does. `ctx` is what session_store_new() was given. */
struct session_store_port {
    /* A message without events of stored topics: it is its turn. */
    void (*live)(void *ctx, const struct scanned_message *scanned);
    /* A stored message has other events, which are to be offered; the owner keeps the chunk's
     * reference. session_store_offered() follows. */
    void (*offer)(void *ctx, struct chunk *chunk);
    /* The next message is stored, or refused: `fault`, else NULL. */
    void (*handled)(void *ctx, const struct fault *fault);
    /* Something was handled: more may be read, or the pipeline is empty. */
    void (*moved)(void *ctx);
};

struct session_store {
    struct intake intake;
    struct held_message held;
    const struct session_store_port *port;
    void *ctx;
};

/* `name` is the session's, the origin of what it stores. NULL: out of memory. */
struct session_store *session_store_new(struct rpc *rpc, struct call *call, struct bytes name,
                                        const struct session_store_port *port, void *ctx);
/* After the last batch. NULL is allowed. */
void session_store_free(struct session_store *store);

/* Handles a message, of which session_store_accepts() was true before it was read. Its port may be
 * called from within. */
void session_store_handle(struct session_store *store, struct scanned_message *scanned);
/* port->offer() is over. False: nothing was accepted. */
void session_store_offered(struct session_store *store, bool is_offered);

/* Whether the next message may be read. Of NULL: it may. */
bool session_store_accepts(const struct session_store *store);
/* Nothing is in flight, and no message is held. Of NULL: so it is. */
bool session_store_is_empty(const struct session_store *store);
/* The call is lost: what waits for the store to have space is given up. NULL is allowed. */
void session_store_give_up(struct session_store *store);

#endif
