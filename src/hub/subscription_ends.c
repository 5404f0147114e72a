/* subscription_ends.c - see subscription_ends.h. */
#include "hub/subscription_ends.h"

#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/subscription_internal.h"

/* Activations whose end one step requests. */
#define STEP_ENDS 64u

/* How its activations end that have not ended by themselves. */
static struct ending ending_of(const struct subscription *subscription)
{
    const enum fault_reason left_reason = subscription->left_reason;

    if (!subscription->unsubscribed)
        return (struct ending){
            .reason = subscription->ctx.reason, .state = PRODUCER_ENDED, .notify = true, .expired = true};
    return (struct ending){.reason = left_reason != FAULT_NONE ? left_reason : FAULT_FINISHED,
                           .state = PRODUCER_ENDED,
                           .notify = true};
}

bool subscription_end_some(struct subscription *subscription)
{
    const struct ending ending = ending_of(subscription);
    struct list *node;

    for (uint32_t left = STEP_ENDS; left > 0 && (node = list_first(&subscription->to_end)); left--) {
        list_remove(node);
        list_append(&subscription->activations, node);
        activation_request_end(container_of(node, struct activation, in_subscription), &ending);
    }
    return !list_empty(&subscription->to_end);
}

void subscription_end_activations(struct subscription *subscription)
{
    list_move_all(&subscription->activations, &subscription->to_end);
    if (subscription_end_some(subscription))
        ready_add(&subscription->ready);
}
