/* wildcard_sweep.c - see wildcard_sweep.h. */
#include "hub/wildcard_sweep.h"

#include "flow/chan.h"
#include "hub/hub_internal.h"
#include "hub/subscription_internal.h"

void wildcard_sweep_add(struct subscription *subscription)
{
    struct hub *hub = subscription->hub;

    if (!subscription->wildcard.in_set || subscription->wildcard.abandoned)
        return;
    pthread_mutex_lock(&hub->wildcards.lock); /* no positions of it are read any more */
    wildcard_abandon(&hub->wildcards, &subscription->wildcard);
    pthread_mutex_unlock(&hub->wildcards.lock);
    if (subscription->unsubscribed) /* else the hub drains, and its stream goes on */
        chan_close(subscription->chan, LOSS_CONSUMER_GONE);
    subscription->ready.kind->retain(&subscription->ready);
    hub->adding_to_sweep = true;
    loop_slice_later(hub->loop, &hub->sweep);
    hub->adding_to_sweep = false;
}

bool wildcard_sweep_step(struct slice *slice)
{
    struct hub *hub = container_of(slice, struct hub, sweep);
    struct list gone, *node;

    list_init(&gone);
    pthread_mutex_lock(&hub->wildcards.lock);
    wildcard_sweep(&hub->wildcards, &gone);
    pthread_mutex_unlock(&hub->wildcards.lock);
    while ((node = list_first(&gone))) {
        struct subscription *subscription = container_of(node, struct subscription, wildcard.link);
        struct ready *ready = &subscription->ready;

        list_remove(node);
        ready_add(ready);
        ready->kind->release(ready);
    }
    if (!hub->adding_to_sweep)
        ready_run(&hub->ready);
    return false;
}
