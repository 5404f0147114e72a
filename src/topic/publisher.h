/* publisher.h - idempotent publishing: what a store knows of a publisher decides what of a batch is
 * new.
 *
 * A publisher numbers its events from 1 on. The store keeps the last number that it has, for each
 * publisher. So a batch that is sent again is stored once. A publisher that starts anew does so
 * with a higher *life*; what an earlier life still sends is refused.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_TOPIC_PUBLISHER_H
#define TRIBUTARY_TOPIC_PUBLISHER_H

#include <stdbool.h>

#include "base/base.h"

#define MAX_PUBLISHER_ID_BYTES 64u

struct publisher_state {
    bool is_known;
    uint64_t life, last; /* number */
};

/* Event i of the batch has the number first_number + i. */
struct publisher_batch {
    uint64_t life, first_number;
    uint32_t count;
};

enum publisher_verdict {
    PUBLISHER_ACCEPTED, /* but for the duplicates, which come first */
    PUBLISHER_FENCED,   /* a higher life of this publisher has been here */
    PUBLISHER_GAP,      /* numbers are missing before it */
    PUBLISHER_UNKNOWN,  /* the publisher was forgotten, so nobody knows what is stored: a higher life */
    PUBLISHER_INVALID   /* number 0, or numbers beyond 64 bits */
};

struct publisher_decision {
    enum publisher_verdict verdict;
    uint32_t duplicates;       /* with PUBLISHER_ACCEPTED: so many first events are stored already */
    uint64_t expected;         /* with PUBLISHER_GAP: the number that must come next */
    struct publisher_state as; /* with PUBLISHER_ACCEPTED: what the store then knows */
};

struct publisher_decision publisher_decide(const struct publisher_state *state,
                                           const struct publisher_batch *batch);

#endif
