/* checker.h - checks what a consumer receives, event by event: the numbers of each producer, one
 * after the other, and nothing else.
 *
 * Most events of one protocol look alike: the same bytes before each payload, at equal steps.
 * checker_row() walks such a row in a few nanoseconds per event. The protocol's own reader handles
 * every other event and calls checker_event(). */
#ifndef TRIBUTARY_TESTS_CHECKER_H
#define TRIBUTARY_TESTS_CHECKER_H

#include "bench/load.h"

/* What a usual event looks like. */
struct shape {
    uint8_t head[96]; /* the bytes before the payload */
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
    /* Events with the same time are added to the histogram together. */
    int64_t now_ns; /* when this read began; 0: not known yet */
    uint64_t time_ns, time_first;
    uint64_t sorted_ns; /* with a sort window: the time field of the last event */
};

/* False: no memory. `shape` is copied. */
MUST_CHECK bool checker_init(struct checker *checker, struct load *load, uint32_t number,
                             const struct shape *shape);
void checker_fini(struct checker *checker);

/* Call them before and after each read. */
void checker_begin(struct checker *checker);
void checker_end(struct checker *checker); /* publishes the totals for the parent */

/* Walks [at, end) while events are whole, have the shape, and are the next ones that are due of
 * `producer`. Returns the end of the last such event. */
const uint8_t *checker_row(struct checker *checker, uint32_t producer, const uint8_t *at, const uint8_t *end);

/* Checks one payload of `producer` (below plan.producers). Calls load_fail() if it is not the one
 * that is due. */
void checker_event(struct checker *checker, uint32_t producer, struct bytes payload);

/* Checks messages of one event each that have the shape and come from one producer, as many as
 * follow each other. Returns how many bytes; 0: no message is whole; SIZE_MAX: the first message is
 * of no producer of ours, or is not the one that is due. */
size_t checker_messages(struct checker *checker, struct bytes input);

/* The producer that a payload names; MAX_PLAN_PRODUCERS: there is no such producer. `payload` holds
 * a mark. */
uint32_t checker_producer(const struct checker *checker, const uint8_t *payload);

#endif
