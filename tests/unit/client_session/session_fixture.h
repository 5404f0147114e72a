/* session_fixture.h - the fixture of the tests of sessions and of subscribers that consume: it runs
 * fake_sessions.py, creates clients, and counts callbacks.
 *
 * A condition that is not met within ten seconds ends the test. */
#ifndef TRIBUTARY_TESTS_SESSION_FIXTURE_H
#define TRIBUTARY_TESTS_SESSION_FIXTURE_H

#include <pthread.h>

#include "base/base.h"
#include "base/clock.h"
#include "tributary/tributary.h"

#define TEST_TIMEOUT_NS (10 * NS_PER_S)

/* Counts of callbacks are changed under the lock. */
struct session_fixture {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int interrupted;
};

void session_fixture_init(struct session_fixture *fixture);

/* Creates a client of the fake server. */
struct tributary *session_fixture_connect(void);

/* Adds one to *count and wakes session_fixture_await(). */
void session_fixture_count(struct session_fixture *fixture, int *count);

/* Waits until *count is at least `min`. */
void session_fixture_await(struct session_fixture *fixture, const int *count, int min);

/* For the callback `interrupted`: checks the status and the pause, and counts. */
void session_fixture_interrupted(struct session_fixture *fixture, const struct tributary_status *status,
                                 int64_t retry_ns);

#endif
