/* stored_make.h - topics that are made because something is published to them. A few are under way
 * at a time. Others wait, and peers take turns: nobody waits for all that another one makes. For
 * the files of this room. */
#ifndef TRIBUTARY_SERVER_RPC_STORED_MAKE_H
#define TRIBUTARY_SERVER_RPC_STORED_MAKE_H

#include "base/peer_queue.h"
#include "server/wire/thread.h"
#include "topic/topics.h"

#define MAX_MAKINGS 64u

/* Those of the server. Threads: the loop. */
struct stored_makings {
    struct peer_queue waiting;
    uint32_t running;
    bool is_running;
};

void stored_makings_init(struct stored_makings *makings);
void stored_makings_fini(struct stored_makings *makings); /* nothing waits */

/* One topic, for one call. */
struct stored_making {
    struct stored_makings *makings;
    struct topics *topics;
    struct cq_thread *thread;
    /* On `thread`, once: change.fault says whether the topic is there. */
    void (*made)(struct stored_making *making);
    void *owner;
    struct task task;
    struct peer_entry entry;
    struct topics_change change;
    uint8_t name[MAX_TOPIC_NAME_BYTES];
};

/* Any thread. `makings`, `topics`, `thread` and `made` are set, and of the change the peer. `name`
 * is copied; it is a topic's name (topic_name_check()). */
void stored_make(struct stored_making *making, struct loop *loop, struct bytes name);

#endif
