/* stored_make.h - topics that are made because something is published to them. A few are under way
 * at a time; others wait. For the files of this room. */
#ifndef TRIBUTARY_SERVER_RPC_STORED_MAKE_H
#define TRIBUTARY_SERVER_RPC_STORED_MAKE_H

#include "server/wire/thread.h"
#include "topic/topics.h"

#define MAX_MAKINGS 64u

/* Those of the server. Threads: the loop. */
struct stored_makings {
    struct list waiting;
    uint32_t running;
    bool is_running;
};

void stored_makings_init(struct stored_makings *makings);

/* One topic, for one call. */
struct stored_making {
    struct stored_makings *makings;
    struct topics *topics;
    struct cq_thread *thread;
    /* On `thread`, once: change.fault says whether the topic is there. */
    void (*made)(struct stored_making *making);
    void *owner;
    struct task task;
    struct list link;
    struct topics_change change;
    uint8_t name[MAX_TOPIC_NAME_BYTES];
};

/* Any thread. `makings`, `topics`, `thread` and `made` are set, and of the change the peer. `name`
 * is copied; it is a topic's name (topic_name_check()). */
void stored_make(struct stored_making *making, struct loop *loop, struct bytes name);

#endif
