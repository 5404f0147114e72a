/* ready.h - the hub's ready list: what a transition leads to, and the calls of ports.
 *
 * A transition changes one object, and calls no port. Of another object it may only store the end
 * (rule 3), take out routes (rule 4), move the context and count. It puts the objects that may have
 * to move next on the ready list. ready_run() then lets each of them move, one after the other,
 * until none is left; then it makes one port call; and so on until nothing is left of either. That
 * may take several turns of the loop. One
 * exception: where a name gets another owner, handover.c closes the session that has it, and ends
 * the one that waits for it, in the same step.
 *
 *   1. Port calls of all objects stand in one queue and are made in its order.
 *   2. An object is on the ready list at most once, and in the queue of calls at most once. Each
 *      place holds a reference.
 *   3. The reason of an end is stored in the object. The first hard end wins, also over a gentle
 *      one that came before.
 *   4. A route is taken out at once, and so is a wildcard whose stream may report positions. Only
 *      what follows from that waits. Other wildcards go in the next turn (wildcard_sweep.h). Where
 *      very many activations end together, their routes go in slices: their session refuses offers
 *      at once, or nobody reads the channel any more.
 *   5. A call of the hub that comes from a port changes the object that it names and queues the
 *      rest. The ready_run() that called the port does it.
 *
 * run() and call() look at the object's state and do what is due. So an object that is put on the
 * list without need does nothing.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_READY_H
#define TRIBUTARY_HUB_READY_H

#include <stdbool.h>

#include "base/list.h"
#include "loop/loop.h"

struct ready;

/* What the objects of one kind do. None of these is NULL. */
struct ready_kind {
    void (*run)(struct ready *ready);  /* moves on; calls no port */
    void (*call)(struct ready *ready); /* makes the port call that is due, at most one */
    void (*retain)(struct ready *ready);
    void (*release)(struct ready *ready);
};

struct ready_list {
    struct list ready, calls;
    bool running;
    struct loop *loop;
    struct slice slice; /* moves and calls, one at a time */
    /* Called last of all when nothing is left; it may free the list. NULL: nothing. */
    void (*emptied)(struct ready_list *list);
};

/* Embedded in an object. */
struct ready {
    const struct ready_kind *kind;
    struct ready_list *list;
    struct list in_ready, in_calls;
};

void ready_list_init(struct ready_list *list, struct loop *loop);
void ready_init(struct ready *ready, const struct ready_kind *kind, struct ready_list *list);

/* Puts the object on the ready list. Does nothing where it is there. */
void ready_add(struct ready *ready);

/* Puts the object at the end of the queue of port calls. Does nothing where it is there. */
void ready_call(struct ready *ready);

/* The same, but where it is there it moves to the end. */
void ready_call_last(struct ready *ready);

/* The last act of every entry into the hub. Where it runs already, which is inside a port call, it
 * returns at once. Where there is more to do than this turn of the loop has time for, the rest is
 * done in slices, and other entries come in between. The list may be freed afterwards
 * (emptied()). */
void ready_run(struct ready_list *list);

#endif
