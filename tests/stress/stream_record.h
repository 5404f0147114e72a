/* stream_record.h - what one stream of a stress test was told of each source: events, losses and
 * positions. It checks that they fit together.
 *
 * Threads: one at a time. */
#ifndef TRIBUTARY_TESTS_STRESS_STREAM_RECORD_H
#define TRIBUTARY_TESTS_STRESS_STREAM_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct chan_batch;
struct lost_note;
struct source;

struct source_record {
    uint64_t epoch;
    uint64_t first, last, count; /* events and losses; `count` 0: none yet */
    uint64_t last_event;
    uint64_t position; /* 0: none was reported */
    uint64_t start;    /* the last position before the first event or loss */
};

struct stream_record {
    bool wants_everything;
    unsigned count;
    struct source_record *sources;
};

void stream_record_init(struct stream_record *record);
void stream_record_fini(struct stream_record *record);
void stream_record_begin(struct stream_record *record, bool wants_everything); /* of a new stream */

/* Each source's events rise. Returns how many the batch has. */
uint64_t stream_record_batch(struct stream_record *record, const struct chan_batch *batch);

/* For chan_losses() and hub_positions(). Positions never go back. */
void stream_record_loss(void *record, const struct lost_note *note);
bool stream_record_position(void *record, const struct source *source, uint64_t sequence);

/* After a batch, its losses, and positions: no position is beyond what a stream that wants
 * everything was told. It need not hold after a hard end, which drops without a report. */
void stream_record_check_positions(const struct stream_record *record);

/* At the end: a stream that wants everything was told of everything since it joined. The same
 * exception holds. */
void stream_record_check_complete(const struct stream_record *record);

#endif
