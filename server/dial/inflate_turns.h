/* inflate_turns.h - which compressed message of the upstreams of one thread is inflated next. In
 * each turn of the thread about a millisecond goes to that; what is beyond waits for later turns,
 * the first to come first. So a flood of compressed messages delays only them.
 *
 * Threads: one wire thread. */
#ifndef TRIBUTARY_SERVER_DIAL_INFLATE_TURNS_H
#define TRIBUTARY_SERVER_DIAL_INFLATE_TURNS_H

#include <stdbool.h>

#include "base/list.h"
#include "base/mailbox.h"

struct cq_thread;

/* Embedded in whoever has a message. list_init() of the link before the first use. */
struct inflate_work {
    struct list link;
    void (*run)(struct inflate_work *work); /* inflates one message */
};

struct inflate_turns {
    struct cq_thread *cq;
    struct list waiting; /* struct inflate_work */
    struct task task;
    bool is_posted;
    int64_t turn_ns, spent_ns; /* the turn of the thread, by its beginning; of that turn */
};

void inflate_turns_init(struct inflate_turns *turns, struct cq_thread *cq);

/* Runs the work now, and returns true; or false, where it would have to wait. */
MUST_CHECK bool inflate_turns_run(struct inflate_turns *turns, struct inflate_work *work);
/* The work waits; run() follows, in a later turn. Whoever has it holds the thread. */
void inflate_turns_add(struct inflate_turns *turns, struct inflate_work *work);

#endif
