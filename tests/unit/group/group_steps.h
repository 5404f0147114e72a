/* group_steps.h - the steps of the model's schedules. Each does something to the group, checks the
 * answer, and does the same to the model.
 *
 * Threads: one. */
#ifndef TRIBUTARY_TESTS_UNIT_GROUP_GROUP_STEPS_H
#define TRIBUTARY_TESTS_UNIT_GROUP_GROUP_STEPS_H

#include "unit/group/group_model.h"

extern uint64_t acknowledged; /* in all schedules */

void open_sources(void);
void intake(struct model_source *source);
void trim(struct model_source *source);
void begin_commit(struct model_source *source);
void end_commit(struct model_source *source, bool ok);
void seek(struct model_source *source);
void restart(void);

void member_step(int member);
/* The member gets all that it may have, and acks it. */
void member_work(int member);

#endif
