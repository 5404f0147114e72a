/* register_stored.c - what a shared session stores. Its messages are handled in their order. */
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "server/rpc/register_internal.h"
#include "server/rpc/rpc_internal.h"
#include "topic/topics.h"

/* ---- the port of what it stores ---- */

static void live(void *ctx, const struct scanned_message *scanned)
{
    struct registration *registration = ctx;

    registration->port->handle_live(registration, 0, scanned);
}

static void offer(void *ctx, struct chunk *chunk)
{
    struct registration *registration = ctx;
    enum err err = ERR_CLOSED;

    registration->offering_stored = true;
    call_hold(registration->call);
    const bool is_over =
        registration->state != LIVE || registration->port->offer(registration, 0, chunk, &err);
    chunk_release(chunk);
    if (!is_over)
        return;
    registration->offering_stored = false;
    session_store_offered(registration->store, err == ERR_OK);
    call_unhold(registration->call);
}

static void handled(void *ctx, const struct fault *fault)
{
    struct registration *registration = ctx;

    registration->handled++;
    registration->commands.stored = registration->store->intake.pipeline;
    if (fault)
        command_refused(&registration->commands, registration->handled, fault);
    commands_confirm(&registration->commands, registration->handled);
}

static void moved(void *ctx)
{
    struct registration *registration = ctx;

    registration->port->go_on(registration);
}

static const struct session_store_port port = {
    .live = live, .offer = offer, .handled = handled, .moved = moved};

/* ---- messages ---- */

bool registration_may_read(const struct registration *registration)
{
    return !registration->reading && !registration->ending && !registration->half_closed &&
           !registration_is_occupied(registration) && session_store_accepts(registration->store) &&
           !commands_full_of_refusals(&registration->commands) && call_alive(registration->call);
}

bool registration_stores(const struct registration *registration, const struct framing_scan *scan)
{
    if (!registration->name)
        return false;
    return !session_store_is_empty(registration->store) ||
           (scan->count > 0 && (topics_may_have(registration->rpc->params.topics) ||
                                scan->fields[PB_REGISTER_REQUEST_PUBLISHER].present));
}

enum fault_reason registration_store(struct registration *registration, struct scanned_message *scanned,
                                     struct fault *fault)
{
    if (!registration->store)
        registration->store = session_store_new(registration->rpc, registration->call,
                                                source_name(registration->name), &port, registration);
    if (!registration->store)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "events", "");
    decoded_free(registration->end); /* a shared session has no activation that could end */
    registration->end = NULL;
    session_store_handle(registration->store, scanned);
    registration->port->go_on(registration);
    return FAULT_NONE;
}
