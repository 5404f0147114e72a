/* batch_report.h - what the owner of a batch engine reports, and what it may read of a batch.
 *
 * Threads: as batch_engine.h. */
#ifndef TRIBUTARY_BATCH_BATCH_REPORT_H
#define TRIBUTARY_BATCH_BATCH_REPORT_H

#include "batch/batch_port.h"

/* The reports. Each answers one call of the port. */
void batch_loaded(struct keyed_batch *batch, bool ok);
/* Before that: the load that was called begins only now: its owner had no place for it. Window
 * and deadline of a batch that loads for the first time count from now. */
void batch_began(struct keyed_batch *batch);
/* Whether anybody waits for the load that was called. */
MUST_CHECK bool batch_needs_load(const struct keyed_batch *batch);
/* In place of batch_loaded(), where nobody waited for it: it was given up. The batch is over.
 * Operations that have come since begin a new one. */
void batch_not_loaded(struct keyed_batch *batch);
void batch_operated(struct batch_operation *operation, bool ok);
/* In place of batch_operated(): it has not begun after all, and never will. The operation is the
 * caller's again. Not after a reload. With the last one of a batch that is saved the save is not
 * wanted any more: unload() follows. */
void batch_withdrawn(struct batch_operation *operation);

/* Where operations take less time than reports. While one runs: the next one of the batch, which
 * the caller runs directly after it, without a call of operate(), and before batch_until_ns().
 * NULL: none may. It counts as waiting in the bounds until anything is reported for the batch. Not
 * with `pipelined`. It does not read the clock. */
struct batch_operation *batch_run_ahead(struct keyed_batch *batch);
int64_t batch_until_ns(const struct keyed_batch *batch);
/* In place of batch_operated(): `count` operations have run, in the order in which they started;
 * `failed` of each is set. */
void batch_operated_all(struct keyed_batch *batch, struct batch_operation *const *operations, size_t count);
/* In place of batch_operated(), for the last one that has started and was not put back: it has not
 * begun, and waits again, as the first. Before batch_operated_all() for the others. */
void batch_put_back(struct batch_operation *operation);

/* With `pipelined`, all operations were reported before. */
enum batch_save { BATCH_SAVE_OK, BATCH_SAVE_CONFLICT, BATCH_SAVE_ERROR };
void batch_saved(struct keyed_batch *batch, enum batch_save result);
void batch_unloaded(struct keyed_batch *batch);
/* In place of any report, or between two attempts to load: who had the batch is gone. Operations
 * that started end with BATCH_LOST, or as the save that was reported says; those that wait begin a
 * new batch. Nothing may be reported for this one any more. */
void batch_lost(struct keyed_batch *batch);

/* Right before batch_lost(): operations that have started, and for which `was_sent` is false, wait
 * again, in front of those that wait. */
void batch_return_unsent(struct keyed_batch *batch, bool (*was_sent)(const struct batch_operation *));

struct bytes batch_key(const struct keyed_batch *batch);
int64_t batch_deadline_ns(const struct keyed_batch *batch);
void *batch_user(struct keyed_batch *batch); /* aligned for any type; zeroed when a batch begins */

#endif
