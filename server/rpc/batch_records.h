/* batch_records.h - who observes batches, and what waits for them. For the files of this room.
 *
 * Each observer has a ring of its own. A record that does not fit is counted, and the next one that
 * fits says how many were lost.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_BATCH_RECORDS_H
#define TRIBUTARY_SERVER_RPC_BATCH_RECORDS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "batch/processor_record.h"

struct batch_records {
    pthread_mutex_t lock; /* within that of a processor */
    struct list observers;
    _Atomic uint64_t count;
};

void batch_records_init(struct batch_records *records);
void batch_records_fini(struct batch_records *records); /* nobody may observe any more */

/* For struct batch_record_port. `ctx` is the records. */
void batch_records_add(void *ctx, const struct processor_record *record);

#endif
