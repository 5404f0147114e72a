/* taker_fixture.h - the owner of a taker: it writes down what it is given, and reacts as the test
 * has set it up. */
#ifndef TRIBUTARY_TESTS_SEAM_TAKER_FIXTURE_H
#define TRIBUTARY_TESTS_SEAM_TAKER_FIXTURE_H

#include "hub/taker.h"
#include "seam/hub_fixture.h"

struct owner {
    struct hub_fixture *fixture;
    struct taker *taker; /* NULL: it was refused, or it has ended */
    struct buf transcript;
    struct fault fault; /* why it was refused, or ended */
    struct chan *chan;  /* a reference, for the totals */
    unsigned batches, closings, ends;
    uint64_t events;
    uint32_t max_events; /* the most events in one batch so far */
    uint64_t max_bytes;
    bool in_flight;
    /* How it reacts, from within the port. */
    bool holds;   /* does not complete a batch */
    bool refuses; /* completes a batch as not delivered */
    bool closes_at_batch, closes_after_complete, closes_at_closing, pauses_at_batch;
};

struct taker_params taker_params_of(uint32_t max_events);
enum fault_reason owner_try(struct owner *owner, struct hub_fixture *fixture, struct taker_params params);
/* Opens a taker; it must not be refused. */
void owner_open(struct owner *owner, struct hub_fixture *fixture, struct taker_params params);
void owner_complete(struct owner *owner, bool delivered); /* the batch that it holds */
/* Turns the loop until the owner is given nothing more, and returns what it was given since the
 * last call, a line for each port call: `mark N`, `lost NAME COUNT FIRST-LAST REASON`, `NAME
 * FIRST-LAST`, `NAME is STATE` of one batch, separated by commas; `closing REASON`; `ended REASON`.
 * The text is valid until the next call. */
const char *owner_read(struct owner *owner);
/* Closes the taker unless it has ended, completes what it holds, and checks that ended() came
 * once. */
void owner_fini(struct owner *owner);

#endif
