/* hub_holdups.c - see hub_holdups.h. */
#include "hub/hub_holdups.h"

#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/hub_internal.h"
#include "hub/hub_matches.h"
#include "hub/producer_internal.h"
#include "hub/registry.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"
#include "hub/shared_call.h"
#include "hub/subscription_internal.h"

static bool is_blocked(const struct inlet *inlet)
{
    return atomic_load_explicit(&inlet->blocked, memory_order_relaxed) > 0;
}

static void look_at_inlet(const struct inlet *inlet, bool is_member, struct holdups *holdups)
{
    const struct match_view view = {.inlet = inlet, .is_member = is_member};

    if (!holdups->blocking_id && is_blocked(inlet))
        holdups->blocking_id = hub_blocking(&view, NULL);
}

static void look_at_activation(const struct activation *activation, struct holdups *holdups)
{
    if (!holdups->paused_id && atomic_load_explicit(&activation->paused, memory_order_relaxed))
        holdups->paused_id = activation->subscription->id_text;
    if (activation->state != ACTIVATION_RETRYING)
        return;
    holdups->waiting++;
    if (heap_holds(&activation->due))
        holdups->retry_at_ns = MIN_OF(holdups->retry_at_ns, activation->due.key);
}

static void look_at_session(struct session *session, struct holdups *holdups)
{
    uint32_t left = MAX_MATCHES;

    list_each(node, safe, &session->shared_calls.all) {
        const struct shared_call *call = container_of(node, struct shared_call, link);

        if (left-- == 0)
            return;
        look_at_inlet(&call->numbered.inlet, true, holdups);
        if (call->numbered.inlet.source_state.state == PRODUCER_UNAVAILABLE)
            holdups->failed_call = call->numbered.number;
    }
    list_each(node, safe, &session->activations) {
        if (left-- == 0)
            return;
        look_at_activation(container_of(node, struct activation, in_session), holdups);
    }
}

enum fault_reason hub_holdups(struct hub *hub, struct bytes name, struct holdups *holdups_out,
                              struct fault *fault)
{
    struct producer *producer = registry_find(&hub->registry, name);
    struct holdups holdups = {.retry_at_ns = INT64_MAX};

    if (!producer)
        return fault_bytes(fault, FAULT_PRODUCER_NOT_FOUND, "name", name, NULL);
    if (producer->kind->wildcards)
        look_at_inlet(&producer->inlet, false, &holdups);
    else if (producer->kind->name_rule == NAME_HANDED_OVER)
        look_at_session(session_of(producer), &holdups);
    *holdups_out = holdups;
    return FAULT_NONE;
}
