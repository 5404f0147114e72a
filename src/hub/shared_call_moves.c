/* shared_call_moves.c - what the members of a shared call hear, and how it ends. */
#include "base/fsm.h"
#include "flow/feed.h"
#include "hub/producer_change.h"
#include "hub/session_internal.h"
#include "hub/shared_call.h"
#include "hub/subscription_internal.h"
#include "route/inlet.h"

/* Members that one step notifies of a state. */
#define STEP_MEMBERS 8u

static struct shared_call *call_of(struct ready *ready)
{
    return container_of(ready, struct shared_call, ready);
}

/* ---- what the ready list calls ---- */

static void notify(struct shared_call *call, struct activation *member)
{
    const struct source_state *state = &call->numbered.inlet.source_state;
    const struct ending failed = {
        .state = PRODUCER_ENDED, .code = state->code, .expired = call->expired}; /* and its message */
    const bool is_end = call->state == SHARED_CALL_ENDED ||
                        (state->state == PRODUCER_UNAVAILABLE && member->subscription->ends_with_activations);

    if (is_end)
        activation_request_end(member, &failed);
    else if (member->open)
        feed_state(member->route.chan, member->route.feed, state);
}

static void run(struct ready *ready)
{
    struct shared_call *call = call_of(ready);
    struct list *node;

    for (uint32_t left = STEP_MEMBERS; left > 0 && (node = list_first(&call->due)); left--) {
        list_remove(node);
        list_append(&call->members, node);
        notify(call, shared_call_member(node));
    }
    if (!list_empty(&call->due))
        ready_add(ready);
}

static void call_stop(struct ready *ready)
{
    struct shared_call *call = call_of(ready);
    struct session *session = call->session;

    if (!call->stop_due || session->unregistered)
        return;
    call->stop_due = false;
    session->port->stop(session->port_ctx, call->numbered.number, call->stop_reason, call->stop_deadline_ns);
}

static void retain(struct ready *ready)
{
    call_of(ready)->refs++;
}

static void release(struct ready *ready)
{
    shared_call_release(call_of(ready));
}

const struct ready_kind shared_call_ready_kind = {run, call_stop, retain, release};

/* ---- what the producer says ---- */

static void notify_all(struct shared_call *call)
{
    list_move_all(&call->members, &call->due);
    ready_add(&call->ready);
}

void shared_call_report(struct shared_call *call, const struct source_state *state)
{
    endpoint_moved(&call->session->endpoint, &call->upstream_active, (enum producer_state)state->state);
    producer_changed(&call->session->producer);
    if (inlet_set_source_state(&call->numbered.inlet, state))
        notify_all(call);
}

void shared_call_end(struct shared_call *call, uint32_t code, const char *message, bool expired)
{
    call->expired = expired && call->state == SHARED_CALL_STOPPING;
    if (call->expired)
        code = CODE_DEADLINE_EXCEEDED;
    (void)inlet_set_source_state(&call->numbered.inlet,
                                 &(struct source_state){PRODUCER_ENDED, code, message});
    call->stop_due = false;
    shared_call_move_to_ended(call);
    producer_changed(&call->session->producer);
    notify_all(call);
}

/* ---- the end of the session ---- */

void shared_calls_stop(struct session *session, enum fault_reason reason, int64_t deadline_ns)
{
    list_each(node, safe, &session->shared_calls.all) {
        struct shared_call *call = container_of(node, struct shared_call, link);

        if (call->state == SHARED_CALL_STARTING) {
            shared_call_move_to_ended(call);
            notify_all(call);
        } else if (call->state == SHARED_CALL_ACTIVE) {
            shared_call_refuse(call);
            fsm_move(&shared_call_machine, call, SHARED_CALL_STOPPING);
            call->stop_due = true;
            call->stop_reason = reason;
            call->stop_deadline_ns = deadline_ns;
            ready_call(&call->ready);
        }
    }
}
