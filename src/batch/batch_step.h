/* batch_step.h - what the batches that are ready do next: the one place that decides. Inside of
 * src/batch only. */
#ifndef TRIBUTARY_BATCH_BATCH_STEP_H
#define TRIBUTARY_BATCH_BATCH_STEP_H

#include "batch/keyed_batch.h"

/* Reads the clock, at the beginning of a call from outside. */
void batch_engine_enter(struct batch_engine *engine);
/* Steps all that is ready, at the end of such a call. */
void batch_engine_step(struct batch_engine *engine);

#endif
