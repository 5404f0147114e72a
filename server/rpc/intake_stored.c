/* intake_stored.c - messages with events of stored topics: sorts them, prepares what they need, and
 * gives them to the call's pipeline.
 *
 *   message --sort--> live ------------------------------------> intake_offer()
 *              | ^ \--stored, inlet known--> chunks --> pipeline --> stored()
 *              v |
 *         the loop makes a topic, or the producer: prepared()
 */
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/counters.h"
#include "hub/producer.h"
#include "proto/field_numbers.h"
#include "route/data_path.h"
#include "server/rpc/intake.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/stored_make.h"
#include "server/wire/message.h"
#include "topic/topics.h"

enum { CONFIRM_RECEIVED = 1, CONFIRM_STORED = 2 };

/* A session's message has no `confirm`, and its hello, which comes before all others, is no
 * number. */
_Static_assert(PB_REGISTER_REQUEST_PUBLISHER == PB_PUBLISH_REQUEST_PUBLISHER &&
                   PB_REGISTER_REQUEST_HELLO == PB_PUBLISH_REQUEST_CONFIRM,
               "one function reads both");

static uint64_t confirm_of(const struct framing_scan *scan)
{
    const struct framing_field *confirm = &scan->fields[PB_PUBLISH_REQUEST_CONFIRM];

    return confirm->present ? confirm->number : 0;
}

bool intake_may_store(const struct intake *intake, const struct scanned_message *scanned)
{
    const struct framing_scan *scan = scanned->scan;

    if (scanned->reason || scan->count == 0)
        return false;
    return topics_may_have(intake->rpc->params.topics) || confirm_of(scan) == CONFIRM_STORED ||
           scan->fields[PB_PUBLISH_REQUEST_PUBLISHER].present;
}

/* ---- preparing ---- */

static void finish_preparing(struct intake *intake, enum fault_reason reason)
{
    struct call *call = intake->call;

    intake->is_preparing = false;
    intake->port->prepared(intake, reason);
    call_unhold(call);
}

static void on_made(struct stored_making *making)
{
    struct intake *intake = making->owner;
    const enum fault_reason reason = making->change.fault.reason;

    if (reason)
        intake->fault = making->change.fault;
    free(making);
    finish_preparing(intake, reason);
}

static enum fault_reason make_topic(struct intake *intake, struct bytes name)
{
    struct stored_making *making = calloc(1, sizeof(*making));

    if (!making)
        return fault_bytes(&intake->fault, FAULT_MEMORY_BUDGET, "events.topic", name, "");
    making->makings = &intake->rpc->makings;
    making->topics = intake->rpc->params.topics;
    making->thread = call_cq(intake->call);
    making->made = on_made;
    making->owner = intake;
    making->change.peer = call_peer_key(intake->call);
    intake->is_preparing = true;
    call_hold(intake->call);
    stored_make(making, intake->rpc->loop, name);
    return FAULT_NONE;
}

/* ---- the pipeline ---- */

static void on_offered(struct intake *intake, enum fault_reason reason)
{
    intake->offered = NULL;
    if (reason)
        count_add(COUNT_EVENTS_ACCEPTED_LOST, intake->unoffered);
    stored_pipeline_offered(intake->pipeline, reason == FAULT_NONE);
}

static void on_pipeline_offer(void *ctx, struct stored_batch *batch)
{
    struct intake *intake = ctx;

    intake->offered = on_offered;
    intake->chunk = batch->live;
    batch->live = NULL;
    intake->unoffered = intake->chunk->count;
    if (intake->port->offer)
        intake->port->offer(intake);
    else
        intake_offer_chunk(intake);
}

static void on_pipeline_confirm(void *ctx, const struct stored_batch *batch, enum fault_reason reason)
{
    struct intake *intake = ctx;

    if (reason) {
        intake->fault = intake->pipeline->fault;
        count_add(COUNT_REFUSED_BATCHES, 1);
    }
    intake->port->stored(intake, batch, reason);
}

static void on_pipeline_moved(void *ctx)
{
    struct intake *intake = ctx;

    intake->port->moved(intake);
}

static const struct stored_pipeline_port pipeline_port = {
    .offer = on_pipeline_offer, .confirm = on_pipeline_confirm, .moved = on_pipeline_moved};

/* ---- sorting ---- */

/* Fills in the plan, with a sort that must end, or sets *reason_out. */
static enum sort_result sort_events(struct intake *intake, const struct scanned_message *scanned,
                                    struct stored_plan *plan, struct bytes *missing_out,
                                    enum fault_reason *reason_out)
{
    const struct framing_scan *scan = scanned->scan;
    const struct sorted_events events = {scanned->message->bytes.data, scan->offsets,
                                         scan->contiguous ? NULL : scan->ends, scan->count};
    const uint64_t confirm = confirm_of(scan);

    plan->numbers.id_size = 0;
    *reason_out = publisher_numbers_read(&scan->fields[PB_PUBLISH_REQUEST_PUBLISHER], scan->count,
                                         &plan->numbers, &intake->fault);
    if (*reason_out)
        return SORT_REFUSED;
    const enum sort_result result =
        stored_sort(&plan->sort, intake->rpc->params.topics, &events, missing_out, &intake->fault);
    if (result == SORT_REFUSED) {
        *reason_out = intake->fault.reason;
        return result;
    }
    plan->answers_early = confirm == CONFIRM_RECEIVED && plan->numbers.id_size == 0;
    if (plan->sort.live_events == 0 || (confirm != CONFIRM_STORED && plan->numbers.id_size == 0))
        return result;
    *reason_out = fault_bytes(&intake->fault, FAULT_TOPIC_NOT_STORED, "events.topic", plan->sort.live_topic,
                              "a stored topic");
    stored_sort_fini(&plan->sort);
    return SORT_REFUSED;
}

static bool make_pipeline(struct intake *intake)
{
    if (!intake->pipeline)
        intake->pipeline = stored_pipeline_new(intake->call, &intake->rpc->gate, &pipeline_port, intake);
    return intake->pipeline;
}

/* The message is refused. The store would not know that its numbers are missing. */
static enum intake_kind refuse(struct intake *intake, const struct stored_plan *plan)
{
    if (plan->numbers.id_size > 0 && make_pipeline(intake))
        publisher_order_refused(&intake->pipeline->order, &plan->numbers);
    return INTAKE_LIVE;
}

static enum fault_reason find_pipeline(struct intake *intake, struct stored_plan *plan)
{
    if (!make_pipeline(intake))
        return fault_set(&intake->fault, FAULT_MEMORY_BUDGET, "events", "");
    plan->turn = stored_pipeline_turn(intake->pipeline, &plan->numbers, &intake->fault);
    return plan->turn == TURN_REFUSED ? intake->fault.reason : FAULT_NONE;
}

/* A topic is made when nothing but the store can still refuse the message. */
enum intake_kind intake_sort(struct intake *intake, struct scanned_message *scanned, struct stored_plan *plan)
{
    struct bytes missing;
    const enum sort_result result = sort_events(intake, scanned, plan, &missing, &scanned->reason);

    if (result == SORT_REFUSED)
        return refuse(intake, plan);
    if (result == SORT_DONE && plan->sort.topic_count == 0)
        return INTAKE_LIVE;
    if (!intake->origin && !intake_find_inlet(intake)) { /* its name is the origin of what it stores */
        stored_sort_fini(&plan->sort);
        return INTAKE_WAITS;
    }
    scanned->reason = find_pipeline(intake, plan);
    if (!scanned->reason && result == SORT_DONE)
        return INTAKE_STORED;
    stored_sort_fini(&plan->sort);
    if (scanned->reason)
        return INTAKE_LIVE; /* with its turn refused, its life is noted already */
    scanned->reason = make_topic(intake, missing);
    return scanned->reason ? refuse(intake, plan) : INTAKE_WAITS;
}

enum fault_reason intake_store(struct intake *intake, const struct scanned_message *scanned,
                               struct stored_plan *plan)
{
    struct chunk *chunk = NULL;
    struct stored_batch *batch = NULL;
    enum fault_reason reason = chunk_of_message(scanned->message, scanned->scan, &chunk, &intake->fault);

    if (!reason) {
        batch = stored_batch_new(&plan->sort, chunk, intake->origin ? intake->origin : intake->inlet->source,
                                 &plan->numbers);
        if (!batch) {
            chunk_release(chunk);
            reason = fault_number(&intake->fault, FAULT_MEMORY_BUDGET, "events", budget_used(),
                                  "bytes wait already");
        }
    }
    stored_sort_fini(&plan->sort);
    if (!batch) {
        (void)refuse(intake, plan);
        return reason;
    }
    batch->answers_early = plan->answers_early;
    count_add(COUNT_MESSAGES_IN, 1);
    stored_pipeline_add(intake->pipeline, batch, plan->turn);
    return FAULT_NONE;
}
