/* removal.h - what became of the calls of a producer that an operator removes: who ended by itself,
 * and who was aborted.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_REMOVAL_H
#define TRIBUTARY_HUB_REMOVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mailbox.h"

#define MAX_REMOVAL_IDS 100u
#define REMOVAL_ID_BYTES 32u

struct activation;
struct ending;
struct producer;
struct session;

struct removal {
    /* Posted to the loop when the producer is gone; what follows is complete then. */
    struct task over;
    bool is_begun;
    /* Activations that had been started, or the one call of a shared session. A shared endpoint
     * without an upstream call has none. */
    uint64_t ended;
    uint64_t aborted; /* at the deadline, at once, or because the producer was lost */
    uint32_t id_count;
    char ids[MAX_REMOVAL_IDS][REMOVAL_ID_BYTES]; /* subscriptions of the first of the aborted ones */
    bool has_call;                               /* of a shared session */
};

/* Before the producer's remove(). `over` follows: at once where its kind drains nothing. `removal`
 * must stay valid until then. */
void removal_begin(struct producer *producer, struct removal *removal);

/* An activation is about to end. It counts where it was started. */
void removal_activation_ends(const struct activation *activation, const struct ending *ending);

/* The session is gone. */
void removal_over(struct session *session);

#endif
