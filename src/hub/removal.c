/* removal.c - see removal.h. */
#include "hub/removal.h"

#include <stdio.h>

#include "base/clock.h"
#include "hub/activation_internal.h"
#include "hub/hub_parts.h"
#include "hub/session_internal.h"
#include "hub/subscription_internal.h"

static bool is_shared(const struct session *session)
{
    return session->producer.kind->wildcards;
}

/* Whether the one call of a shared session is there. That of an endpoint comes and goes. */
static bool has_call(const struct session *session)
{
    const enum producer_state state = session->endpoint.state;

    return !session->endpoint.is_endpoint || state == PRODUCER_ACTIVE || state == PRODUCER_CONNECTING;
}

void removal_begin(struct producer *producer, struct removal *removal)
{
    removal->is_begun = true;
    if (producer->kind->name_rule != NAME_HANDED_OVER) {
        loop_post(hub_loop(producer->hub), &removal->over);
        return;
    }
    struct session *session = session_of(producer);

    removal->has_call = is_shared(session) && has_call(session);
    producer->removal = removal;
}

/* An upstream call cancels itself at the deadline too. Then it is a matter of chance whether it
 * ends before its activation expires. */
static bool is_late(const struct session *session)
{
    return clock_mono_ns() >= session->deadline_ns;
}

void removal_activation_ends(const struct activation *activation, const struct ending *ending)
{
    const struct session *session = activation->session;
    struct removal *removal = session->producer.removal;

    if (!removal || (activation->state != ACTIVATION_ACTIVE && activation->state != ACTIVATION_STOPPING))
        return;
    if (!ending->expired && session->state != SESSION_GONE && !is_late(session)) {
        removal->ended++;
        return;
    }
    removal->aborted++;
    if (removal->id_count < MAX_REMOVAL_IDS)
        snprintf(removal->ids[removal->id_count++], REMOVAL_ID_BYTES, "%s",
                 activation->subscription->id_text);
}

void removal_over(struct session *session)
{
    struct removal *removal = session->producer.removal;

    if (!removal)
        return;
    session->producer.removal = NULL;
    if (removal->has_call && session->ending.reason == FAULT_NONE && !is_late(session))
        removal->ended++;
    else if (removal->has_call)
        removal->aborted++;
    loop_post(hub_loop(session->producer.hub), &removal->over);
}
