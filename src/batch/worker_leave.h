/* worker_leave.h - what becomes of the batches of a worker that drains or leaves. Inside of
 * src/batch only.
 *
 * Threads: within the lock of the processor, to which the caller has a reference. */
#ifndef TRIBUTARY_BATCH_WORKER_LEAVE_H
#define TRIBUTARY_BATCH_WORKER_LEAVE_H

struct batch_processor;

/* Goes on with the batches of workers that leave, by one slice; with all of them where the
 * processor has been stopped. */
void processor_step_leaving(struct batch_processor *processor);
/* Frees workers that have left and have no batch any more. */
void processor_drop_left(struct batch_processor *processor);

#endif
