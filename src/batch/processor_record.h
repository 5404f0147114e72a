/* processor_record.h - one record for each batch that ends. */
#ifndef TRIBUTARY_BATCH_PROCESSOR_RECORD_H
#define TRIBUTARY_BATCH_PROCESSOR_RECORD_H

#include "base/fault.h"
#include "batch/batch_error.h"
#include "batch/batch_port.h"

/* Valid during the call that gives it. */
struct processor_record {
    struct bytes processor, worker; /* `worker`: of the last attempt; empty: it had none */
    uint64_t batch;                 /* the number of the last attempt */
    const struct batch_record *of_engine;
    bool was_lost;                   /* BATCH_LOST, by the loss of its worker */
    enum fault_reason reason;        /* why it failed; FAULT_NONE: see `error` */
    const struct batch_error *error; /* NULL: none of a worker's */
    bool may_have_run;
    uint64_t generation;
};

/* Who gets them. */
struct batch_record_port {
    /* Any thread, within the lock of the processor. It must call nothing of src/batch. */
    void (*record)(void *ctx, const struct processor_record *record);
    void *ctx;
};

#endif
