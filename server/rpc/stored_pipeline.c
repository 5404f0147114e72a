/* stored_pipeline.c - the batches of one call that are on their way into the store.
 *
 * The pipeline holds its call while it has a batch, while one waits at the gate, and while it
 * delivers for others. So the call's memory stays until the store and the tails have answered. */
#include "server/rpc/stored_pipeline.h"

#include <stdlib.h>

#include "base/counters.h"
#include "topic/topics.h"

static struct stored_batch *first_of(const struct stored_pipeline *pipeline)
{
    struct list *first = list_first(&pipeline->batches);

    return first ? container_of(first, struct stored_batch, in_pipeline) : NULL;
}

/* ---- in order ---- */

static void confirm(struct stored_pipeline *pipeline, struct stored_batch *batch)
{
    const bool is_stored = batch->is_over && batch->append.outcome == TOPIC_DONE;
    enum fault_reason reason = FAULT_NONE;

    if (batch->is_over && !is_stored)
        reason = stored_batch_fault(batch, &pipeline->fault);
    if (is_stored) {
        pipeline->duplicates += stored_batch_duplicates(batch);
        if (!batch->answers_early)
            stored_ranges_note(&pipeline->ranges, batch);
    }
    batch->is_confirmed = true;
    pipeline->unconfirmed--;
    pipeline->port->confirm(pipeline->ctx, batch, reason);
}

/* A batch that was confirmed when it was received, and that the store then refused. */
static void count_lost(const struct stored_batch *batch)
{
    uint32_t events = 0;

    for (uint32_t i = 0; i < batch->append.part_count; i++)
        events += batch->parts[i].run.count;
    count_add(COUNT_EVENTS_ACCEPTED_LOST, events);
}

static void remove_first(struct stored_pipeline *pipeline, struct stored_batch *batch)
{
    if (batch->numbers.id_size > 0 && pipeline->is_alone)
        publisher_order_over(&pipeline->order, &batch->numbers, batch->append.outcome == TOPIC_DONE);
    pipeline->is_alone = false;
    list_remove(&batch->in_pipeline);
    pipeline->count--;
    pipeline->bytes -= batch->bytes;
    stored_batch_free(batch);
}

/* The first batch is over. Returns false where its other events are being offered. */
static bool finish_first(struct stored_pipeline *pipeline, struct stored_batch *batch)
{
    if (batch->live && batch->append.outcome == TOPIC_DONE) {
        batch->is_offered = true;
        pipeline->is_offering = true;
        pipeline->port->offer(pipeline->ctx, batch);
        if (pipeline->is_offering)
            return false;
    }
    if (!batch->is_confirmed)
        confirm(pipeline, batch);
    else if (batch->append.outcome != TOPIC_DONE)
        count_lost(batch);
    remove_first(pipeline, batch);
    return true;
}

static void confirm_early(struct stored_pipeline *pipeline)
{
    list_each(node, safe, &pipeline->batches) {
        struct stored_batch *batch = container_of(node, struct stored_batch, in_pipeline);

        if (batch->is_confirmed)
            continue;
        if (!batch->answers_early || !batch->is_accepted)
            return;
        confirm(pipeline, batch);
    }
}

/* The pipeline is empty, so nobody needs the call for it. Its last line may end the pipeline. */
static void let_go(struct stored_pipeline *pipeline)
{
    if (pipeline->count > 0 || !pipeline->holds_call)
        return;
    pipeline->holds_call = false;
    call_unhold(pipeline->call);
}

/* Its last line may end the pipeline. */
static void advance(struct stored_pipeline *pipeline)
{
    struct stored_batch *batch;
    struct call *call = pipeline->call;

    if (pipeline->is_advancing || pipeline->is_offering)
        return;
    call_hold(call);
    pipeline->is_advancing = true;
    while ((batch = first_of(pipeline)) && batch->is_over) {
        if (!finish_first(pipeline, batch))
            break;
    }
    confirm_early(pipeline);
    pipeline->is_advancing = false;
    pipeline->port->moved(pipeline->ctx);
    let_go(pipeline);
    call_unhold(call);
}

void stored_pipeline_offered(struct stored_pipeline *pipeline, bool is_offered)
{
    first_of(pipeline)->is_offered = is_offered;
    pipeline->is_offering = false;
    if (!pipeline->is_advancing)
        advance(pipeline);
}

/* ---- the way back ---- */

/* The batch is over: what it stored was delivered. */
static void on_over(struct task *task)
{
    struct stored_batch *batch = container_of(task, struct stored_batch, task);

    batch->is_over = true;
    advance(batch->pipeline);
}

static void on_delivered(struct stored_batch *batch)
{
    if (atomic_fetch_sub_explicit(&batch->undelivered, 1, memory_order_acq_rel) != 1)
        return;
    batch->task.run = on_over;
    cq_post(call_cq(batch->pipeline->call), &batch->task);
}

static void deliver_more(struct task *task)
{
    struct stored_pipeline *pipeline = container_of(task, struct stored_pipeline, deliver_task);
    struct call *call = pipeline->call;

    if (live_topic_deliver(pipeline->delivers)) {
        cq_post(call_cq(call), &pipeline->deliver_task);
        return;
    }
    live_topic_release(pipeline->delivers);
    pipeline->delivers = NULL;
    call_unhold(call);
}

/* One tail is delivered in portions, between which the thread does other work. A second one, which
 * a call of many topics may have, is delivered at once. */
static void deliver(struct stored_pipeline *pipeline, struct live_topic *topic)
{
    while (live_topic_deliver(topic)) {
        if (pipeline->delivers)
            continue;
        pipeline->delivers = live_topic_retain(topic);
        call_hold(pipeline->call);
        cq_post(call_cq(pipeline->call), &pipeline->deliver_task);
        return;
    }
}

/* From the store. Whoever ends the last group takes the batch on: this thread or another one. */
static void on_stored(struct task *task)
{
    struct stored_batch *batch = container_of(task, struct stored_batch, task);

    batch->is_accepted = true;
    for (uint32_t i = 0; i < batch->group_count && batch->append.outcome == TOPIC_DONE; i++)
        deliver(batch->pipeline, batch->groups[i].topic);
    if (atomic_fetch_sub_explicit(&batch->undelivered, 1, memory_order_acq_rel) == 1)
        on_over(task);
}

/* The store's thread. */
static void on_done(struct topic_append *append)
{
    struct stored_batch *batch = container_of(append, struct stored_batch, append);

    batch->task.run = on_stored;
    if (append->outcome == TOPIC_DONE)
        stored_batch_committed(batch);
    cq_post(call_cq(batch->pipeline->call), &batch->task);
}

/* ---- the way in ---- */

static void set_passed(struct stored_batch *batch, enum err err)
{
    batch->is_accepted = err == ERR_OK;
    batch->is_over |= err != ERR_OK;
    if (err != ERR_OK)
        batch->append.outcome = TOPIC_CLOSED;
}

/* The batch that waited at the gate is the last one, unless it is over already. */
static void on_passed(struct task *task)
{
    struct stored_pipeline *pipeline = container_of(task, struct stored_pipeline, passed_task);
    struct list *last = list_last(&pipeline->batches);
    struct call *call = pipeline->call;

    pipeline->is_waiting = false;
    if (last)
        set_passed(container_of(last, struct stored_batch, in_pipeline), pipeline->passed);
    advance(pipeline);
    call_unhold(call);
}

static void passed(struct stored_wait *wait, enum err err)
{
    struct stored_pipeline *pipeline = container_of(wait, struct stored_pipeline, wait);

    pipeline->passed = err;
    cq_post(call_cq(pipeline->call), &pipeline->passed_task);
}

void stored_pipeline_add(struct stored_pipeline *pipeline, struct stored_batch *batch,
                         enum publisher_turn turn)
{
    CHECK(turn != TURN_ALONE || pipeline->count == 0);
    batch->pipeline = pipeline;
    batch->append.done = on_done;
    batch->delivered = on_delivered;
    atomic_init(&batch->undelivered, 1);
    list_append(&pipeline->batches, &batch->in_pipeline);
    pipeline->count++;
    if (!pipeline->holds_call)
        call_hold(pipeline->call);
    pipeline->holds_call = true;
    pipeline->unconfirmed++;
    pipeline->bytes += batch->bytes;
    pipeline->is_alone = turn == TURN_ALONE;
    pipeline->is_waiting = true;
    struct call *call = pipeline->call;
    call_hold(call);
    const enum err err = stored_gate_pass(pipeline->gate, &pipeline->wait, &batch->append);
    if (err == ERR_AGAIN)
        return;
    pipeline->is_waiting = false;
    set_passed(batch, err);
    advance(pipeline);
    call_unhold(call);
}

void stored_pipeline_give_up(struct stored_pipeline *pipeline)
{
    if (!pipeline || !pipeline->is_waiting || !stored_gate_leave(pipeline->gate, &pipeline->wait))
        return;
    struct stored_batch *batch =
        container_of(list_last(&pipeline->batches), struct stored_batch, in_pipeline);
    struct call *call = pipeline->call;

    pipeline->is_waiting = false;
    batch->is_given_up = true;
    batch->append.outcome = TOPIC_CLOSED;
    batch->is_over = true;
    advance(pipeline);
    call_unhold(call);
}

/* ---- the pipeline ---- */

struct stored_pipeline *stored_pipeline_new(struct call *call, struct stored_gate *gate,
                                            const struct stored_pipeline_port *port, void *ctx)
{
    struct stored_pipeline *pipeline = calloc(1, sizeof(*pipeline));

    if (!pipeline)
        return NULL;
    pipeline->call = call;
    pipeline->gate = gate;
    pipeline->port = port;
    pipeline->ctx = ctx;
    pipeline->wait.passed = passed;
    pipeline->passed_task.run = on_passed;
    pipeline->deliver_task.run = deliver_more;
    list_init(&pipeline->batches);
    peer_entry_init(&pipeline->wait.entry, call_peer_key(call));
    return pipeline;
}

void stored_pipeline_free(struct stored_pipeline *pipeline)
{
    if (!pipeline)
        return;
    CHECK(pipeline->count == 0 && !pipeline->is_waiting && !pipeline->delivers);
    stored_ranges_fini(&pipeline->ranges);
    free(pipeline);
}

bool stored_pipeline_accepts(const struct stored_pipeline *pipeline)
{
    if (!pipeline)
        return true;
    const bool has_space = pipeline->count < MAX_PIPELINE_BATCHES && pipeline->bytes < MAX_PIPELINE_BYTES;
    return !pipeline->is_waiting && (pipeline->count == 0 || (!pipeline->is_alone && has_space));
}

enum publisher_turn stored_pipeline_turn(struct stored_pipeline *pipeline,
                                         const struct publisher_numbers *numbers, struct fault *fault)
{
    return numbers->id_size == 0 ? TURN_NOW : publisher_order_turn(&pipeline->order, numbers, fault);
}
