/* batch_record.h - what became of each batch, for observers. Part of <tributary/batch.h>.
 *
 * Each observer has a ring of its own. A slow one loses the newest records, which are counted, and
 * holds up nobody. */
#ifndef TRIBUTARY_BATCH_RECORD_H
#define TRIBUTARY_BATCH_RECORD_H

#include "export.h"
#include "status.h"

struct tributary_batch;
struct tributary_batch_observer;

struct tributary_batch_record {
    char key[256 + 1]; /* with a NUL behind it; it may hold others */
    size_t key_size;
    uint64_t started_unix_nano;
    uint64_t operations;      /* that have started */
    int64_t load_ns, save_ns; /* all attempts together, each from when a thread was asked for it */
    int64_t total_ns;
    uint32_t loads, saves;          /* attempts; more than one: retries and reloads */
    struct tributary_status status; /* of the batch: of load() or save(); code OK: it is saved */
};

/* Begins to observe. `capacity`: records that wait at most; 0: 1024; at most 1048576. The records
 * of all observers are equal. Free the observer before the processor.
 *   TRIBUTARY_INVALID_ARGUMENT    `capacity`
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory */
TRIBUTARY_API enum tributary_code tributary_batch_observe(struct tributary_batch *batch, uint32_t capacity,
                                                          struct tributary_batch_observer **observer_out,
                                                          struct tributary_status *status);

/* Takes the next record. It waits for one, at most `timeout_ns`. One thread at a time.
 *   TRIBUTARY_DEADLINE_EXCEEDED  none came in time
 *   TRIBUTARY_UNAVAILABLE        the processor has stopped, and there is no record more */
TRIBUTARY_API enum tributary_code tributary_batch_record_next(struct tributary_batch_observer *observer,
                                                              int64_t timeout_ns,
                                                              struct tributary_batch_record *record_out);

/* How many records this observer has lost so far. */
TRIBUTARY_API uint64_t tributary_batch_records_lost(struct tributary_batch_observer *observer);

/* NULL is allowed. */
TRIBUTARY_API void tributary_batch_observer_free(struct tributary_batch_observer *observer);

#endif
