/* steps.h - what may happen to the hub and its model: one function for each step, and the random
 * choices that they make. */
#ifndef TRIBUTARY_TESTS_SEAM_MODEL_STEPS_H
#define TRIBUTARY_TESTS_SEAM_MODEL_STEPS_H

#include "seam/model/model_fixture.h"

uint64_t fixture_roll(struct model_fixture *fixture, uint64_t sides);
int fixture_pick(struct model_fixture *fixture, int places,
                 bool (*wanted)(const struct model_fixture *fixture, int index));
bool free_session(const struct model_fixture *fixture, int s);
bool any_session(const struct model_fixture *fixture, int s);
bool asked_session(const struct model_fixture *fixture, int s);
bool shared_session(const struct model_fixture *fixture, int s);
bool free_consumer(const struct model_fixture *fixture, int c);
bool any_consumer(const struct model_fixture *fixture, int c);
bool live_consumer(const struct model_fixture *fixture, int c);
struct model_filter some_filter(struct model_fixture *fixture);
int64_t some_time_ns(struct model_fixture *fixture);
void step_register(struct model_fixture *fixture);
void step_unregister(struct model_fixture *fixture);
void step_offer(struct model_fixture *fixture);
void step_offer_shared(struct model_fixture *fixture);
void step_end(struct model_fixture *fixture);
void step_publish(struct model_fixture *fixture);
void step_remove(struct model_fixture *fixture);
void step_subscribe(struct model_fixture *fixture);
void step_leave(struct model_fixture *fixture, int c, enum fault_reason reason);
void step_unsubscribe(struct model_fixture *fixture);
void step_finish(struct model_fixture *fixture);
void step_kick(struct model_fixture *fixture);
void step_select(struct model_fixture *fixture);
void step_read(struct model_fixture *fixture);

#endif
