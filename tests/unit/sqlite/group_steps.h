/* group_steps.h - groups of a store, driven from one thread: each call waits for its answer. */
#ifndef TRIBUTARY_TESTS_UNIT_SQLITE_GROUP_STEPS_H
#define TRIBUTARY_TESTS_UNIT_SQLITE_GROUP_STEPS_H

#include "backend/sqlite/store_groups.h"
#include "topic_fixture.h"

/* Makes, changes or deletes a group. */
struct group_change change_group(struct store_fixture *fixture, enum group_verb verb, const char *name,
                                 const char *settings);
/* Returns its incarnation. */
uint64_t make_group(struct store_fixture *fixture, const char *name);

/* Saves cursors, and what `dead` has (batch_init()); it may be NULL. */
enum topic_outcome save_all(struct store_fixture *fixture, const struct group_cursor *cursors, uint32_t count,
                            struct batch *dead);
/* One of them. */
enum topic_outcome save_one(struct store_fixture *fixture, struct group_cursor cursor, struct batch *dead);

/* All groups as "name=settings", in the order of names; all cursors as
 * "group:end_seq=cursor(counts)", with a "!" behind one that is beyond. Static.
 * "refused: ..." where they cannot be read. */
const char *groups_text(struct store_fixture *fixture);
const char *cursors_text(struct store_fixture *fixture);

#endif
