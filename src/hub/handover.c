/* handover.c - a second session of the same name takes the name over, and a name that is removed.
 *
 * STOP_FIRST: the older session keeps the name while it closes. The newer one waits for it; a
 * session has one successor at most. START_FIRST: the name changes hands at once, and both sessions
 * may publish until the older one is over. A transient producer does not own its name. */
#include "base/clock.h"
#include "flow/producer_state.h"
#include "hub/hub_parts.h"
#include "hub/registry.h"
#include "hub/session_internal.h"

/* An older session has this long to end before it is aborted. */
#define HANDOVER_NS NS_PER_S

static void drop_successor(struct session *session, enum fault_reason reason)
{
    const struct ending ending = {.reason = reason, .state = PRODUCER_REMOVED};

    if (session->successor)
        session_over(session->successor, &ending, true);
}

/* Where the older session closes already, its deadline stays. */
static void replace(struct session *older)
{
    if (older->state == SESSION_LIVE)
        session_close(older, FAULT_REPLACED, clock_from_now_ns(HANDOVER_NS));
}

void session_wait_for(struct session *session, struct session *older)
{
    drop_successor(older, FAULT_REPLACED);
    older->successor = session;
    session->predecessor = older;
    replace(older);
}

void session_take_name(struct session *session, struct producer *holder, struct list *created)
{
    struct session *older = holder && holder->kind->name_rule == NAME_HANDED_OVER ? session_of(holder) : NULL;

    if (older) {
        drop_successor(older, FAULT_REPLACED);
        registry_remove(holder);
    } else if (holder) {
        holder->kind->remove(holder, FAULT_REPLACED, 0);
    }
    /* Another name has just been taken out, or registry_reserve() has made space. */
    CHECK(registry_add(&session->producer) == ERR_OK);
    session_go_live(session, created);
    if (older)
        replace(older);
}

void session_remove(struct producer *producer, enum fault_reason reason, int64_t drain_ns)
{
    const struct ending ending = {.reason = reason, .state = PRODUCER_REMOVED, .notify = true};
    struct session *session = session_of(producer);

    drop_successor(session, reason);
    registry_remove(producer);
    if (drain_ns > 0)
        session_close(session, reason, clock_from_now_ns(drain_ns));
    else
        session_over(session, &ending, true);
}
