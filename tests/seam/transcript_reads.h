/* transcript_reads.h - what a consumer reads from its channel, as lines of the transcript. */
#ifndef TRIBUTARY_TESTS_SEAM_TRANSCRIPT_READS_H
#define TRIBUTARY_TESTS_SEAM_TRANSCRIPT_READS_H

#include "flow/chan_batch.h"
#include "flow/chan_report.h"

/* `consumer` is its number. One line for each run of events. */
void transcript_batch(unsigned consumer, const struct chan_batch *batch);
void transcript_loss(unsigned consumer, const struct lost_note *note);
void transcript_state(unsigned consumer, const struct feed_change *change);

#endif
