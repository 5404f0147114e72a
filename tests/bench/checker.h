/* checker.h - what a consumer received, checked event by event: each producer's numbers, one after
 * the other, and nothing else.
 *
 * Events of one protocol mostly look alike: the same bytes in front of each payload, at equal
 * steps. checker_row() walks such a row in a few nanoseconds per event; what looks different is for
 * the protocol's own reader, which ends in checker_event(). */
#ifndef TRIBUTARY_TESTS_CHECKER_H
#define TRIBUTARY_TESTS_CHECKER_H

#include "bench/load.h"

/* How an event looks where nothing is out of the ordinary. */
struct shape {
    uint8_t head[96]; /* in front of the payload; at most this long */
    size_t head_size;
    size_t step; /* from one event to the next */
};

struct checker {
    struct load *load;
    uint32_t number; /* the consumer's */
    uint64_t stride; /* from one number to the next: more than 1 with a filter */
    struct shape shape;
    uint64_t head[2], head_mask[2]; /* the first 16 bytes of the shape's head */
    uint64_t *next;                 /* of each producer, the number that is due */
    uint64_t events, messages;
    /* Events of the same time are added to the histogram together. */
    int64_t now_ns; /* of this read; 0: not asked yet */
    uint64_t time_ns, time_first;
};

/* False: no memory. `shape` is copied. */
MUST_CHECK bool checker_init(struct checker *checker, struct load *load, uint32_t number,
                             const struct shape *shape);
void checker_fini(struct checker *checker);

/* Around each read. */
void checker_begin(struct checker *checker);
void checker_end(struct checker *checker); /* tells what has been received */

/* Walks [at, end) while whole events have the shape and are those that are due of `producer`.
 * Returns where it stopped: at the end of the last one that is. */
const uint8_t *checker_row(struct checker *checker, uint32_t producer, const uint8_t *at, const uint8_t *end);

/* One payload, said to be of `producer` (below plan.producers). Tells load_fail() where it is not
 * the one that is due. */
void checker_event(struct checker *checker, uint32_t producer, struct bytes payload);

/* Messages that hold one event each and have the shape, payload and all, of one producer, as many
 * as follow each other. Returns the bytes taken; 0: not one is whole; SIZE_MAX: it is nobody's, or
 * not the one that is due. */
size_t checker_messages(struct checker *checker, struct bytes input);

/* The producer that a payload names; MAX_PLAN_PRODUCERS where there is no such. `payload` holds a
 * mark. */
uint32_t checker_producer(const struct checker *checker, const uint8_t *payload);

#endif
