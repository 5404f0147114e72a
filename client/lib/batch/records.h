/* records.h - the observers of a processor, each with a ring of records.
 *
 * Threads: any. No function waits for an observer. */
#ifndef TRIBUTARY_CLIENT_BATCH_RECORDS_H
#define TRIBUTARY_CLIENT_BATCH_RECORDS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "batch/batch_port.h"
#include "tributary/tributary.h"

struct records {
    pthread_mutex_t lock;
    struct list observers;
    _Atomic uint32_t count; /* of them */
    bool closed;
};

void records_init(struct records *records);
void records_fini(struct records *records);

/* Whether anybody observes. */
static inline bool records_wanted(const struct records *records)
{
    return atomic_load_explicit(&records->count, memory_order_relaxed) > 0;
}

/* Makes the record of a batch, and takes no lock. `failure` NULL: the batch is saved. */
void records_make(const struct batch_record *record, const struct tributary_status *failure,
                  struct tributary_batch_record *record_out);
/* Puts a record into every ring that has space. */
void records_put(struct records *records, const struct tributary_batch_record *record);

/* No record follows. A second call does nothing. */
void records_close(struct records *records);

/* Adds an observer. The ring has `capacity` records. NULL: no memory. */
struct tributary_batch_observer *records_observe(struct records *records, uint32_t capacity);

#endif
