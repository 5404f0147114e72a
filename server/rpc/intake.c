/* intake.c - scans a message, finds its producer (or has the loop make it), offers the events, and
 * waits where a channel blocks.
 *
 *   message --scan--> chunk --> inlet known --offer--> done
 *                           |        ^          \--blocked, let in--> done
 *                           \--loop--/
 *
 * A message is scanned once. Its chunk, or its place in the coalesced chunk, is made from that
 * scan. */
#include "server/rpc/intake.h"

#include <string.h>

#include "base/budget.h"
#include "base/counters.h"
#include "hub/producer.h"
#include "proto/field_numbers.h"
#include "server/rpc/hello.h"
#include "server/rpc/rpc_internal.h"
#include "server/wire/message.h"

/* PublishRequest and PublishStreamRequest have the same fields, and the scan keeps them. */
_Static_assert(PB_PUBLISH_STREAM_REQUEST_PRODUCER == PB_PUBLISH_REQUEST_PRODUCER &&
                   PB_PUBLISH_STREAM_REQUEST_CONFIRM == PB_PUBLISH_REQUEST_CONFIRM &&
                   PB_PUBLISH_STREAM_REQUEST_PUBLISHER == PB_PUBLISH_REQUEST_PUBLISHER &&
                   PB_PUBLISH_REQUEST_PRODUCER < FRAMING_FIELDS &&
                   PB_PUBLISH_REQUEST_PUBLISHER < FRAMING_FIELDS &&
                   PB_PUBLISH_REQUEST_CONFIRM < FRAMING_FIELDS,
               "one function reads both");

/* The highest value of Confirm that is served. */
enum { MAX_CONFIRM = 2 };

_Static_assert(sizeof(((struct intake *)0)->name) == 256, "the name of a producer fits");

static const char anonymous[] = "anonymous";

static void finish(struct intake *intake, enum fault_reason reason)
{
    if (intake->offered) {
        intake->offered(intake, reason);
        return;
    }
    if (reason)
        count_add(COUNT_REFUSED_BATCHES, intake->messages);
    intake->port->done(intake, reason);
}

static enum fault_reason check_confirm(const struct framing_field *confirm, struct fault *fault)
{
    if (!confirm->present)
        return FAULT_NONE;
    if (confirm->type != WIRE_VARINT)
        return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "confirm", "an enum is a varint");
    if (confirm->number > MAX_CONFIRM)
        return fault_number(fault, FAULT_UNKNOWN_ENUM, "confirm", confirm->number,
                            "CONFIRM_RECEIVED (1), CONFIRM_STORED (2), or unspecified (0)");
    return FAULT_NONE;
}

/* The first message names the producer. A later one leaves the name out, or repeats it. */
static enum fault_reason check_producer(struct intake *intake, const struct framing_field *producer,
                                        struct fault *fault)
{
    struct bytes name = {(const uint8_t *)anonymous, sizeof(anonymous) - 1};

    if (producer->present && producer->type != WIRE_LEN)
        return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "producer", "a string is length-delimited");
    if (producer->present && producer->bytes.size > 0) {
        enum fault_reason reason = producer_name_check(producer->bytes, "producer", fault);
        if (reason)
            return reason;
        name = producer->bytes;
    } else if (intake->name_size > 0) {
        return FAULT_NONE;
    }
    if (intake->name_size > 0 &&
        (name.size != intake->name_size || memcmp(name.data, intake->name, name.size) != 0))
        return fault_bytes(fault, FAULT_PRODUCER_CHANGED, "producer", name,
                           "empty, or the name that the stream began with");
    memcpy(intake->name, name.data, name.size);
    intake->name_size = (uint32_t)name.size;
    return FAULT_NONE;
}

enum fault_reason chunk_of_message(struct message *message, const struct framing_scan *scan,
                                   struct chunk **chunk_out, struct fault *fault)
{
    if (!scan->contiguous) {
        if (chunk_of(message->bytes, scan, chunk_out) == ERR_OK)
            return FAULT_NONE;
    } else {
        struct bytes bytes;
        uint64_t pinned;
        struct chunk_memory *memory = message_keep(message, &bytes, &pinned);
        if (memory && chunk_new(memory, bytes.data + scan->offsets[0], scan, pinned, chunk_out) == ERR_OK)
            return FAULT_NONE;
        if (memory)
            memory->release(memory);
    }
    return fault_number(fault, FAULT_MEMORY_BUDGET, "events", budget_used(), "bytes wait already");
}

static void on_put_done(struct put_waiter *waiter)
{
    struct intake *intake = container_of(waiter, struct intake, waiter);

    cq_post(call_cq(intake->call), &intake->task);
}

static void on_unblocked(struct task *task)
{
    struct intake *intake = container_of(task, struct intake, task);
    struct call *call = intake->call;

    intake->offering = false;
    inlet_unblocked(intake->inlet);
    finish(intake, FAULT_NONE);
    call_unhold(call);
}

static void find_inlet_and_offer(struct intake *intake);

static void offer(struct intake *intake)
{
    struct chunk *chunk = intake->chunk;

    intake->chunk = NULL;
    intake->task.run = on_unblocked;
    intake->offering = true;
    call_hold(intake->call);
    enum err err = inlet_offer(intake->inlet, chunk, &intake->waiter, &intake->offer);
    if (err == ERR_NOT_FOUND) {
        /* The producer was removed: make it anew, or be refused because a session has its name. */
        inlet_leave(intake->inlet);
        intake->inlet = NULL;
        intake->offering = false;
        intake->chunk = chunk;
        find_inlet_and_offer(intake);
        call_unhold(intake->call);
        return;
    }
    chunk_release(chunk);
    if (err == ERR_OK || err == ERR_AGAIN)
        count_add(COUNT_MESSAGES_IN, intake->messages);
    if (err == ERR_AGAIN) {
        if (!call_alive(intake->call))
            intake_give_up(intake); /* the call was lost before anything was parked */
        return;
    }
    intake->offering = false;
    finish(intake, err ? fault_set(&intake->fault, FAULT_DRAINING, "", "") : FAULT_NONE);
    call_unhold(intake->call);
}

/* `fault`: why there is no inlet. */
static void offer_opened(struct intake *intake, const struct fault *fault)
{
    if (intake->inlet) {
        offer(intake);
        return;
    }
    chunk_release(intake->chunk);
    intake->chunk = NULL;
    intake->fault = *fault;
    finish(intake, fault->reason);
}

/* Wire thread, back from the loop. The offer may begin another opening. */
static void on_opened(struct task *task)
{
    struct intake *intake = container_of(task, struct intake, opening.task);
    struct call *call = intake->call;
    const struct intake_opening opened = intake->opening;

    intake->opening.is_pending = false;
    intake->opening.for_chunk = false;
    intake->opening.for_message = false;
    intake->inlet = opened.inlet;
    if (opened.for_chunk)
        offer_opened(intake, &opened.fault);
    if (opened.for_message) {
        if (!opened.inlet)
            intake->fault = opened.fault;
        intake->is_preparing = false;
        intake->port->prepared(intake, opened.inlet ? FAULT_NONE : opened.fault.reason);
    }
    call_unhold(call);
}

/* Loop. */
static void open_inlet(struct task *task)
{
    struct intake *intake = container_of(task, struct intake, opening.task);
    struct bytes name = {intake->name, intake->name_size};

    if (hub_inlet_open(intake->rpc->hub, name, call_peer(intake->call), call_peer_key(intake->call),
                       &intake->opening.inlet, &intake->opening.fault))
        intake->opening.inlet = NULL;
    intake->opening.task.run = on_opened;
    cq_post(call_cq(intake->call), &intake->opening.task);
}

/* Returns false where the loop must make it first. At most one opening is under way. */
static bool find_inlet(struct intake *intake)
{
    struct bytes name = {intake->name, intake->name_size};

    if (intake->opening.is_pending)
        return false;
    if (!intake->inlet)
        intake->inlet = hub_inlet_find(intake->rpc->hub, name, call_peer(intake->call));
    if (intake->inlet)
        return true;
    intake->opening.is_pending = true;
    call_hold(intake->call);
    intake->opening.task.run = open_inlet;
    loop_post(intake->rpc->loop, &intake->opening.task);
    return false;
}

static void find_inlet_and_offer(struct intake *intake)
{
    if (find_inlet(intake))
        offer(intake);
    else
        intake->opening.for_chunk = true;
}

bool intake_find_inlet(struct intake *intake)
{
    if (find_inlet(intake))
        return true;
    intake->opening.for_message = true;
    intake->is_preparing = true;
    return false;
}

void intake_init(struct intake *intake, struct rpc *rpc, struct call *call, const struct intake_port *port)
{
    memset(intake, 0, sizeof(*intake));
    intake->rpc = rpc;
    intake->call = call;
    intake->port = port;
    intake->waiter.over = on_put_done;
}

struct scanned_message intake_scan(struct intake *intake, struct message *message)
{
    struct framing_scan *scan = wire_scan(call_thread(intake->call));
    const struct framing_limits *limits = &loop_settings(intake->rpc->loop)->framing;
    enum fault_reason reason = message_check(message, limits->max_batch_bytes, &intake->fault);

    if (!reason)
        reason = framing_scan(scan, message_bytes(message), limits, &intake->fault);
    if (!reason)
        reason = check_confirm(&scan->fields[PB_PUBLISH_REQUEST_CONFIRM], &intake->fault);
    if (!reason && (scan->count > 0 || scan->fields[PB_PUBLISH_REQUEST_PRODUCER].present))
        reason = check_producer(intake, &scan->fields[PB_PUBLISH_REQUEST_PRODUCER], &intake->fault);
    return (struct scanned_message){.message = message, .scan = scan, .reason = reason};
}

void intake_offer(struct intake *intake, const struct scanned_message *scanned)
{
    enum fault_reason reason = scanned->reason;
    bool has_events = scanned->scan->count > 0;

    intake->messages = 1;
    if (!reason && has_events)
        reason = chunk_of_message(scanned->message, scanned->scan, &intake->chunk, &intake->fault);
    if (reason || !has_events)
        finish(intake, reason);
    else
        find_inlet_and_offer(intake);
}

void intake_offer_chunk(struct intake *intake)
{
    intake->messages = 0; /* the message was counted */
    find_inlet_and_offer(intake);
}

bool intake_coalesce(struct intake *intake, const struct scanned_message *scanned)
{
    if (!intake->inlet || scanned->reason)
        return false;
    if (!intake->coalesced)
        intake->messages = 0;
    if (!coalesce(&intake->coalesced, scanned->message->bytes, scanned->scan))
        return false;
    intake->messages++;
    return true;
}

void intake_offer_coalesced(struct intake *intake)
{
    intake->chunk = coalesce_end(&intake->coalesced);
    offer(intake);
}

void intake_give_up(struct intake *intake)
{
    if (intake->offering)
        inlet_give_up(intake->inlet, &intake->waiter);
    stored_pipeline_give_up(intake->pipeline);
}

void intake_fini(struct intake *intake)
{
    chunk_release(intake->chunk);
    chunk_release(intake->coalesced);
    if (intake->inlet)
        inlet_leave(intake->inlet);
    stored_pipeline_free(intake->pipeline);
    source_release(intake->origin);
    intake->origin = NULL;
    intake->chunk = NULL;
    intake->coalesced = NULL;
    intake->inlet = NULL;
    intake->pipeline = NULL;
}
