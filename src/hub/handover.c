/* handover.c - who has a name: taken, handed over, removed.
 *
 * STOP_FIRST: the older session keeps the name while it closes; the newer one waits for it, as its
 * only successor. START_FIRST: the name changes hands at once, and both may speak until the older
 * one is over. A transient producer does not own its name. */
#include "hub/session.h"

#include "base/clock.h"
#include "base/log.h"

/* An older session has so long to end before it is cut. */
#define HANDOVER_NS NS_PER_S

static void drop_successor(struct session *session, enum fault_reason reason)
{
    const struct ending ending = {.reason = reason, .state = PRODUCER_REMOVED};

    if (session->successor)
        session_over(session->successor, &ending, true);
}

/* STOP_FIRST: the older one keeps the name until it is over. */
static void wait_for(struct session *session, struct session *older)
{
    OWNED(session_release) struct session *held = session_retain(older);

    drop_successor(older, FAULT_REPLACED);
    older->successor = session;
    session->predecessor = older;
    if (older->state == SESSION_LIVE)
        session_close(older, FAULT_REPLACED, from_now(HANDOVER_NS));
}

/* Takes the name of whoever has it, at once. A session ends as replaced then. */
static void take_name(struct session *session, struct producer *holder, struct list *made)
{
    OWNED(session_release)
    struct session *older = holder && holder->session ? session_retain(holder->session) : NULL;

    if (older) {
        drop_successor(older, FAULT_REPLACED);
        producer_unpublish(&older->producer);
    } else if (holder) {
        transient_remove(holder, "REPLACED");
    }
    /* Another name has just gone, or there is room: see registry_reserve(). */
    CHECK(producer_publish(&session->producer, 1) == ERR_OK);
    session_go_live(session, made);
    if (older && older->state == SESSION_LIVE)
        session_close(older, FAULT_REPLACED, from_now(HANDOVER_NS));
}

static void log_replaced(const struct session *session, const struct session *older, bool start_first)
{
    log_write(
        LOG_INFO, "producer.replaced", LOG_BYTES("producer", source_name(session->producer.inlet.source)),
        LOG_NUMBER("epoch", older->producer.inlet.source->epoch), LOG_TEXT("peer", session->producer.peer),
        LOG_TEXT("handover", start_first ? "START_FIRST" : "STOP_FIRST"));
}

enum fault_reason hub_register(struct hub *hub, const struct session_params *params,
                               struct session **session_out, struct fault *fault)
{
    struct producer *holder = producer_find(hub, params->name);
    struct session *older = holder ? holder->session : NULL;
    struct session *session;
    struct list made;

    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (older && params->reject_duplicate)
        return fault_bytes(fault, FAULT_NAME_TAKEN, "hello.name", params->name, NULL);
    if (!holder && registry_reserve(hub, fault) != FAULT_NONE)
        return fault->reason;
    session = session_new(hub, params);
    list_init(&made);
    if (session && (!older || params->start_first) && session_prepare(session, &made) != ERR_OK) {
        session_release(session);
        session = NULL;
    }
    if (!session)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    list_append(&hub->sessions, &session->link);
    *session_out = session;
    if (older)
        log_replaced(session, older, params->start_first);
    if (older && !params->start_first)
        wait_for(session, older);
    else
        take_name(session, holder, &made);
    return FAULT_NONE;
}

void session_remove(struct session *session, int64_t drain_ns)
{
    const struct ending ending = {.reason = FAULT_REMOVED, .state = PRODUCER_REMOVED, .notify = true};

    drop_successor(session, FAULT_REMOVED);
    producer_unpublish(&session->producer);
    if (drain_ns > 0)
        session_close(session, FAULT_REMOVED, from_now(drain_ns));
    else
        session_over(session, &ending, true);
}
