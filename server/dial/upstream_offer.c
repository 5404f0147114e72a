/* upstream_offer.c - what an upstream call has received goes to the session.
 *
 * DESIGN. Where a turn handles several operations, the thread is busy. Then the small messages of
 * one turn are coalesced into one chunk, which is offered at the end of the turn. A call for one
 * consumer coalesces nothing. It never waits for that consumer's channel, but stops reading when
 * that is full: what it had read meanwhile would be dropped.
 *
 * While something is being offered nothing else is read. One message may be on its way then. */
#include "server/dial/upstream_offer.h"

#include "base/counters.h"
#include "event/chunk.h"
#include "grpc/coalesce.h"
#include "hub/session.h"
#include "route/offer.h"
#include "server/dial/upstream_internal.h"
#include "server/dial/upstream_losses.h"
#include "server/dial/upstream_message.h"

static void offer(struct upstream *upstream, struct chunk *chunk)
{
    struct offer unused;

    upstream->offering = upstream->is_shared;
    if (session_offer(upstream->session, upstream->activation, chunk,
                      upstream->is_shared ? &upstream->waiter : NULL, &unused) != ERR_AGAIN)
        upstream->offering = false;
}

void upstream_offer(struct upstream *upstream, struct chunk *chunk)
{
    count_add(COUNT_MESSAGES_IN, 1);
    offer(upstream, chunk);
}

static struct chunk *first_waiting(struct upstream *upstream)
{
    struct chunk *next = upstream->next;

    if (upstream->coalesced)
        return coalesce_end(&upstream->coalesced);
    upstream->next = NULL;
    return next;
}

void upstream_offer_waiting(struct upstream *upstream)
{
    while (!upstream->offering && (upstream->coalesced || upstream->next)) {
        OWNED(chunk_release) struct chunk *chunk = first_waiting(upstream);

        offer(upstream, chunk);
    }
}

static void on_turn_end(struct post_poll_hook *hook, int64_t now_ns)
{
    (void)now_ns;
    upstream_offer_waiting(container_of(hook, struct upstream, offer_hook));
}

enum fault_reason upstream_hand_over(struct upstream *upstream, grpc_byte_buffer *message,
                                     struct fault *fault)
{
    const bool may_coalesce = upstream->is_shared && !upstream->offering && cq_turn_is_long(cq_of(upstream));
    SCRATCH struct upstream_losses losses;
    enum fault_reason reason = upstream_message(
        upstream->plan, message, may_coalesce ? &upstream->coalesced : NULL, &upstream->next, &losses, fault);

    if (!reason)
        upstream_losses_report(&losses, upstream->session, upstream->activation);
    if (!reason && (upstream->next || upstream->coalesced))
        count_add(COUNT_MESSAGES_IN, 1);
    if (!reason && !upstream->next && upstream->coalesced)
        cq_add_early_post_poll_hook(cq_of(upstream), &upstream->offer_hook);
    else
        upstream_offer_waiting(upstream);
    return reason;
}

void upstream_offer_init(struct upstream *upstream)
{
    upstream->offer_hook.post_poll = on_turn_end;
    list_init(&upstream->offer_hook.link);
}
