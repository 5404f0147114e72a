/* publisher_numbers.h - the numbers of a batch (PublisherNumbers), and their order on one call. For
 * the files of this room.
 *
 * The store decides what is a duplicate and what is a gap: topic/publisher.h. It begins anew with
 * any number where a publisher's life is higher than before. So behind the first batch of a life
 * nothing may be under way until that batch is stored; and if it is refused, a later batch must not
 * begin the life in its place.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_SERVER_RPC_PUBLISHER_NUMBERS_H
#define TRIBUTARY_SERVER_RPC_PUBLISHER_NUMBERS_H

#include <stdbool.h>

#include "base/fault.h"
#include "event/framing.h"
#include "topic/publisher.h"

struct publisher_numbers {
    uint32_t id_size; /* 0: the batch has no numbers */
    uint8_t id[MAX_PUBLISHER_ID_BYTES];
    uint64_t life, first;
};

/* Reads field `publisher`, for a batch of `count` events. FAULT_NONE: *numbers_out is filled in,
 * with id_size 0 where the field is absent. */
MUST_CHECK enum fault_reason publisher_numbers_read(const struct framing_field *field, uint32_t count,
                                                    struct publisher_numbers *numbers_out,
                                                    struct fault *fault);

/* What a call knows of its publisher. Zeroed: nothing. */
struct publisher_order {
    struct publisher_numbers begun; /* its id and life; `first`: of the batch that was refused */
    bool is_stored;                 /* the store has this life */
    bool is_refused;                /* its first batch was refused */
};

enum publisher_turn {
    TURN_NOW,   /* it may be given to the store */
    TURN_ALONE, /* the first one of its life: when nothing is under way, and nothing behind it */
    TURN_REFUSED
};

/* Whether a batch with numbers may come now. TURN_REFUSED: *fault says why. */
MUST_CHECK enum publisher_turn publisher_order_turn(const struct publisher_order *order,
                                                    const struct publisher_numbers *numbers,
                                                    struct fault *fault);
/* A batch was refused before it came to the store: its life does not begin with a later one. */
void publisher_order_refused(struct publisher_order *order, const struct publisher_numbers *numbers);
/* A batch that was TURN_ALONE is over. */
void publisher_order_over(struct publisher_order *order, const struct publisher_numbers *numbers,
                          bool is_stored);

#endif
