/* shared_call.c - see shared_call.h. */
#include "hub/shared_call.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "base/log.h"
#include "base/shared_bytes.h"
#include "hub/hub_parts.h"
#include "hub/inlet_table.h"
#include "hub/kept_memory.h"
#include "hub/producer_change.h"
#include "hub/registry.h"
#include "hub/session_kind.h"
#include "hub/subscription_internal.h"
#include "route/inlet.h"
#include "route/route.h"

const struct fsm shared_call_machine = {
    .name = "shared_call",
    .states = {[SHARED_CALL_STARTING] = {"STARTING", BIT(SHARED_CALL_ACTIVE) | BIT(SHARED_CALL_ENDED)},
               [SHARED_CALL_ACTIVE] = {"ACTIVE", BIT(SHARED_CALL_STOPPING) | BIT(SHARED_CALL_ENDED)},
               [SHARED_CALL_STOPPING] = {"STOPPING", BIT(SHARED_CALL_ENDED)},
               [SHARED_CALL_ENDED] = {"ENDED", 0}},
};

static bool is_empty(const struct shared_call *call)
{
    return list_empty(&call->members) && list_empty(&call->due);
}

/* ---- its end ---- */

/* An offer that still runs holds the inlet's lock. */
void shared_call_release(struct shared_call *call)
{
    if (--call->refs > 0)
        return;
    inlet_set_state(&call->numbered.inlet, INLET_REMOVED);
    inlet_fini(&call->numbered.inlet);
    shared_bytes_release(call->request);
    shared_bytes_release(call->via);
    session_release(call->session);
    free(call);
}

static void log_end(const struct shared_call *call)
{
    const struct inlet *inlet = &call->numbered.inlet;

    log_write(LOG_INFO, "shared_call.ended", LOG_BYTES("producer", source_name(inlet->source)),
              LOG_NUMBER("activation", call->numbered.number),
              LOG_TEXT("code", fault_code_name((enum fault_code)inlet->source_state.code)),
              LOG_NUMBER("events", inlet->published.events), LOG_NUMBER("bytes", inlet->published.bytes));
}

static bool is_joinable(const struct shared_call *call)
{
    return call->state == SHARED_CALL_STARTING || call->state == SHARED_CALL_ACTIVE;
}

void shared_call_refuse(struct shared_call *call)
{
    if (is_joinable(call) && !call->via)
        map_remove(&call->session->shared_calls.by_request, &call->by_request);
}

void shared_call_move_to_ended(struct shared_call *call)
{
    struct session *session = call->session;

    if (call->state == SHARED_CALL_ENDED)
        return;
    shared_call_refuse(call);
    if (call->state != SHARED_CALL_STARTING)
        log_end(call);
    fsm_move(&shared_call_machine, call, SHARED_CALL_ENDED);
    inlet_table_remove(session, &call->numbered);
    inlet_set_state(&call->numbered.inlet, INLET_REMOVED);
    endpoint_left(&session->endpoint, &call->upstream_active);
}

static void set_charge(struct shared_call *call, const struct activation *member)
{
    struct peer_counts *peers = &call->session->shared_calls.peers;
    struct peer_count *before = call->charge;

    call->charge = member ? peer_counts_add(peers, member->subscription->charge->peer) : NULL;
    peer_counts_remove(peers, before);
}

/* Its last member has left. */
static void be_over(struct shared_call *call, enum fault_reason reason)
{
    call->stop_due = call->state == SHARED_CALL_ACTIVE;
    call->stop_reason = reason;
    call->stop_deadline_ns = 0;
    shared_call_move_to_ended(call);
    set_charge(call, NULL);
    list_remove(&call->link);
    call->session->shared_calls.count--;
    producer_changed(&call->session->producer);
    if (call->stop_due)
        ready_call(&call->ready);
    shared_call_release(call); /* the reference that it was made with */
}

void shared_call_leave(struct activation *activation, enum fault_reason reason)
{
    struct shared_call *call = activation->shared_call;

    activation->shared_call = NULL;
    list_remove(&activation->in_shared_call);
    call->session->shared_calls.members--;
    kept_memory_remove_route(activation->subscription, activation->kept_bytes);
    if (is_empty(call)) {
        be_over(call, reason);
        return;
    }
    if (call->charge && peer_same(call->charge->peer, activation->subscription->charge->peer))
        set_charge(call,
                   shared_call_member(list_first(list_empty(&call->members) ? &call->due : &call->members)));
}

/* ---- members ---- */

/* What its memory would be if the subscription were alone. */
static uint64_t bytes_of(const struct session *session, const struct subscription *subscription)
{
    return sizeof(struct activation) + sizeof(struct shared_call) +
           shared_bytes_view(subscription->request).size + shared_bytes_view(subscription->via).size +
           session->history.bytes;
}

static enum err check_count(const struct session *session, const struct subscription *subscription)
{
    const struct settings *settings = loop_settings(hub_loop(subscription->hub));
    const struct shared_calls *calls = &session->shared_calls;
    const struct peer_key peer = subscription->charge->peer;

    return calls->count < MAX_SHARED_CALLS &&
                   peer_counts_get(&calls->peers, peer) < peer_share(settings, MAX_SHARED_CALLS, peer)
               ? ERR_OK
               : ERR_FULL;
}

static void keep_history(struct shared_call *call, const struct subscription *subscription)
{
    const bool is_wanted = subscription->start_point && subscription->start_point->last > 0;
    const struct history_bounds *own = &call->session->history;

    if (own->events > 0)
        inlet_keep_history(&call->numbered.inlet, own);
    else if (is_wanted || registry_keeps_history(call->session->producer.registry))
        inlet_keep_history(&call->numbered.inlet, NULL);
}

static struct shared_call *call_new(struct session *session, const struct subscription *subscription)
{
    struct shared_bytes *request = session->shared_calls.ignore_requests ? NULL : subscription->request;

    const struct inlet_start start = {.name = source_name(session->producer.inlet.source),
                                      .epoch = clock_epoch_ns(),
                                      .state = INLET_OPEN,
                                      .source_state = endpoint_first_state(&session->endpoint)};
    struct shared_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    if (inlet_init(&call->numbered.inlet, &start) != ERR_OK) {
        free(call);
        return NULL;
    }
    call->refs = 1;
    call->session = session_retain(session);
    call->request = shared_bytes_retain(request);
    call->via = shared_bytes_retain(subscription->via);
    call->by_request.key = shared_bytes_view(request);
    list_init(&call->link);
    list_init(&call->members);
    list_init(&call->due);
    ready_init(&call->ready, session->kind->shared_call_ready, session->ready.list);
    return call;
}

static enum err make(struct session *session, const struct subscription *subscription,
                     struct shared_call **call_out)
{
    struct shared_calls *calls = &session->shared_calls;

    if (check_count(session, subscription) != ERR_OK)
        return ERR_FULL;
    if (map_reserve(&calls->by_request) != ERR_OK)
        return ERR_NO_MEMORY;
    struct shared_call *call = call_new(session, subscription);
    if (!call)
        return ERR_NO_MEMORY;
    if (!call->via)
        CHECK(map_add(&calls->by_request, &call->by_request) == ERR_OK); /* there is space */
    list_append(&calls->all, &call->link);
    calls->count++;
    endpoint_moved(&session->endpoint, &call->upstream_active, PRODUCER_CONNECTING);
    producer_changed(&session->producer);
    *call_out = call;
    return ERR_OK;
}

/* One that has come through the same servers. There are at most MAX_SHARED_CALLS of them. */
static struct shared_call *joinable_with_via(const struct shared_calls *calls, struct bytes request,
                                             struct bytes via)
{
    list_each(node, safe, &calls->all) {
        struct shared_call *call = container_of(node, struct shared_call, link);

        if (is_joinable(call) && bytes_same(shared_bytes_view(call->via), via) &&
            bytes_same(shared_bytes_view(call->request), request))
            return call;
    }
    return NULL;
}

/* NULL: there is none that may be joined. */
static struct shared_call *joinable(const struct session *session, const struct subscription *subscription)
{
    const struct shared_calls *calls = &session->shared_calls;
    const struct bytes none = {NULL, 0};
    const struct bytes request = calls->ignore_requests ? none : shared_bytes_view(subscription->request);

    if (subscription->via)
        return joinable_with_via(calls, request, shared_bytes_view(subscription->via));
    struct map_node *node = map_find(&calls->by_request, request);

    return node ? container_of(node, struct shared_call, by_request) : NULL;
}

enum err shared_call_join(struct activation *activation, struct inlet **inlet_out)
{
    struct session *session = activation->session;
    struct subscription *subscription = activation->subscription;
    struct shared_call *call = joinable(session, subscription);
    const uint64_t bytes = bytes_of(session, subscription);
    enum err err = ERR_OK;

    if (!kept_memory_add_route(subscription, bytes))
        return ERR_NO_MEMORY;
    if (!call)
        err = make(session, subscription, &call);
    if (err == ERR_OK && inlet_reserve(&call->numbered.inlet) != ERR_OK) {
        err = ERR_NO_MEMORY;
        if (is_empty(call))
            be_over(call, FAULT_NONE);
    }
    if (err != ERR_OK) {
        kept_memory_remove_route(subscription, bytes);
        return err;
    }
    activation->kept_bytes = bytes;
    activation->shared_call = call;
    if (is_empty(call))
        set_charge(call, activation);
    list_append(&call->members, &activation->in_shared_call);
    session->shared_calls.members++;
    keep_history(call, subscription);
    *inlet_out = &call->numbered.inlet;
    return ERR_OK;
}

enum err shared_call_start(struct activation *activation)
{
    struct shared_call *call = activation->shared_call;
    struct session *session = call->session;
    struct activation_params params = {.request = call->request,
                                       .deadline_ns = INT64_MAX,
                                       .subscription_id = "",
                                       .payer = activation->subscription->charge->peer,
                                       .via = call->via};

    if (call->state != SHARED_CALL_STARTING)
        return ERR_OK;
    if (!inlet_table_add(session, &call->numbered))
        return ERR_NO_MEMORY;
    fsm_move(&shared_call_machine, call, SHARED_CALL_ACTIVE);
    params.activation = call->numbered.number;
    log_write(
        LOG_INFO, "shared_call.started", LOG_BYTES("producer", source_name(call->numbered.inlet.source)),
        LOG_NUMBER("activation", params.activation), LOG_NUMBER("epoch", call->numbered.inlet.source->epoch));
    session->port->start(session->port_ctx, &params);
    return ERR_OK;
}

struct shared_call *shared_call_find(struct session *session, uint64_t number)
{
    struct numbered_inlet *numbered = inlet_table_get(session, number);

    return numbered ? container_of(numbered, struct shared_call, numbered) : NULL;
}
