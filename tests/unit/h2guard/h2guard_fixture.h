/* h2guard_fixture.h - a guard, and bytes that it is fed in pieces. */
#ifndef TRIBUTARY_TESTS_UNIT_H2GUARD_H2GUARD_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_H2GUARD_H2GUARD_FIXTURE_H

#include "h2guard/h2guard.h"
#include "lib/frames.h"

#define SECOND_NS INT64_C(1000000000)

/* A piece that is larger than what any test feeds. */
#define WHOLE SIZE_MAX

struct h2guard_fixture {
    struct h2guard_limits limits; /* the defaults, with a turn that bounds nothing */
    struct h2guard_counters counters;
    struct h2guard *guard;
    struct buf in;  /* bytes from the peer that were not fed yet */
    struct buf out; /* bytes to the peer, as above */
    int64_t now_ns;
    size_t turns; /* that fixture_feed() began */
};

/* Sets the limits. A test may change them before fixture_open(). */
void fixture_init(struct h2guard_fixture *fixture);

/* BARE: no byte has moved. STARTED: both sides have sent their preface and SETTINGS, and have
 * acknowledged those of the other. */
enum fixture_start { BARE, STARTED };

/* Makes the guard. */
void fixture_open(struct h2guard_fixture *fixture, enum h2guard_role role, enum fixture_start start);
void fixture_close(struct h2guard_fixture *fixture);

/* Sends what is in `out`. */
void fixture_send(struct h2guard_fixture *fixture);

/* Feeds what is in `in`, in pieces of at most `piece` bytes, and empties it. Begins a turn at
 * first, and again whenever the guard says WAIT; the clock stands still. Returns the last verdict.
 * */
struct h2guard_verdict fixture_feed(struct h2guard_fixture *fixture, size_t piece);

/* As fixture_feed(WHOLE); fails the test unless everything passed. */
void fixture_passes(struct h2guard_fixture *fixture);

/* As fixture_feed(WHOLE); fails the test unless the connection ended for this reason, and the
 * counter of the reason is 1. */
void fixture_ends(struct h2guard_fixture *fixture, enum h2guard_reason reason);

/* How often an item was counted. */
uint64_t fixture_count(struct h2guard_fixture *fixture, enum h2guard_item item);

#endif
