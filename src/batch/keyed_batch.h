/* keyed_batch.h - a key with its waiters and its present batch. Inside of src/batch only.
 *
 *   PENDING --begin--> LOADING <--> BACKOFF
 *      ^                |   ^
 *      |           loaded   +-----reload-----------------+
 *      |                v                                |
 *      |               OPEN --closed--> SAVING ---> UNLOADING
 *      |                 +------nothing has run---------> |
 *      |                                                  |
 *      +--- OVER <--- LOADING, BACKOFF <------------------+
 *
 * batch_lost() leads from each but PENDING to OVER.
 *
 * OVER lasts for a moment only: then the key is PENDING again, where operations wait, or freed.
 *
 * A function that is called from outside changes the batch and calls keyed_batch_ready().
 * batch_engine_step() (batch_step.h) then decides for each batch that is ready. Only it calls
 * load(), operate() and save(), so a report from within the port's function is as good as a later
 * one. */
#ifndef TRIBUTARY_BATCH_KEYED_BATCH_H
#define TRIBUTARY_BATCH_KEYED_BATCH_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/fsm.h"
#include "base/heap.h"
#include "base/map.h"
#include "batch/batch_port.h"
#include "batch/batch_settings.h"

/* Of the save, in SAVING. */
enum keyed_batch_save { SAVE_CALLED, SAVE_DONE, SAVE_FAILED, SAVE_AGAIN };

enum keyed_batch_state { PENDING, LOADING, BACKOFF, OPEN, SAVING, UNLOADING, OVER };

struct batch_engine {
    struct batch_settings settings;
    struct batch_port port;
    size_t user_bytes;
    struct map keys;
    _Atomic uint64_t own_keys, *all_keys; /* the latter is the former, or that of several engines */
    struct heap timers;
    struct list ready; /* keyed batches that may have to move, each once */
    struct list turns; /* PENDING: the first may begin when fewer than max_batches have begun */
    struct list begun; /* the others */
    struct list stops; /* after the stop: those of both lists that have not been stepped since */
    uint64_t steps;    /* that the present call may still do */
    uint64_t batches;  /* that have begun */
    uint64_t waiters;
    uint64_t ahead; /* of all batches */
    uint64_t random;
    int64_t now_ns;  /* of the present call */
    int64_t wake_ns; /* what wake_at() was called with last */
    bool stepping, stopping, stopped;
};

/* Several threads take turns with an engine, and each call looks for its key: what that reads is in
 * one line of the cache, and nothing that changes is there. */
struct keyed_batch {
    alignas(64) struct map_node node;
    struct batch_engine *engine;
    unsigned char short_key[24];

    alignas(64) struct list waiting;
    uint64_t waiters, waiting_bytes;
    enum keyed_batch_state state;

    /* The present batch; zeroed at its end. */
    bool closed;
    uint64_t running;
    uint64_t ahead, ahead_bytes; /* by batch_run_ahead(), without a report: they still wait in the bounds */
    uint64_t started, bytes;
    struct list operations; /* that have started, in this order */
    struct list *again;     /* after a reload: the next of them that runs again; NULL: none */
    bool closes_idle;       /* when no operation waits */
    bool lost;
    bool failed;   /* the load, for good */
    bool skipped;  /* the load: nobody waited for it */
    bool unwanted; /* the load: its owner has heard that nobody waits for it */
    bool unloaded; /* in UNLOADING: that was reported */
    enum keyed_batch_save save;
    bool expired;
    int64_t started_ns, until_ns, deadline_ns;
    int64_t since_ns; /* when load() or save() was called */
    int64_t retry_ns; /* in BACKOFF: when it ends */
    int64_t load_ns, save_ns;
    uint32_t loads, saves, load_failures, reloads;

    struct heap_node timer;
    struct list ready, turn; /* `turn`: in turns, begun, or stops */

    alignas(max_align_t) unsigned char user[]; /* user_bytes, then a key that is not short */
};

extern const struct fsm keyed_batch_machine;

/* The key with its first waiter still to come. NULL: no memory. */
struct keyed_batch *keyed_batch_new(struct batch_engine *engine, struct bytes key);

/* Begins a batch: load() is called. PENDING only. */
void keyed_batch_begin(struct keyed_batch *batch);
/* Calls load(), after BACKOFF or for a reload too. */
void keyed_batch_load(struct keyed_batch *batch);
/* Ends the batch, and with LOAD_FAILED those that wait for it. The key is PENDING or freed
 * afterwards. */
void keyed_batch_end(struct keyed_batch *batch, enum batch_outcome outcome);
/* Operations that wait will not start: they are as new. */
void keyed_batch_hand_back(const struct list *waiting);
/* Takes the key out of the engine, and frees it. It has no batch and no waiter. */
void keyed_batch_free(struct keyed_batch *batch);

static inline bool keyed_batch_is_wanted(const struct keyed_batch *batch)
{
    return batch->started > 0 || !list_empty(&batch->waiting);
}

/* Puts it on the ready list. */
void keyed_batch_ready(struct keyed_batch *batch);
/* The same with the first key whose turn it is to begin, if there is one. */
void keyed_batch_next_turn(struct batch_engine *engine);

#endif
