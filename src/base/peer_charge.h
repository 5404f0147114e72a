/* peer_charge.h - memory that things of one kind keep for peers while they wait, such as answers
 * that a peer does not read. It is charged to the budget and to the peer.
 *
 * All peers together may keep a part of the budget for one kind, and one peer its share of that
 * (base/peer_share.h). The part is an eighth. A peer with nothing of the kind always gets one
 * thing. So an operator can look at a server without memory, and a message that is allowed is never
 * too much alone. A kind may have a larger part, without that privilege: peer_charges_set_part().
 *
 * Threads: any. */
#ifndef TRIBUTARY_BASE_PEER_CHARGE_H
#define TRIBUTARY_BASE_PEER_CHARGE_H

#include <pthread.h>

#include "base/budget.h"
#include "base/peer_share.h"

/* The things of one kind. */
struct peer_charges {
    enum counter counter; /* live.*_bytes, which the budget has */
    const char *field;    /* for faults: "answer" */
    const char *what;     /* such as "answers on their way to"; the peer follows */
    unsigned part;        /* of the budget: 8 is an eighth */
    bool is_strict;       /* the first thing of a peer may be refused, too */
    pthread_mutex_t lock;
    struct peer_counts peers;
    uint64_t bytes; /* of all peers */
};

/* The texts must outlive it. */
void peer_charges_init(struct peer_charges *charges, enum counter counter, const char *field,
                       const char *what);
/* The kind may keep this part of the budget: 2 is half of it. The first thing of a peer is then
 * refused like any other. Before anything is charged. */
void peer_charges_set_part(struct peer_charges *charges, unsigned part);
void peer_charges_fini(struct peer_charges *charges); /* nothing may be charged any more */

/* What one thing is charged. Zeroed: nothing. */
struct peer_charge {
    struct peer_count *count; /* NULL: nothing is charged */
    uint64_t bytes;
};

/* Charges the peer with `bytes`, for a thing that is there or yet to be made. FAULT_NONE, or
 * MEMORY_BUDGET with a bound that names the peer, what it keeps, and its share; nothing is charged
 * then. */
MUST_CHECK enum fault_reason peer_charge_add(struct peer_charges *charges, const struct settings *settings,
                                             struct peer_charge *charge, struct peer_key peer, size_t bytes,
                                             struct fault *fault);

/* The thing that something is charged for has so many bytes. */
void peer_charge_set(struct peer_charges *charges, struct peer_charge *charge, size_t bytes);

/* The thing is gone. Does nothing where nothing is charged. */
void peer_charge_give_back(struct peer_charges *charges, struct peer_charge *charge);

#endif
