/* batches.h - a consumer's stream of EventBatch messages, read as it comes and checked event by
 * event.
 *
 * A message is not gathered: its runs are walked piece by piece. Where a run's header stands behind
 * its events, as protobuf allows, the run is gathered first. */
#ifndef TRIBUTARY_TESTS_BATCHES_H
#define TRIBUTARY_TESTS_BATCHES_H

#include "bench/checker.h"
#include "bench/feed.h"

/* A producer's name: the run's number, so that no earlier run's sequences go on, and the
 * producer's. */
#define BATCHES_NAME "load%d.%u"

struct batches {
    struct checker *checker;
    struct feed feed;
    bool started;
    size_t message_left, run_left; /* of the message, without the run; of the run */
    bool in_run;
    /* The run that is being read. */
    uint32_t producer;       /* MAX_PLAN_PRODUCERS: not known yet */
    uint64_t first_sequence; /* 0: not known yet */
    bool begun;              /* the header is known and right; events are being checked */
    uint64_t first;          /* the number that was due when they began */
    uint64_t events_before;  /* checker->events at that time */
    uint64_t sequences;      /* listed so far */
    char name[16];           /* what the names of this run begin with */
    size_t name_size;
};

void batches_init(struct batches *batches, struct checker *checker);
void batches_fini(struct batches *batches);
/* A piece of the stream. Tells load_fail() what is wrong: a loss, a number that is not due, a
 * malformed message. */
void batches_add(struct batches *batches, struct bytes piece);

/* How an event of producer or consumer looks: everything in front of its payload, with `label` as
 * the digits of a filter's value. Returns the size; *digits_out is where the label stands (NULL
 * allowed). */
size_t batches_event_head(const struct plan *plan, uint32_t label, uint8_t *at, size_t *digits_out);
/* Digits of a label: as many as the last consumer's number has. */
int batches_digits(const struct plan *plan);
/* Field of Event and of Selector that the filter asks for, and its value for a label, or the
 * pattern for it. */
void batches_label(const struct plan *plan, uint32_t label, bool pattern, char *text, size_t capacity);

#endif
