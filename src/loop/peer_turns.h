/* peer_turns.h - work for many peers in one slice of the loop. The peers take turns
 * (base/peer_queue.h), and so do the pieces of work of one peer. So a peer with a thousand pieces
 * gets as much time as one with a single one, and all together get as much as one other slice.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_LOOP_PEER_TURNS_H
#define TRIBUTARY_LOOP_PEER_TURNS_H

#include "base/peer_queue.h"
#include "loop/loop.h"

struct peer_turns {
    struct loop *loop;
    struct slice slice;
    struct peer_queue due; /* struct peer_work: that which waits for a step */
};

/* Embedded in what has the work. Zeroes are work that is not begun. */
struct peer_work {
    /* As a slice's step. Where it returns false it may have ended the work, and freed it. */
    bool (*step)(struct peer_work *work);
    struct peer_turns *turns; /* NULL: not begun */
    struct peer_entry entry;  /* of turns->due, while it waits */
};

void peer_turns_init(struct peer_turns *turns, struct loop *loop);
void peer_turns_fini(struct peer_turns *turns); /* no work may wait any more */

/* From now on the work may wait for turns of the peer. peer_work_end() must follow. */
void peer_work_begin(struct peer_turns *turns, struct peer_work *work, struct peer_key peer,
                     bool (*step)(struct peer_work *work));
/* No step is taken any more. Not begun: does nothing. */
void peer_work_end(struct peer_work *work);

/* There is something to do: steps are taken, in this turn of the loop or a later one, until one
 * returns false. */
void peer_work_wake(struct peer_work *work);

#endif
