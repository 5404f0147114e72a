/* batches.h - a consumer's stream of EventBatch messages, read in pieces and checked event by
 * event.
 *
 * A message is not gathered: its runs are walked piece by piece. Protobuf allows the header of a
 * run to stand behind its events; then the run is gathered first. */
#ifndef TRIBUTARY_TESTS_BATCHES_H
#define TRIBUTARY_TESTS_BATCHES_H

#include "bench/checker.h"
#include "bench/pieces.h"

/* A producer's name: the number of this run of the generator, so that no sequence of an earlier run
 * goes on, and the producer's number. */
#define BATCHES_NAME "load%d.%u"

struct batches {
    struct checker *checker;
    struct pieces pieces;
    bool started;
    size_t message_left, run_left; /* bytes left: of the message after the run; of the run */
    bool in_run;
    /* The run that is being read. */
    uint32_t producer;       /* MAX_PLAN_PRODUCERS: not known yet */
    uint64_t first_sequence; /* 0: not known yet */
    bool begun;              /* the header is known and right, and events are being checked */
    uint64_t first;          /* the number that was due when the events began */
    uint64_t events_before;  /* checker->events at that time */
    uint64_t sequences;      /* how many the run has listed so far */
    char name[16];           /* the beginning of all names of this run of the generator */
    size_t name_size;
};

void batches_init(struct batches *batches, struct checker *checker);
void batches_fini(struct batches *batches);
/* Reads a piece of the stream. Calls load_fail() for a loss, a number that is not due, and a
 * malformed message. */
void batches_add(struct batches *batches, struct bytes piece);

/* Writes the head of an event: everything before its payload, with `label` as the digits of a
 * filter's value. Returns the size. *digits_out: where the label stands (NULL allowed). */
size_t batches_event_head(const struct plan *plan, uint32_t label, uint8_t *at, size_t *digits_out);
/* The number of digits of a label: as many as the last consumer's number has. */
int batches_digits(const struct plan *plan);
/* Writes the value that the plan's filter compares, for a label, or the pattern for it. */
void batches_label(const struct plan *plan, uint32_t label, bool pattern, char *text, size_t capacity);

#endif
