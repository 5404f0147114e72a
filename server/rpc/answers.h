/* answers.h - what the answers of unary calls keep while they are being sent.
 *
 * A peer that does not read its answers makes the server keep them, for the write timeout. So an
 * answer above FREE_ANSWER_BYTES is charged to the budget and to its peer. All peers together may
 * have an eighth of the budget, and one peer its share of that (base/peer_share.h). A peer with no
 * such answer on its way always gets one: so an operator can look at a server without memory.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_ANSWERS_H
#define TRIBUTARY_SERVER_RPC_ANSWERS_H

#include <pthread.h>

#include "base/fault.h"
#include "base/peer_share.h"
#include "loop/loop.h"

/* What is smaller is in what an open call is charged for (--max-kept-bytes). */
#define FREE_ANSWER_BYTES 4096u

struct answers {
    struct loop *loop; /* whose settings hold */
    pthread_mutex_t lock;
    struct peer_counts peers;
    uint64_t bytes; /* of all answers on their way */
};

void answers_init(struct answers *answers, struct loop *loop);
void answers_fini(struct answers *answers); /* nothing may be charged any more */

/* What one answer is charged. Zeroed: nothing. */
struct answer_charge {
    struct peer_count *count; /* NULL: nothing is charged */
    uint64_t bytes;
};

/* Charges the peer with `bytes`, for an answer that is made or yet to be made. FAULT_NONE, or
 * MEMORY_BUDGET with a bound that names the peer, what it keeps, and its share; nothing is charged
 * then. */
MUST_CHECK enum fault_reason answer_charge(struct answers *answers, struct answer_charge *charge,
                                           struct peer_key peer, size_t bytes, struct fault *fault);

/* The answer that something is charged for has so many bytes. */
void answer_charge_set(struct answers *answers, struct answer_charge *charge, size_t bytes);

/* The answer has left, or nobody wants it. Does nothing where nothing is charged. */
void answer_give_back(struct answers *answers, struct answer_charge *charge);

#endif
