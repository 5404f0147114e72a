/* session_store.c - what a shared session stores. */
#include "server/rpc/session_store.h"

#include <stdlib.h>

static struct session_store *store_of(struct intake *intake)
{
    return container_of(intake, struct session_store, intake);
}

static void keep(struct session_store *store, const struct scanned_message *scanned, bool until_empty)
{
    held_message_keep(&store->held, scanned, &store->intake.fault);
    store->held.until_empty = until_empty;
}

static bool pipeline_is_empty(const struct session_store *store)
{
    return stored_pipeline_is_empty(store->intake.pipeline);
}

/* Returns whether the message was given to the pipeline, or waits for that. */
static bool handle_stored(struct session_store *store, struct scanned_message *scanned,
                          struct stored_plan *plan)
{
    if (plan->turn == TURN_ALONE && !pipeline_is_empty(store)) {
        stored_sort_fini(&plan->sort);
        keep(store, scanned, true);
        return true;
    }
    scanned->reason = intake_store(&store->intake, scanned, plan);
    return !scanned->reason;
}

void session_store_handle(struct session_store *store, struct scanned_message *scanned)
{
    if (store->intake.offered) {
        keep(store, scanned, false);
        return;
    }
    if (intake_may_store(&store->intake, scanned)) {
        struct stored_plan plan;
        const enum intake_kind kind = intake_sort(&store->intake, scanned, &plan);

        if (kind == INTAKE_WAITS) {
            keep(store, scanned, false);
            return;
        }
        if (kind == INTAKE_STORED && handle_stored(store, scanned, &plan))
            return;
    }
    if (!pipeline_is_empty(store))
        keep(store, scanned, true);
    else if (scanned->reason)
        store->port->handled(store->ctx, &store->intake.fault);
    else
        store->port->live(store->ctx, scanned);
}

static void handle_held_when_due(struct session_store *store)
{
    struct held_message held = store->held;

    if (!held_message_is_there(&held) || store->intake.is_preparing || store->intake.offered ||
        (held.until_empty && !pipeline_is_empty(store)))
        return;
    store->held = (struct held_message){.is_scanned = false};
    if (call_alive(store->intake.call)) {
        struct scanned_message scanned = held_message_scanned(&held);

        if (scanned.reason)
            store->intake.fault = held.fault;
        session_store_handle(store, &scanned);
    }
    held_message_fini(&held);
}

/* ---- the intake's port ---- */

static void on_stored(struct intake *intake, const struct stored_batch *batch, enum fault_reason reason)
{
    struct session_store *store = store_of(intake);

    (void)batch;
    store->port->handled(store->ctx, reason ? &intake->fault : NULL);
}

static void on_moved(struct intake *intake)
{
    struct session_store *store = store_of(intake);

    handle_held_when_due(store);
    store->port->moved(store->ctx);
}

static void on_prepared(struct intake *intake, enum fault_reason reason)
{
    struct session_store *store = store_of(intake);

    if (reason)
        store->held.fault = intake->fault;
    on_moved(intake);
}

static void on_offer(struct intake *intake)
{
    struct session_store *store = store_of(intake);
    struct chunk *chunk = intake->chunk;

    intake->chunk = NULL;
    store->port->offer(store->ctx, chunk);
}

static const struct intake_port intake_port = {
    .stored = on_stored, .moved = on_moved, .prepared = on_prepared, .offer = on_offer};

void session_store_offered(struct session_store *store, bool is_offered)
{
    store->intake.offered(&store->intake, is_offered ? FAULT_NONE : FAULT_DRAINING);
}

/* ---- the store ---- */

struct session_store *session_store_new(struct rpc *rpc, struct call *call, struct bytes name,
                                        const struct session_store_port *port, void *ctx)
{
    struct session_store *store = calloc(1, sizeof(*store));
    struct source *origin = source_new(name, 0);

    if (!store || !origin) {
        free(store);
        source_release(origin);
        return NULL;
    }
    intake_init(&store->intake, rpc, call, &intake_port);
    store->intake.origin = origin;
    store->port = port;
    store->ctx = ctx;
    return store;
}

void session_store_free(struct session_store *store)
{
    if (!store)
        return;
    held_message_fini(&store->held);
    intake_fini(&store->intake);
    free(store);
}

bool session_store_accepts(const struct session_store *store)
{
    return !store || (!held_message_is_there(&store->held) && !store->intake.offered &&
                      stored_pipeline_accepts(store->intake.pipeline));
}

bool session_store_is_empty(const struct session_store *store)
{
    return !store || (!held_message_is_there(&store->held) && pipeline_is_empty(store));
}

void session_store_give_up(struct session_store *store)
{
    if (store)
        stored_pipeline_give_up(store->intake.pipeline);
}
