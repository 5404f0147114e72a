/* stored_batch.h - a batch with events of stored topics, from its message to its confirmation. For
 * the files of this room.
 *
 * It holds a chunk for each topic, which the store writes and the topic's tail then delivers, and
 * one for the events that are of no stored topic. A batch of one topic has its message's chunk.
 *
 * Threads: its pipeline's, except what stored_batch.c says. */
#ifndef TRIBUTARY_SERVER_RPC_STORED_BATCH_H
#define TRIBUTARY_SERVER_RPC_STORED_BATCH_H

#include <stdatomic.h>

#include "base/mailbox.h"
#include "event/chunk.h"
#include "server/rpc/publisher_numbers.h"
#include "server/rpc/stored_sort.h"
#include "topic/live_topic.h"

struct stored_pipeline;

/* What a batch stores in one topic. */
struct stored_group {
    struct live_topic *topic; /* a reference */
    struct stored_batch *batch;
    struct committed committed;                /* has the chunk */
    uint32_t next;                             /* event of the chunk, while parts are made */
    uint64_t first_seq, last_seq, incarnation; /* with stored events; else 0 */
};

struct stored_batch {
    struct stored_pipeline *pipeline;
    struct list in_pipeline;
    struct task task; /* from the store, or from who delivers, to the pipeline's thread */
    struct topic_append append;
    struct publisher_numbers numbers; /* append.publisher points to its id */
    struct source *origin;            /* append.producer is its name */
    struct chunk *live;               /* events of no stored topic; NULL: there are none */
    bool answers_early;               /* CONFIRM_RECEIVED */
    bool is_accepted;                 /* by the store */
    bool is_over;                     /* the outcome is known, and what it stored was delivered */
    bool is_confirmed;                /* its call knows */
    bool is_offered;                  /* `live` was */
    bool is_given_up;                 /* it was not given to the store */
    _Atomic uint32_t undelivered;     /* groups that wait in tails; and one for the pipeline's thread */
    void (*delivered)(struct stored_batch *batch); /* a tail is done with a group. Any thread */
    uint64_t bytes;                                /* of its events; what the pipeline counts */
    uint64_t charged;                              /* to the budget, for itself */
    uint32_t group_count;
    struct stored_group *groups; /* behind the parts */
    struct topic_part parts[];
};

/* Makes a batch of a sorted chunk, which it takes over, as it does the references of `sort`, where
 * some events are of stored topics. `origin` is retained. NULL: memory or budget is used up;
 * nothing was taken over. */
struct stored_batch *stored_batch_new(struct stored_sort *sort, struct chunk *chunk, struct source *origin,
                                      const struct publisher_numbers *numbers);
/* The store and the tails have nothing of it any more. */
void stored_batch_free(struct stored_batch *batch);

/* On the store's thread, once the outcome is TOPIC_DONE: its events stand in the tails of their
 * topics. */
void stored_batch_committed(struct stored_batch *batch);

/* With TOPIC_DONE: events that were there already, by their numbers or their ids. */
uint32_t stored_batch_duplicates(const struct stored_batch *batch);

/* Why the outcome is not TOPIC_DONE. */
enum fault_reason stored_batch_fault(const struct stored_batch *batch, struct fault *fault);

#endif
