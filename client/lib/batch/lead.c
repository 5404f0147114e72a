/* lead.c - see lead.h. */
#include "client/lib/batch/lead.h"

#include <stdlib.h>

#include "client/lib/batch/failure.h"
#include "client/lib/batch/operation.h"
#include "client/lib/core/bytes.h"

/* After so many things for one batch, those that wait in the pool have their turn. */
#define TURN 256u

/* What a callback has answered. */
struct answer {
    enum action action;
    struct operation *operation;
    enum tributary_code code;
    struct resource *resource;        /* of a load */
    struct tributary_status *failure; /* may be NULL although it failed: no memory */
};

static void begin_status(struct tributary_status *status)
{
    status->code = TRIBUTARY_OK;
    status->reason[0] = status->message[0] = '\0';
}

static struct tributary_batch_call call_of(const struct lead *lead)
{
    return (struct tributary_batch_call){from_bytes(batch_key(lead->batch)), batch_deadline_ns(lead->batch)};
}

static void load(const struct lead *lead, struct answer *answer)
{
    const struct tributary_batch_options *options = &lead->shard->batch->options;
    const struct tributary_batch_call call = call_of(lead);
    SCRATCH struct tributary_status status;
    struct resource *resource = calloc(1, sizeof(*resource) + (options->load ? 0 : options->resource_bytes));

    begin_status(&status);
    answer->code = resource ? TRIBUTARY_OK : TRIBUTARY_RESOURCE_EXHAUSTED;
    if (resource && options->load)
        answer->code = options->load(options->ctx, &call, &resource->data, &status);
    else if (resource && options->resource_bytes > 0)
        resource->data = resource->zeroes;
    if (answer->code == TRIBUTARY_OK) {
        answer->resource = resource;
        return;
    }
    free(resource);
    answer->failure = failure_of_load(&status, answer->code, batch_key(lead->batch));
}

static void operate(const struct lead *lead, struct answer *answer)
{
    SCRATCH struct tributary_status status;

    begin_status(&status);
    answer->operation = lead->operation;
    answer->code = answer->operation->operate(answer->operation->ctx, lead->resource->data, &status);
    if (answer->code != TRIBUTARY_OK)
        answer->failure = failure_of_operation(&status, answer->code);
}

static void free_resource(const struct shard *shard, struct resource *resource)
{
    const struct tributary_batch_options *options = &shard->batch->options;

    if (resource->data && options->free)
        options->free(options->ctx, resource->data);
    free(resource);
}

/* However the save ends, the resource has served. It is freed before the report, with which the
 * next batch of the key may begin. */
static void save(const struct lead *lead, struct answer *answer)
{
    const struct tributary_batch_options *options = &lead->shard->batch->options;
    const struct tributary_batch_call call = call_of(lead);
    SCRATCH struct tributary_status status;

    begin_status(&status);
    answer->code =
        options->save ? options->save(options->ctx, &call, lead->resource->data, &status) : TRIBUTARY_OK;
    if (answer->code != TRIBUTARY_OK)
        answer->failure = failure_of_save(&status, answer->code, batch_key(lead->batch));
    free_resource(lead->shard, lead->resource);
}

/* Without the lock. The lead does not change meanwhile. */
static void perform(const struct lead *lead, struct answer *answer)
{
    *answer = (struct answer){.action = lead->action};
    switch (lead->action) {
    case ACTION_LOAD:
        load(lead, answer);
        break;
    case ACTION_OPERATE:
        operate(lead, answer);
        break;
    case ACTION_SAVE:
        save(lead, answer);
        break;
    case ACTION_UNLOAD:
        free_resource(lead->shard, lead->resource);
        break;
    case ACTION_NONE:
        break;
    }
}

static void keep_failure(struct lead *lead, struct tributary_status *failure)
{
    free(lead->failure);
    lead->failure = failure;
}

static enum batch_save save_result(enum tributary_code code)
{
    if (code == TRIBUTARY_OK)
        return BATCH_SAVE_OK;
    return code == TRIBUTARY_ABORTED ? BATCH_SAVE_CONFLICT : BATCH_SAVE_ERROR;
}

/* With the lock. The lead may be freed meanwhile. */
static void report(struct lead *lead, const struct answer *answer)
{
    const bool ok = answer->code == TRIBUTARY_OK;

    lead->action = ACTION_NONE;
    switch (answer->action) {
    case ACTION_LOAD:
        lead->resource = answer->resource;
        if (!ok)
            keep_failure(lead, answer->failure);
        batch_loaded(lead->batch, ok);
        break;
    case ACTION_OPERATE:
        answer->operation->has_run = true;
        free(answer->operation->own); /* of the attempt before a reload */
        answer->operation->own = answer->failure;
        batch_operated(&answer->operation->operation, ok);
        break;
    case ACTION_SAVE:
        lead->resource = NULL;
        if (!ok)
            keep_failure(lead, answer->failure);
        batch_saved(lead->batch, save_result(answer->code));
        break;
    case ACTION_UNLOAD:
        lead->resource = NULL;
        batch_unloaded(lead->batch);
        break;
    case ACTION_NONE:
        break;
    }
}

/* Whether what was to be done is not wanted any more: all who wanted it were cancelled or stopped
 * meanwhile. With the lock. */
static bool is_needless(const struct lead *lead)
{
    if (lead->action == ACTION_LOAD)
        return !batch_needs_load(lead->batch);
    return lead->action == ACTION_OPERATE && lead->operation->withdrawn;
}

/* With the lock. The lead may be freed meanwhile. */
static void omit(struct lead *lead)
{
    const enum action action = lead->action;
    struct operation *operation = lead->operation;

    lead->action = ACTION_NONE;
    if (action == ACTION_LOAD) {
        batch_not_loaded(lead->batch);
        return;
    }
    batch_withdrawn(&operation->operation);
    operation_end_alone(operation, operation->ending);
}

/* Does one thing, and reports it. Returns the lead; NULL: nothing is to be done for it, or it has
 * been freed. With the lock; it is left meanwhile. */
static struct lead *step(struct lead *lead)
{
    struct shard *shard = lead->shard;
    struct answer answer;
    bool needless = false;

    lead->queued = true; /* those that end may cancel it */
    shard_do_ends(shard);
    lead->queued = false;
    needless = is_needless(lead);
    if (!needless) {
        shard_leave(shard);
        perform(lead, &answer);
        shard_enter(shard);
    }
    shard->leading = lead;
    if (needless)
        omit(lead);
    else
        report(lead, &answer);
    lead = shard->leading;
    shard->leading = NULL;
    return lead && lead->action != ACTION_NONE ? lead : NULL;
}

static void queue(struct lead *lead)
{
    lead->queued = true;
    list_append(&lead->shard->leads, &lead->job.node);
}

static void run(struct job *job)
{
    struct lead *lead = container_of(job, struct lead, job);
    struct shard *shard = lead->shard;

    shard_enter(shard);
    for (unsigned i = 0; lead && i < TURN; i++)
        lead = step(lead);
    if (lead)
        queue(lead);
    shard_do_ends(shard);
    shard_leave(shard);
}

void lead_act(struct lead *lead, enum action action)
{
    lead->job.run = run;
    lead->action = action;
    if (lead->shard->leading != lead)
        queue(lead);
}

bool lead_is_about_to_run(const struct lead *lead, const struct operation *operation)
{
    return lead->queued && lead->action == ACTION_OPERATE && lead->operation == operation &&
           !operation->has_run;
}

void lead_unload(struct lead *lead)
{
    if (lead->resource)
        lead_act(lead, ACTION_UNLOAD);
    else
        batch_unloaded(lead->batch); /* save() has freed it */
}
