/* session.c - sessions as their callers see them: how they register and leave. What a session
 * publishes is in session_offer.c. */
#include "hub/session.h"

#include "base/log.h"
#include "flow/producer_state.h"
#include "hub/hub.h"
#include "hub/hub_parts.h"
#include "hub/registry.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"

static const struct session_kind *const kinds[] = {
    [SESSION_SHARED] = &shared_session_kind,
    [SESSION_PER_CONSUMER] = &consumer_session_kind,
    [SESSION_BY_REQUEST] = &request_session_kind,
};

static void log_replaced(const struct session *session, const struct session *older, bool start_first)
{
    log_write(
        LOG_INFO, "producer.replaced", LOG_BYTES("producer", source_name(session->producer.inlet.source)),
        LOG_NUMBER("epoch", older->producer.inlet.source->epoch), LOG_TEXT("peer", session->producer.peer),
        LOG_TEXT("handover", start_first ? "START_FIRST" : "STOP_FIRST"));
}

/* With BY_REQUEST each consumer pays for a history. */
static uint64_t charged_bytes(const struct session *session)
{
    return session->text_bytes + (session->kind == &shared_session_kind ? session->history.bytes : 0);
}

/* Whose name it is charged to now. */
static struct producer *charged_for(struct producer *holder, const struct session *older)
{
    return older && older->successor ? &older->successor->producer : holder;
}

enum fault_reason hub_may_register(struct hub *hub, const struct session_params *params, struct fault *fault)
{
    struct registry *registry = hub_registry(hub);
    struct producer *holder = registry_find(registry, params->name);
    enum name_rule rule = holder ? holder->kind->name_rule : NAME_YIELDED;
    struct session *older = rule == NAME_HANDED_OVER ? session_of(holder) : NULL;

    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (rule == NAME_KEPT || (older && params->reject_duplicate))
        return fault_bytes(fault, FAULT_NAME_TAKEN, "hello.name", params->name, NULL);
    return registry_reserve(registry, params->peer_key, charged_for(holder, older), fault);
}

/* A second producer of the same name is handled here. A duplicate is refused (ALREADY_EXISTS,
 * NAME_TAKEN) where the newer session asks for that, or where the holder is of a kind that keeps
 * its name; otherwise it replaces the older session (handover.c) or the transient producer. A
 * transient producer that finds a session of its name is refused in hub_inlet_open(). Two
 * publishers of one transient name share one inlet. */
enum fault_reason hub_register(struct hub *hub, const struct session_params *params,
                               struct session **session_out, struct fault *fault)
{
    struct registry *registry = hub_registry(hub);
    struct producer *holder = registry_find(registry, params->name);
    enum name_rule rule = holder ? holder->kind->name_rule : NAME_YIELDED;
    struct session *older = rule == NAME_HANDED_OVER ? session_of(holder) : NULL;
    struct producer *charged = charged_for(holder, older);
    struct session *session;
    struct list created;

    if (hub_may_register(hub, params, fault) != FAULT_NONE)
        return fault->reason;
    session = session_new(hub, kinds[params->mode], &session_ready_kind, params);
    list_init(&created);
    if (session && registry_check_bytes(registry, params->peer_key, charged, charged_bytes(session), fault) !=
                       FAULT_NONE) {
        session_release(session);
        return fault->reason;
    }
    if (session && registry_charge(&session->producer, params->peer_key, charged_bytes(session)) != ERR_OK) {
        session_release(session);
        session = NULL;
    }
    if (!session)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    if (!older || params->start_first)
        /* Where an older one goes on for a while, no consumer may be without either. */
        session_prepare(session, &created, older);
    if (charged)
        registry_discharge(charged);
    list_append(hub_sessions(hub), &session->link);
    *session_out = session;
    if (older)
        log_replaced(session, older, params->start_first);
    if (older && !params->start_first)
        session_wait_for(session, older);
    else
        session_take_name(session, holder, &created);
    ready_run(hub_ready(hub));
    return FAULT_NONE;
}

void hub_unregister(struct session *session, enum fault_reason reason)
{
    struct ready_list *list = session->ready.list;
    struct ending ending = {.reason = reason, .state = PRODUCER_ENDED};

    if (reason != FAULT_NONE) {
        ending.code = CODE_UNAVAILABLE;
        ending.message = "the producer was lost";
    }
    list_remove(&session->link);
    session->unregistered = true;
    session_over(session, &ending, false);
    session_release(session);
    ready_run(list);
}
