/* stored_gate.h - what waits for the store while too much is not committed yet. One of each peer
 * has its turn, then one of the next peer: nobody is failed, and nobody waits for all that another
 * one has. For the files of this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_STORED_GATE_H
#define TRIBUTARY_SERVER_RPC_STORED_GATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/peer_queue.h"
#include "base/status.h"
#include "topic/topic_port.h"

struct stored_gate {
    const struct topic_port *port; /* constant; NULL: there is no store */
    _Atomic uint32_t waiting_count;
    pthread_mutex_t lock;
    struct peer_queue waiting; /* under the lock */
};

/* What waits. Its owner embeds it, and must live until passed() was called, or stored_gate_leave()
 * has returned true. */
struct stored_wait {
    struct peer_entry entry; /* peer_entry_init() before the first use */
    struct topic_append *append;
    /* The append was given to the store, or not, with ERR_CLOSED. Any thread, under the gate's
     * lock. done() of the append may have been called. */
    void (*passed)(struct stored_wait *wait, enum err err);
};

/* `port` must outlive it. */
void stored_gate_init(struct stored_gate *gate, const struct topic_port *port);
void stored_gate_fini(struct stored_gate *gate); /* nothing waits */

/* Gives an append to the store.
 *   ERR_OK      done() follows
 *   ERR_CLOSED  the store ends; done() does not follow
 *   ERR_AGAIN   it waits: passed() follows, or is being called */
MUST_CHECK enum err stored_gate_pass(struct stored_gate *gate, struct stored_wait *wait,
                                     struct topic_append *append);
/* It waits no more. False: it did not; passed() was called, if it ever waited. */
bool stored_gate_leave(struct stored_gate *gate, struct stored_wait *wait);

/* The store's writable(). */
void stored_gate_writable(struct stored_gate *gate);

#endif
