/* batch_step.h - what the batches that are ready do next: the one place that decides. Inside of
 * src/batch only. */
#ifndef TRIBUTARY_BATCH_BATCH_STEP_H
#define TRIBUTARY_BATCH_BATCH_STEP_H

#include "batch/keyed_batch.h"

/* Reads the clock, at the beginning of a call from outside. */
void batch_engine_enter(struct batch_engine *engine);
/* Steps all that is ready, at the end of such a call. */
void batch_engine_step(struct batch_engine *engine);

/* Whether one more operation that waits may change what the batch does next. */
bool batch_heeds_waiters(const struct keyed_batch *batch);
/* Whether no further operation may start, where that is decided now. */
bool batch_is_over(const struct keyed_batch *batch);
/* Moves the first of those that wait to those that have started. */
struct batch_operation *batch_start_waiting(struct keyed_batch *batch);
/* Those that ran ahead were reported: they do not count as waiting any more. */
void batch_forget_ahead(struct keyed_batch *batch);

#endif
