/* world.h - the hub and everybody around it, played by the dice, with the model beside it: whatever
 * is done to one is done to the other, and then they must agree. */
#ifndef TRIBUTARY_TESTS_SEAM_MODEL_WORLD_H
#define TRIBUTARY_TESTS_SEAM_MODEL_WORLD_H

#include "lib/events.h"
#include "loop/loop.h"
#include "seam/model/model.h"

#define MAX_STARTS 512 /* of one session */

struct world;

struct world_session {
    struct world *world;
    int place;
    struct session *session; /* NULL: it is not registered */
    uint64_t latest;
    struct start {
        int consumer;
        bool stopped, paused;
        uint64_t epoch, sequence; /* of the last event that was taken */
    } starts[MAX_STARTS];
    uint64_t epoch, sequence; /* of the shared inlet */
};

/* What a consumer is to read next: an event, or a mark (epoch 0). */
struct due {
    uint64_t epoch, sequence;
};

struct world_consumer {
    struct world *world;
    int place;
    bool exact; /* loses nothing: it reads just what is due */
    struct subscription *subscription;
    struct subscription_result result;
    struct chan_batch batch;
    struct due *due;
    unsigned due_count, due_room;
    uint64_t read;
};

struct world {
    struct loop *loop;
    struct hub *hub;
    struct dice dice;
    struct model model;
    struct notices actual;
    struct world_session sessions[SESSIONS];
    struct world_consumer consumers[CONSUMERS];
    uint64_t transient_epoch[NAMES], transient_sequence[NAMES];
    bool emptied;
    uint64_t starts, stops, events; /* for the report */
};

void world_open(struct world *world, uint64_t seed);
void world_close(struct world *world); /* everybody leaves; nothing may be left alive */
void world_step(struct world *world);  /* something happens */

/* ---- between the files of it ---- */

void world_agree(struct world *world); /* after each verb: hub and model say the same */
void world_pass(struct world *world, int64_t ns);

struct session_params world_session_wish(struct world_session *session, const struct model_session *params);
struct subscription_params world_subscription_wish(struct world_consumer *consumer,
                                                   const struct model_consumer *params);
void world_forget(struct world_consumer *consumer); /* it has unsubscribed */

/* A chunk of topics `x` and `y` was taken: whoever has a route must read it. `pair` -1: of a shared
 * source. */
void world_taken(struct world *world, int source, int consumer, const char *topics,
                 const struct offer *offer);
void world_marked(struct world_consumer *consumer, uint32_t revision);
void world_read(struct world_consumer *consumer, uint32_t max);
bool world_read_all(struct world_consumer *consumer); /* nothing is due any more */

#endif
