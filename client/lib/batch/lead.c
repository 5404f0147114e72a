/* lead.c - see lead.h. */
#include "client/lib/batch/lead.h"

#include <stdlib.h>

#include "base/clock.h"
#include "client/lib/batch/failure.h"
#include "client/lib/batch/operation.h"
#include "client/lib/core/bytes.h"

/* After so many things for one batch, those that wait in the pool have their turn. */
#define TURN 64u

/* So many operations run with one report at most, and only where the run before was done in this
 * time. */
#define MAX_RUN 32u
#define QUICK_NS (50 * NS_PER_US)

/* What a callback has answered. */
struct answer {
    enum action action;
    /* Of ACTION_OPERATE: those that were to run, and how many of them, the first ones, have. */
    struct batch_operation *operations[MAX_RUN];
    unsigned count, run;
    bool quick;
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

static struct operation *operation_of(struct batch_operation *operation)
{
    return container_of(operation, struct operation, operation);
}

/* False: it was cancelled. */
static bool operate(struct operation *operation, void *resource)
{
    SCRATCH struct tributary_status status;
    enum tributary_code code = TRIBUTARY_OK;

    if (!operation_claim(operation))
        return false;
    begin_status(&status);
    code = operation->operate(operation->ctx, resource, &status);
    if (operation->failed) {
        free(operation->own); /* of the attempt before a reload */
        operation->own = NULL;
    }
    operation->failed = code != TRIBUTARY_OK;
    if (operation->failed)
        operation->own = failure_of_operation(&status, code);
    return true;
}

/* Runs one after another, until one was cancelled, whose done() comes first, the batch must be
 * closed, or the processor stops. The first one has started in any case. */
static void operate_all(const struct lead *lead, struct answer *answer)
{
    const struct tributary_batch *batch = lead->shard->batch;
    const int64_t begun_ns = clock_mono_ns(), until_ns = batch_until_ns(lead->batch);
    void *resource = lead->resource->data;
    int64_t now_ns = begun_ns;
    bool goes_on = true;

    while (goes_on && answer->run < answer->count) {
        goes_on = operate(operation_of(answer->operations[answer->run++]), resource);
        now_ns = clock_mono_ns();
        goes_on =
            goes_on && now_ns < until_ns && !atomic_load_explicit(&batch->stopping, memory_order_relaxed);
    }
    answer->quick = now_ns - begun_ns < QUICK_NS;
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
    switch (lead->action) {
    case ACTION_LOAD:
        load(lead, answer);
        break;
    case ACTION_OPERATE:
        operate_all(lead, answer);
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

/* Gathers what is to be done. With the lock. */
static void prepare(const struct lead *lead, struct answer *answer)
{
    answer->action = lead->action;
    answer->code = TRIBUTARY_OK;
    answer->resource = NULL;
    answer->failure = NULL;
    answer->count = answer->run = 0;
    if (lead->action != ACTION_OPERATE)
        return;
    answer->operations[answer->count++] = &lead->operation->operation;
    while (answer->count < lead->run && (answer->operations[answer->count] = batch_run_ahead(lead->batch)))
        answer->count++;
}

static bool is_cancelled(struct operation *operation)
{
    return atomic_load(&operation->claim) == CLAIM_CANCELLED;
}

static void withdraw(struct operation *operation)
{
    batch_withdrawn(&operation->operation);
    operation_end_alone(operation, operation->ending);
}

/* With the lock. The lead may be freed meanwhile: at the last report. */
static void report_run(struct lead *lead, struct answer *answer)
{
    unsigned run = 0;

    lead->run = answer->quick ? MIN_OF(MAX_OF(lead->run, 1) * 2, MAX_RUN) : 1;
    for (unsigned i = answer->count; i-- > answer->run;) {
        if (is_cancelled(operation_of(answer->operations[i])))
            withdraw(operation_of(answer->operations[i]));
        else
            batch_put_back(answer->operations[i]);
    }
    for (unsigned i = 0; i < answer->run; i++) {
        struct operation *operation = operation_of(answer->operations[i]);

        operation->operation.failed = operation->failed;
        if (is_cancelled(operation))
            withdraw(operation);
        else
            answer->operations[run++] = &operation->operation;
    }
    if (run > 0)
        batch_operated_all(lead->batch, answer->operations, run);
}

/* With the lock. The lead may be freed meanwhile. */
static void report(struct lead *lead, struct answer *answer)
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
        report_run(lead, answer);
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

/* Whether nobody waits for the load any more: all were cancelled or stopped meanwhile. With the
 * lock. */
static bool is_needless(const struct lead *lead)
{
    return lead->action == ACTION_LOAD && !batch_needs_load(lead->batch);
}

/* With the lock. The lead may be freed meanwhile. */
static void omit(struct lead *lead)
{
    lead->action = ACTION_NONE;
    batch_not_loaded(lead->batch);
}

/* Does one thing, and reports it. Returns the lead; NULL: nothing is to be done for it, or it has
 * been freed. With the lock; it is left meanwhile. */
static struct lead *step(struct lead *lead)
{
    struct shard *shard = lead->shard;
    SCRATCH struct answer answer;
    bool needless = false;

    shard_do_ends(shard);
    needless = is_needless(lead);
    if (!needless) {
        prepare(lead, &answer);
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

void lead_unload(struct lead *lead)
{
    if (lead->resource)
        lead_act(lead, ACTION_UNLOAD);
    else
        batch_unloaded(lead->batch); /* save() has freed it */
}
