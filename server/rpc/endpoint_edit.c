/* endpoint_edit.c - what operators change of endpoints. See endpoint_edits.h. */
#include "server/rpc/endpoint_edits.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "event/field_write.h"
#include "hub/hub_query.h"
#include "hub/producer.h"
#include "loop/loop.h"
#include "proto/field_numbers.h"
#include "server/dial/dial.h"
#include "server/rpc/decode.h"
#include "server/rpc/endpoint_edits_internal.h"
#include "server/rpc/views.h"

/* Edits that may wait for the disk; a peer has its share of them. */
#define MAX_EDITS 4096u
/* What an edit takes besides its message, which is there decoded and encoded. */
#define EDIT_BYTES 2048u
#define BYTES_FACTOR 3u
#define MAX_STORED_BYTES (2u << 20) /* of one endpoint */

/* Where the result goes while endpoint_edits_begin() runs. */
struct beginning {
    struct edit_result *result;
    bool is_over;
};

struct edit {
    struct endpoint_edits *edits;
    struct endpoint_name *name;
    struct list link; /* of name->edits */
    struct edit_request request;
    struct endpoint_request endpoint; /* ADD, UPDATE */
    struct buf stored;                /* the same, for the store */
    uint8_t owner[OWNER_BYTES];
    struct store_op op;
    struct store_before before; /* the commit */
    struct edit_result result;
    bool is_begun, is_answered;
    struct peer_count *count;
    struct peer_charge charge;
    struct beginning *beginning; /* during endpoint_edits_begin() */
    void (*answered)(void *ctx, const struct edit_result *result);
    void *ctx;
};

/* ---- the end of an edit ---- */

static void before_fini(struct store_before *before)
{
    buf_fini(&before->value);
    buf_fini(&before->owner);
    *before = (struct store_before){.is_there = false};
}

static void edit_free(struct edit *edit)
{
    list_remove(&edit->link);
    peer_counts_remove(&edit->edits->peers, edit->count);
    peer_charge_give_back(&edit->edits->charges, &edit->charge);
    before_fini(&edit->before);
    buf_fini(&edit->stored);
    buf_fini(&edit->result.answer);
    endpoint_request_fini(&edit->endpoint);
    decoded_free(edit->request.message);
    free(edit);
}

/* The caller hears the result; once. */
static void answer(struct edit *edit)
{
    const struct edit_result result = edit->result;

    if (edit->is_answered)
        return;
    edit->is_answered = true;
    edit->result = (struct edit_result){.answer = {0}};
    if (!edit->beginning) {
        edit->answered(edit->ctx, &result);
        return;
    }
    *edit->beginning->result = result;
    edit->beginning->is_over = true;
}

static void end(struct edit *edit)
{
    answer(edit);
    edit_free(edit);
}

/* ---- the hub ---- */

static void write_producer(void *ctx, const struct producer_view *view)
{
    producer_write(view, ctx);
}

/* The record of an endpoint that was not in effect is gone. */
static void write_removed(struct edit *edit)
{
    struct buf *bytes = &edit->result.answer;

    edit->result.fault.reason = FAULT_NONE;
    field_bytes(bytes, PB_PRODUCER_NAME, edit->name->node.key);
    field_varint(bytes, PB_PRODUCER_KIND, TRIBUTARY__V1__PRODUCER__KIND__ENDPOINT);
    field_varint(bytes, PB_PRODUCER_STATE, TRIBUTARY__V1__PRODUCER_STATE__PRODUCER_STATE_REMOVED);
}

/* The record of a name that a file or a set defines now goes alone. */
static bool is_defined_elsewhere(struct edit *edit)
{
    return dial_check_origin(edit->edits->dial, "name", edit->name->node.key, &edit->result.fault);
}

static void apply_removal(struct edit *edit, bool was_recorded)
{
    struct edit_result *result = &edit->result;

    if (is_defined_elsewhere(edit)) {
        if (was_recorded)
            write_removed(edit);
        return;
    }
    if (edit->request.removal)
        hub_report_removal(edit->edits->hub, edit->name->node.key, edit->request.removal);
    if (hub_remove(edit->edits->hub, edit->name->node.key, edit->request.drain_ns, write_producer,
                   &result->answer, &result->fault) == FAULT_NONE)
        return;
    buf_clear(&result->answer);
    if (was_recorded && result->fault.reason == FAULT_PRODUCER_NOT_FOUND)
        write_removed(edit);
}

/* edit->result says how that went. */
static void apply(struct edit *edit, bool was_recorded)
{
    struct endpoint_edits *edits = edit->edits;
    struct edit_result *result = &edit->result;
    struct fault gone;

    if (edit->request.verb == EDIT_REMOVE) {
        apply_removal(edit, was_recorded);
    } else if (!dial_add(edits->dial, &edit->endpoint.params, edit->request.verb == EDIT_UPDATE,
                         &result->fault)) {
        endpoint_name_set_cause(&edits->names, edit->name, NULL);
        (void)!hub_producer(edits->hub, edit->name->node.key, write_producer, &result->answer, &gone);
    }
}

/* Nobody knows what the store has of the name. */
static void note_unknown(void *ctx, const struct producer_view *view)
{
    (void)ctx;
    dial_set_keeping(view, ENDPOINT_STORE_FAILED);
}

static void set_unknown(struct edit *edit)
{
    struct fault gone;

    edit->name->is_recorded = true;
    (void)!hub_producer(edit->edits->hub, edit->name->node.key, note_unknown, NULL, &gone);
}

/* ---- the store ---- */

enum fault_reason store_fault(struct store *store, enum store_outcome outcome, struct fault *fault)
{
    static const enum fault_reason reasons[] = {
        [STORE_DONE] = FAULT_NONE,           [STORE_QUEUE_FULL] = FAULT_STORE_BUSY,
        [STORE_TOO_LATE] = FAULT_STORE_LATE, [STORE_DISK_FULL] = FAULT_STORE_FULL,
        [STORE_LOCKED] = FAULT_STORE_LOCKED, [STORE_NO_MEMORY] = FAULT_MEMORY_BUDGET,
        [STORE_FAILED] = FAULT_STORE_FAILED, [STORE_UNKNOWN] = FAULT_STORE_UNKNOWN,
    };
    const struct store_health health = store_health(store);
    char cause[sizeof(fault->bound)];

    if (reasons[outcome] == FAULT_NONE)
        return FAULT_NONE;
    if (outcome == STORE_TOO_LATE)
        return fault_set(fault, FAULT_STORE_LATE, NULL, "nothing has changed");
    snprintf(cause, sizeof(cause), "%s%s%.70s", health.code, *health.code ? ": " : "", health.message);
    return fault_set(fault, reasons[outcome], NULL, cause);
}

static void run_edits(struct endpoint_edits *edits, struct endpoint_name *name);
static void on_committed(struct store_op *op);
static void on_restored(struct store_op *op);

/* The edit is over; those of its name that wait go on. */
static void conclude(struct edit *edit)
{
    struct endpoint_edits *edits = edit->edits;
    struct endpoint_name *name = edit->name;

    end(edit);
    run_edits(edits, name);
}

/* The disk does not answer. */
static void on_late(struct store_op *op)
{
    struct edit *edit = container_of(op, struct edit, op);

    buf_clear(&edit->result.answer);
    fault_set(&edit->result.fault, FAULT_STORE_LATE, NULL, "it is undone as soon as the disk answers");
    answer(edit);
}

static void submit(struct edit *edit, enum store_verb verb, struct bytes value, struct bytes owner,
                   int64_t changed_wall_ns, void (*done)(struct store_op *op))
{
    edit->op = (struct store_op){.verb = verb,
                                 .record = {.kind = ENDPOINT_KIND,
                                            .name = edit->name->node.key,
                                            .value = value,
                                            .owner = owner,
                                            .changed_wall_ns = changed_wall_ns},
                                 .late = on_late,
                                 .done = done};
    store_submit(edit->edits->store, &edit->op);
}

/* Makes the record what it was before the commit. */
static void restore(struct edit *edit)
{
    const struct store_before *before = &edit->before;

    submit(edit, before->is_there ? STORE_PUT : STORE_REMOVE,
           (struct bytes){before->value.data, before->value.size},
           (struct bytes){before->owner.data, before->owner.size}, before->changed_wall_ns, on_restored);
}

static void on_restored(struct store_op *op)
{
    struct edit *edit = container_of(op, struct edit, op);

    before_fini(&op->before);
    if (op->outcome == STORE_DONE) {
        edit->name->is_recorded = edit->before.is_there;
    } else {
        log_write(LOG_ERROR, "endpoint.not_undone", LOG_BYTES("producer", edit->name->node.key),
                  LOG_TEXT("reason", store_health(edit->edits->store).message));
        store_fault(edit->edits->store, STORE_UNKNOWN, &edit->result.fault);
        set_unknown(edit);
    }
    conclude(edit);
}

static void on_committed(struct store_op *op)
{
    struct edit *edit = container_of(op, struct edit, op);
    const bool is_removal = edit->request.verb == EDIT_REMOVE;

    edit->before = op->before;
    op->before = (struct store_before){.is_there = false};
    if (op->outcome == STORE_UNKNOWN)
        set_unknown(edit);
    if (op->outcome != STORE_DONE) {
        (void)store_fault(edit->edits->store, op->outcome, &edit->result.fault);
        conclude(edit);
        return;
    }
    edit->name->is_recorded = !is_removal;
    if (!edit->is_answered)
        apply(edit, edit->before.is_there);
    /* what was to be removed, and is gone, needs no record */
    if (edit->is_answered || (edit->result.fault.reason != FAULT_NONE && !is_removal))
        restore(edit);
    else
        conclude(edit);
}

/* ---- the beginning ---- */

static bool needs_store(const struct edit *edit)
{
    return edit->edits->store && (edit->request.verb != EDIT_REMOVE || edit->name->is_recorded);
}

/* The first of its name. It may be over when this returns. */
static void begin(struct edit *edit)
{
    const struct edit_request *request = &edit->request;

    edit->is_begun = true;
    if (request->verb != EDIT_REMOVE && dial_check(edit->edits->dial, &edit->endpoint.params,
                                                   request->verb == EDIT_UPDATE, &edit->result.fault)) {
        end(edit);
    } else if (!needs_store(edit)) {
        apply(edit, false);
        end(edit);
    } else if (request->verb == EDIT_REMOVE) {
        submit(edit, STORE_REMOVE, (struct bytes){NULL, 0}, (struct bytes){NULL, 0}, 0, on_committed);
    } else {
        submit(edit, STORE_PUT, (struct bytes){edit->stored.data, edit->stored.size},
               (struct bytes){edit->owner, sizeof(edit->owner)}, 0, on_committed);
    }
}

/* Begins the edits of a name that wait, up to one that has to wait for the disk. */
static void run_edits(struct endpoint_edits *edits, struct endpoint_name *name)
{
    struct list *first;

    while ((first = list_first(&name->edits))) {
        struct edit *edit = container_of(first, struct edit, link);

        if (edit->is_begun)
            return;
        begin(edit);
    }
    endpoint_names_rest(&edits->names, name);
}

/* What waits for the disk is charged to the peer. */
static enum fault_reason reserve(struct edit *edit)
{
    struct endpoint_edits *edits = edit->edits;
    const struct settings *settings = loop_settings(edits->loop);
    struct fault *fault = &edit->result.fault;

    if (!edits->store)
        return FAULT_NONE;
    if (peer_share_check(&edits->peers, settings, MAX_EDITS, edit->request.peer, FAULT_STORE_BUSY, fault) ||
        peer_charge_add(&edits->charges, settings, &edit->charge, edit->request.peer,
                        EDIT_BYTES + BYTES_FACTOR * edit->stored.size, fault))
        return fault->reason;
    edit->count = peer_counts_add(&edits->peers, edit->request.peer);
    return edit->count ? FAULT_NONE : fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
}

/* Reads the request, and finds its name. */
static enum fault_reason prepare(struct edit *edit)
{
    const struct edit_request *request = &edit->request;
    struct endpoint_params *params = &edit->endpoint.params;
    struct fault *fault = &edit->result.fault;
    struct bytes name = request->name;

    if (request->verb != EDIT_REMOVE) {
        if (request->endpoint)
            encode(&request->endpoint->base, &edit->stored);
        if (endpoint_request_read(request->endpoint, request->schema, &edit->endpoint, fault))
            return fault->reason;
        params->replace = request->replace || request->verb == EDIT_UPDATE;
        params->peer_key = request->peer;
        params->keeping = edit->edits->store ? ENDPOINT_KEPT : ENDPOINT_NO_STATE_DIR;
        name = params->name;
        owner_write(request->peer, edit->owner);
    }
    if (edit->stored.broken)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    if (edit->stored.size > MAX_STORED_BYTES) /* by fields that are not known here */
        return fault_number(fault, FAULT_TOO_LONG, "endpoint", edit->stored.size, "at most 2097152 bytes");
    if (name.size > STORE_MAX_NAME_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "endpoint.name", name, "at most 256 bytes");
    if (reserve(edit))
        return fault->reason;
    edit->name = endpoint_names_get(&edit->edits->names, name);
    return edit->name ? FAULT_NONE : fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
}

bool endpoint_edits_begin(struct endpoint_edits *edits, const struct edit_request *request,
                          void (*answered)(void *ctx, const struct edit_result *result), void *ctx,
                          struct edit_result *result_out)
{
    struct beginning beginning = {.result = result_out};
    struct edit *edit = calloc(1, sizeof(*edit));

    *result_out = (struct edit_result){.fault = {.reason = FAULT_NONE}};
    if (!edit) {
        decoded_free(request->message);
        fault_set(&result_out->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        return true;
    }
    edit->edits = edits;
    edit->request = *request;
    edit->answered = answered;
    edit->ctx = ctx;
    edit->beginning = &beginning;
    list_init(&edit->link);
    if (prepare(edit)) {
        end(edit);
        return true;
    }
    struct endpoint_name *name = edit->name;
    const bool waits = !list_empty(&name->edits);
    list_append(&name->edits, &edit->link);
    if (!waits)
        run_edits(edits, name);
    if (!beginning.is_over)
        edit->beginning = NULL;
    return beginning.is_over;
}

/* ---- all edits ---- */

struct endpoint_edits *endpoint_edits_new(struct loop *loop, struct hub *hub, struct dial *dial,
                                          struct store *store)
{
    struct endpoint_edits *edits = calloc(1, sizeof(*edits));

    if (!edits)
        return NULL;
    edits->loop = loop;
    edits->hub = hub;
    edits->dial = dial;
    edits->store = store;
    endpoint_names_init(&edits->names);
    peer_charges_init(&edits->charges, COUNT_LIVE_EDIT_BYTES, "endpoint",
                      "changes that wait for the disk, of");
    return edits;
}

void endpoint_edits_free(struct endpoint_edits *edits)
{
    if (!edits)
        return;
    endpoint_names_fini(&edits->names);
    peer_counts_fini(&edits->peers);
    peer_charges_fini(&edits->charges);
    free(edits);
}

struct store *endpoint_edits_store(const struct endpoint_edits *edits)
{
    return edits->store;
}

void endpoint_edits_not_loaded(const struct endpoint_edits *edits, unsigned max,
                               void (*each)(void *ctx, struct bytes name, const char *cause), void *ctx)
{
    list_each(node, safe, &edits->names.not_loaded) {
        const struct endpoint_name *name = container_of(node, struct endpoint_name, not_loaded);

        if (max-- == 0)
            return;
        each(ctx, name->node.key, name->cause);
    }
}
