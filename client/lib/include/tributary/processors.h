/* processors.h - see what the processors of keyed batches do: a list of them, and a record of each
 * batch that ends. Part of <tributary/tributary.h>.
 *
 * The rules and the errors of admin.h apply to these functions, too. */
#ifndef TRIBUTARY_PROCESSORS_H
#define TRIBUTARY_PROCESSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "export.h"
#include "status.h"
#include "worker_policy.h"

struct tributary;

struct tributary_processor_worker {
    const char *name;
    const char *peer;
    bool draining;
    uint32_t batches, max_batches; /* now, and at most */
    /* Since it came. */
    uint64_t batches_saved, batches_failed, operations;
};

struct tributary_processor {
    const char *name;
    struct tributary_worker_policy policy; /* what is in force */
    const struct tributary_processor_worker *workers;
    size_t worker_count;
    /* Now: keys that have a batch or a waiter, batches, operations that have not started. */
    uint64_t keys, batches, waiters;
    /* Since its first worker came. */
    uint64_t batches_saved, batches_failed, operations;
};

struct tributary_processors_query {
    int64_t timeout_ns; /* for each page */
    void (*each)(void *ctx, const struct tributary_processor *processor);
    void *ctx;
};

/* Calls `each` for every processor, by name. The list comes page by page. */
TRIBUTARY_API enum tributary_code tributary_processors(struct tributary *client,
                                                       const struct tributary_processors_query *query,
                                                       struct tributary_status *status);

enum tributary_batch_outcome {
    TRIBUTARY_OUTCOME_SAVED = 1,
    TRIBUTARY_OUTCOME_LOAD_FAILED = 2,
    TRIBUTARY_OUTCOME_SAVE_FAILED = 3,
    TRIBUTARY_OUTCOME_WORKER_LOST = 4,
};

/* A batch that has ended. A record with `lost` and nothing else may come: `processor` is empty. */
struct tributary_processor_record {
    const char *processor;
    struct tributary_bytes key;
    uint64_t batch;
    const char *worker;
    uint64_t started_unix_nano;
    int64_t load_ns, save_ns, total_ns;
    uint64_t operations; /* that have started */
    uint32_t loads, saves;
    int outcome; /* enum tributary_batch_outcome; a later server may send others */
    /* Why it was not saved. OK: it was. */
    enum tributary_code code;
    const char *reason, *message;
    bool may_have_run;
    uint64_t generation; /* as the worker has it */
    uint64_t lost;       /* records before this one that were not read in time */
};

struct tributary_processor_records_options {
    const char *pattern; /* a glob for the names of processors; NULL: all */
    bool no_reconnect;   /* a stream that is lost ends it */
};

/* All of them run on the client thread. They must not wait for the server. Each may be NULL. While
 * one runs, nothing is read. */
struct tributary_processor_records_callbacks {
    void (*record)(void *ctx, const struct tributary_processor_record *record);
    /* The stream was lost, and is opened again after so long. What ended meanwhile is missing. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    /* It has ended: the server refuses it, or it was freed. The last one. */
    void (*ended)(void *ctx, const struct tributary_status *status);
    void *ctx;
};

struct tributary_processor_records;

/* Begins to read records of batches that end from now on. The stream is opened again whenever it
 * is lost.
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory; nothing was begun */
TRIBUTARY_API enum tributary_code tributary_processor_records_open(
    struct tributary *client, const struct tributary_processor_records_options *options,
    const struct tributary_processor_records_callbacks *callbacks,
    struct tributary_processor_records **records_out, struct tributary_status *status);

/* Ends it at once, and waits until its last callback has returned. Never call this from a callback.
 * NULL is allowed. */
TRIBUTARY_API void tributary_processor_records_free(struct tributary_processor_records *records);

#endif
