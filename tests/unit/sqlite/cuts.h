/* cuts.h - what the campaigns of power cuts and failing syncs have in common.
 *
 *   TOPIC_CUTS=20000   so many, in place of what the test says
 *   TOPIC_SEED=5       other random numbers */
#ifndef TRIBUTARY_TESTS_UNIT_SQLITE_CUTS_H
#define TRIBUTARY_TESTS_UNIT_SQLITE_CUTS_H

#include <stdint.h>

#include "power_vfs.h"
#include "store_fixture.h"

/* Registers the VFS, with the power on, and makes the fixture. */
void cuts_begin(struct store_fixture *fixture);

/* 0 to sides - 1. */
unsigned roll(unsigned sides);
/* For power_return(). */
uint64_t cuts_random(void);

/* Plans. */
struct power_plan power_off(void);
struct power_plan failing_sync(void);

/* `in_tests`, or what TOPIC_CUTS says. */
unsigned cuts_wanted(unsigned in_tests);
/* Calls `live`, which makes a store, returns how often it was cut, and removes it, until there were
 * `wanted` cuts. */
void cuts_run(unsigned wanted, unsigned (*live)(struct power_plan (*plan_of)(void)),
              struct power_plan (*plan_of)(void));

#endif
