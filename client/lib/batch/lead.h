/* lead.h - a batch as a thread of the pool sees it: what is to be done next, and with what. It is
 * the memory that the engine has for its owner behind each batch.
 *
 * While the engine waits for a report, either the lead is *queued* (in a list of its shard, or in
 * the pool) or one thread leads it. That thread does one thing after another, as long as there is
 * one, and reports each with the shard's lock. Operations that do not take long it runs in *runs*:
 * several directly one after another, and then it reports them together. */
#ifndef TRIBUTARY_CLIENT_BATCH_LEAD_H
#define TRIBUTARY_CLIENT_BATCH_LEAD_H

#include "client/lib/batch/shard.h"

enum action { ACTION_NONE, ACTION_LOAD, ACTION_OPERATE, ACTION_SAVE, ACTION_UNLOAD };

struct operation;

/* What was loaded. */
struct resource {
    void *data;
    alignas(max_align_t) unsigned char zeroes[]; /* where nothing loads it */
};

struct lead {
    struct job job;
    struct shard *shard;
    struct keyed_batch *batch;
    enum action action;
    unsigned run;                /* so many operations in the next run; 0: one */
    struct operation *operation; /* of ACTION_OPERATE: the first one */
    struct resource *resource;
    struct tributary_status *failure; /* of the last load or save that failed */
};

/* For the port: what is to be done next. With the shard's lock. */
void lead_act(struct lead *lead, enum action action);

/* For the port: frees the resource outside of the lock, before anything else is done for its key.
 * With the shard's lock. */
void lead_unload(struct lead *lead);

#endif
