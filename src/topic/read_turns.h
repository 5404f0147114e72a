/* read_turns.h - the turns of readers at the backend: a few steps at a time, and one of each
 * reader. Peers take turns, so one that has many readers does not keep others waiting.
 *
 * The memory of a step belongs to its turn, not to its reader. So readers that wait need none.
 *
 * Threads: any. */
#ifndef TRIBUTARY_TOPIC_READ_TURNS_H
#define TRIBUTARY_TOPIC_READ_TURNS_H

#include <stdbool.h>

#include "base/peer_queue.h"
#include "topic/topic_port.h"

/* Steps that the backend has at once. */
#define READ_TURNS 4u

struct loop;
struct read_turns;

/* Embedded in a reader. */
struct turn_wait {
    struct peer_entry entry;
    /* Its turn has come. Fills in `read` but for done(). False: it wants nothing any more. With no
     * lock held, like done(). */
    bool (*fill)(struct turn_wait *wait, struct topic_read *read);
    /* The step is over. `read` is the turn's again when this returns. */
    void (*done)(struct turn_wait *wait, struct topic_read *read);
};

/* `port` is copied. One reference is the caller's. NULL: out of memory. */
struct read_turns *read_turns_new(struct loop *loop, const struct topic_port *port);
struct read_turns *read_turns_retain(struct read_turns *turns);
/* Steps that the backend still has hold references of their own. NULL is allowed. */
void read_turns_release(struct read_turns *turns);

static inline void turn_wait_init(struct turn_wait *wait, struct peer_key peer)
{
    peer_entry_init(&wait->entry, peer);
}

/* It wants a turn, and must not wait for one yet. Calls nothing, so any lock may be held. */
void read_turns_add(struct read_turns *turns, struct turn_wait *wait);

/* It wants none any more. Returns whether it waited. */
bool read_turns_remove(struct read_turns *turns, struct turn_wait *wait);

#endif
