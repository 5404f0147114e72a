/* timed.h - a fixture's channel on a clock of the test's own, and events that name times on it.
 * Times are milliseconds. */
#ifndef TRIBUTARY_TESTS_FLOW_TIMED_H
#define TRIBUTARY_TESTS_FLOW_TIMED_H

#include "flow_fixture.h"

/* What the test's clock 0 is on the wall clock. */
#define TIMED_WALL_NS INT64_C(1700000000000000000)
#define MS INT64_C(1000000)
#define NO_TIME INT64_MIN

/* A chunk that came at `at_ms`, with events of these times, each with `data` bytes of data. Never
 * NULL. */
struct chunk *chunk_timed(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, uint32_t count,
                          const int64_t *times_ms, uint32_t data);

/* Puts events at `at_ms` into a feed. `times` has the time of each, "3 5 -"; `-` is none, `inf` the
 * highest number that there is. */
enum err timed_put(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, const char *times);
/* The same with a key for each event, "3:k 5:k". */
enum err timed_put_keys(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, const char *times);
/* Puts `count` events of one time. */
enum err timed_put_many(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, uint32_t count,
                        int64_t time_ms, uint32_t data);

/* Dequeues and delivers what may go at `at_ms`. */
const char *timed_deliver(struct flow_fixture *fixture, int64_t at_ms);
int64_t timed_due_ms(struct flow_fixture *fixture); /* chan_due_at(); -1: now; INT64_MAX: nothing waits */

#endif
