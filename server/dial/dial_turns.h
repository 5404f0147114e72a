/* dial_turns.h - how fast failing endpoints are dialled, all of a daemon together.
 *
 * An endpoint whose last call has failed waits for its turn before it opens another one: there are
 * DIAL_TURNS_PER_S turns a second, one endpoint after the other, however many calls each of them
 * has waiting. After a turn that has led to an accepted call the next one comes sooner:
 * GOOD_DIAL_TURNS_PER_S. So many upstreams that come back are found soon, and many that do not cost
 * little. A turn is for the calls that may share a connection. Endpoints that do not fail wait for
 * nothing.
 *
 * Peers take turns too (base/peer_queue.h): whoever has added few endpoints waits for one of
 * another peer's at most, however many these are.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_DIAL_TURNS_H
#define TRIBUTARY_SERVER_DIAL_DIAL_TURNS_H

#include "base/peer_queue.h"
#include "loop/loop.h"

#define DIAL_TURNS_PER_S 25
#define GOOD_DIAL_TURNS_PER_S 50

/* Embedded in the server's side of it. */
struct dial_turns {
    struct loop *loop;
    struct peer_queue waiting; /* struct dial_turn */
    struct timer timer;
    int64_t last_ns; /* when the last turn was */
    int64_t next_ns; /* the next turn is no earlier */
};

/* Embedded in an endpoint. */
struct dial_turn {
    struct peer_entry entry; /* in turns->waiting; of the peer that has added the endpoint */
    /* Its turn has come. Returns whether it needs another one. */
    bool (*come)(struct dial_turn *turn);
};

void dial_turns_init(struct dial_turns *turns, struct loop *loop);
void dial_turns_fini(struct dial_turns *turns); /* nobody may wait any more */

void dial_turn_init(struct dial_turn *turn, struct peer_key peer, bool (*come)(struct dial_turn *turn));

/* Waits for a turn; come() is called in a later turn of the loop. Does nothing where it waits. */
void dial_turns_wait(struct dial_turns *turns, struct dial_turn *turn);
/* A call was accepted of an endpoint that had a turn. */
void dial_turns_succeeded(struct dial_turns *turns);
/* Does nothing where it does not wait. */
void dial_turns_leave(struct dial_turns *turns, struct dial_turn *turn);

#endif
