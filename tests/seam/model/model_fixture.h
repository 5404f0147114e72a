/* model_fixture.h - a hub with sessions and consumers that act at random, beside the model. Every
 * step is made on both, and then they must agree. */
#ifndef TRIBUTARY_TESTS_SEAM_MODEL_FIXTURE_H
#define TRIBUTARY_TESTS_SEAM_MODEL_FIXTURE_H

#include "flow/chan_batch.h"
#include "hub/hub.h"
#include "hub/producer.h"
#include "hub/session.h"
#include "hub/subscription.h"
#include "lib/events.h"
#include "loop/loop.h"
#include "route/offer.h"
#include "seam/model/model.h"
#include "seam/transcript.h"

#define MAX_STARTS 512 /* of one session */

struct model_fixture;

struct fixture_session {
    struct model_fixture *fixture;
    int index;
    struct session *session; /* NULL: it is not registered */
    uint64_t latest;
    struct start {
        int consumer;
        bool stopped, paused;
        uint64_t epoch, sequence; /* of the last event that was accepted */
    } starts[MAX_STARTS];
    uint64_t epoch, sequence; /* of the shared inlet */
};

/* What a consumer must read next: an event, or a mark (epoch 0). */
struct due {
    uint64_t epoch, sequence;
};

struct fixture_consumer {
    struct model_fixture *fixture;
    int index;
    bool exact; /* it loses nothing, so it reads exactly what is due */
    struct subscription *subscription;
    struct subscription_result result;
    struct chan_batch batch;
    struct due *due;
    unsigned due_count, due_room;
    uint64_t read;
};

struct model_fixture {
    struct loop *loop;
    struct hub *hub;
    struct dice dice;
    struct model model;
    struct notices actual;
    struct fixture_session sessions[SESSIONS];
    struct fixture_consumer consumers[CONSUMERS];
    uint64_t transient_epoch[NAMES], transient_sequence[NAMES];
    bool emptied;
    uint64_t starts, stops, events; /* for the summary */
    unsigned step;                  /* the number of the step, for the transcript */
};

void model_fixture_open(struct model_fixture *fixture, uint64_t seed);
void model_fixture_close(struct model_fixture *fixture); /* everybody leaves; nothing may be left alive */
void model_fixture_step(struct model_fixture *fixture);  /* one random step */

/* For the transcript: the line of a step, and what an offer to the hub returned. */
#define model_fixture_line(fixture, format, ...) transcript("step %u: " format, (fixture)->step, __VA_ARGS__)
enum err model_fixture_offered(enum err err, const struct offer *offer);

/* ---- for the files of this folder ---- */

void model_fixture_compare(struct model_fixture *fixture); /* after each step: hub and model agree */
void model_fixture_pass(struct model_fixture *fixture, int64_t ns);

struct session_params model_session_params(struct fixture_session *session,
                                           const struct model_session *params);
struct subscription_params model_subscription_params(struct fixture_consumer *consumer,
                                                     const struct model_consumer *params);
void model_fixture_forget(struct fixture_consumer *consumer); /* it has unsubscribed */

/* A chunk of topics `x` and `y` was accepted, so consumers with a route must read it. `consumer`
 * -1: it came from a shared source. */
void model_fixture_accepted(struct model_fixture *fixture, int source, int consumer, const char *topics,
                            const struct offer *offer);
void model_fixture_marked(struct fixture_consumer *consumer, uint32_t revision);
void model_fixture_read(struct fixture_consumer *consumer, uint32_t max);
bool model_fixture_read_all(struct fixture_consumer *consumer); /* true: nothing is due any more */

#endif
