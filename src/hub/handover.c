/* handover.c - a second session of the same name takes the name over, and a name that is removed.
 *
 * STOP_FIRST: the older session keeps the name while it closes. The newer one waits for it; a
 * session has one successor at most. START_FIRST: the name changes hands at once, and both sessions
 * may publish until the older one is over. A transient producer does not own its name. */
#include "base/clock.h"
#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/hub_query.h"
#include "hub/producer.h"
#include "hub/registry.h"
#include "hub/session_internal.h"
#include "hub/transient.h"

/* An older session has this long to end before it is aborted. */
#define HANDOVER_NS NS_PER_S

static void drop_successor(struct session *session, enum fault_reason reason)
{
    const struct ending ending = {.reason = reason, .state = PRODUCER_REMOVED};

    if (session->successor)
        session_over(session->successor, &ending, true);
}

void session_wait_for(struct session *session, struct session *older)
{
    OWNED(session_release) struct session *held = session_retain(older);

    drop_successor(older, FAULT_REPLACED);
    older->successor = session;
    session->predecessor = older;
    if (older->state == SESSION_LIVE)
        session_close(older, FAULT_REPLACED, from_now(HANDOVER_NS));
}

void session_take_name(struct session *session, struct producer *holder, struct list *created)
{
    OWNED(session_release)
    struct session *older = holder && holder->session ? session_retain(holder->session) : NULL;

    if (older) {
        drop_successor(older, FAULT_REPLACED);
        registry_remove(&older->producer);
    } else if (holder) {
        transient_remove(holder, "REPLACED");
    }
    /* Another name has just been taken out, or registry_reserve() has made space. */
    CHECK(registry_add(&session->producer, 1) == ERR_OK);
    session_go_live(session, created);
    if (older && older->state == SESSION_LIVE)
        session_close(older, FAULT_REPLACED, from_now(HANDOVER_NS));
}

static void session_remove(struct session *session, int64_t drain_ns)
{
    const struct ending ending = {.reason = FAULT_REMOVED, .state = PRODUCER_REMOVED, .notify = true};

    drop_successor(session, FAULT_REMOVED);
    registry_remove(&session->producer);
    if (drain_ns > 0)
        session_close(session, FAULT_REMOVED, from_now(drain_ns));
    else
        session_over(session, &ending, true);
}

enum fault_reason hub_remove(struct hub *hub, struct bytes name, int64_t drain_ns,
                             void (*each)(void *ctx, const struct producer_view *view), void *ctx,
                             struct fault *fault)
{
    enum fault_reason reason = hub_producer(hub, name, each, ctx, fault);
    struct producer *producer = producer_find(hub, name);

    if (reason != FAULT_NONE)
        return reason;
    if (producer->session)
        session_remove(producer->session, drain_ns);
    else
        transient_remove(producer, "REMOVED");
    return FAULT_NONE;
}
