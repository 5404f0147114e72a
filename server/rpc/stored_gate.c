/* stored_gate.c - what waits for the store while too much is not committed yet. */
#include "server/rpc/stored_gate.h"

void stored_gate_init(struct stored_gate *gate, const struct topic_port *port)
{
    gate->port = port;
    atomic_init(&gate->waiting_count, 0);
    CHECK(pthread_mutex_init(&gate->lock, NULL) == 0);
    peer_queue_init(&gate->waiting);
}

void stored_gate_fini(struct stored_gate *gate)
{
    peer_queue_fini(&gate->waiting);
    pthread_mutex_destroy(&gate->lock);
}

static enum err append_now(struct stored_gate *gate, struct topic_append *append)
{
    return gate->port->append(gate->port->ctx, append);
}

/* Under the lock. Whatever the store refuses stays the first one: writable() follows. */
static void let_pass(struct stored_gate *gate)
{
    struct peer_entry *first;

    while ((first = peer_queue_first(&gate->waiting))) {
        struct stored_wait *wait = container_of(first, struct stored_wait, entry);
        const enum err err = append_now(gate, wait->append);

        if (err == ERR_FULL)
            return;
        peer_queue_serve(&gate->waiting, first);
        atomic_fetch_sub_explicit(&gate->waiting_count, 1, memory_order_relaxed);
        wait->passed(wait, err);
    }
}

/* The store may have become writable since it has refused the append: so it is asked once more,
 * when the append stands where writable() finds it. */
static void enter(struct stored_gate *gate, struct stored_wait *wait)
{
    pthread_mutex_lock(&gate->lock);
    peer_queue_add(&gate->waiting, &wait->entry);
    atomic_fetch_add_explicit(&gate->waiting_count, 1, memory_order_relaxed);
    let_pass(gate);
    pthread_mutex_unlock(&gate->lock);
}

enum err stored_gate_pass(struct stored_gate *gate, struct stored_wait *wait, struct topic_append *append)
{
    if (atomic_load_explicit(&gate->waiting_count, memory_order_relaxed) == 0) {
        const enum err err = append_now(gate, append);

        if (err != ERR_FULL)
            return err;
    }
    wait->append = append;
    enter(gate, wait);
    return ERR_AGAIN;
}

bool stored_gate_leave(struct stored_gate *gate, struct stored_wait *wait)
{
    pthread_mutex_lock(&gate->lock);
    const bool waits = peer_entry_waits(&wait->entry);
    if (waits) {
        peer_queue_remove(&gate->waiting, &wait->entry);
        atomic_fetch_sub_explicit(&gate->waiting_count, 1, memory_order_relaxed);
        let_pass(gate); /* it may have been the first one */
    }
    pthread_mutex_unlock(&gate->lock);
    return waits;
}

void stored_gate_writable(struct stored_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    let_pass(gate);
    pthread_mutex_unlock(&gate->lock);
}
