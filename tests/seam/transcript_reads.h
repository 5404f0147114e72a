/* transcript_reads.h - what a consumer reads from its channel, as lines of the transcript. */
#ifndef TRIBUTARY_TESTS_SEAM_TRANSCRIPT_READS_H
#define TRIBUTARY_TESTS_SEAM_TRANSCRIPT_READS_H

#include "flow/chan_batch.h"
#include "flow/chan_report.h"

/* `consumer` is its number. One line for each run of events. */
void transcript_batch(unsigned consumer, const struct chan_batch *batch);
void transcript_loss(unsigned consumer, const struct lost_note *note);

/* For each state, and then for all that one call of chan_states() reported. The lines are in the
 * order of the epochs: hub_select() closes feeds in the order of their addresses, so the order in
 * which the channel reports their ends differs between builds. */
void transcript_state(const struct feed_change *change);
void transcript_states(unsigned consumer);

#endif
