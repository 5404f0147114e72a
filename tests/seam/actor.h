/* actor.h - a producer that dialled in, played by the test: it writes down what it is told, and
 * does as it was bidden. */
#ifndef TRIBUTARY_TESTS_SEAM_ACTOR_H
#define TRIBUTARY_TESTS_SEAM_ACTOR_H

#include "seam/bench.h"

struct actor {
    struct bench *bench;
    struct session *session; /* NULL: refused, or it has left */
    struct fault fault;      /* why it was refused, or cut */
    struct put_waiter waiter;
    struct offer offer; /* the last answer */
    unsigned over;
    /* What it was told. */
    struct buf heard;
    uint64_t epoch;
    uint64_t latest; /* the number of the latest activation */
    char subscription[32];
    int64_t start_deadline_ns;
    unsigned welcomes, starts, stops, pauses, resumes, closings, cuts;
    /* What it does from within. */
    bool ends_at_start, ends_at_stop; /* session_end() with OK */
    bool leaves_at_stop, leaves_at_closing, leaves_at_cut;
};

struct session_params actor_wish(const char *name, enum session_mode mode);
enum fault_reason actor_try(struct actor *actor, struct bench *bench, struct session_params params);
/* must not be refused */
void actor_join(struct actor *actor, struct bench *bench, struct session_params params);

/* Everything it was told since it was asked last, with commas: `welcome`, `start N "REQUEST"`,
 * `stop N WHY in MS` (`now` where it is cut already), `pause N`, `resume N`, `closing WHY in MS`,
 * `cut WHY`. Valid until the next call. */
const char *actor_heard(struct actor *actor);

/* Publishes `count` events of topic `t`; activation 0: for all. */
enum err actor_put(struct actor *actor, uint64_t activation, uint32_t count);
/* as chunk_of_letters() */
enum err actor_put_topics(struct actor *actor, uint64_t activation, const char *topics);
void actor_end(struct actor *actor, uint64_t activation, enum fault_code code, const char *message);
/* idempotent; what it heard can still be asked for, until it joins again */
void actor_leave(struct actor *actor, enum fault_reason reason);
void actor_fini(struct actor *actor); /* leaves, where it has not */

#endif
