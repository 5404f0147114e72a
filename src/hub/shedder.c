/* shedder.c - see shedder.h.
 *
 * DESIGN. One turn of the loop is one round. It walks the subscriptions, adds up what each peer
 * pins, finds the channel that pins most, and lowers every channel to three quarters of that. So
 * the heaviest channels become equal, and small ones lose last. A round drops MAX_RANGES at most.
 * The rest is left to the next one.
 *
 * The task is posted at most once: `posted` stays true from the first notification until the budget
 * is no longer short. */
#include "hub/shedder.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/peer_share.h"
#include "event/chunk.h"
#include "flow/chan.h"
#include "hub/hub_parts.h"
#include "hub/subscription_internal.h"
#include "loop/loop.h"
#include "route/history.h"

#define MAX_RANGES 2048u /* that are dropped in one turn, and as many chunks of history */

/* When it looks again after a round that found nothing: at least so much later, and so many times
 * as long as the round took. So it uses a hundredth of the loop's time at most. */
#define RETRY_NS (50 * NS_PER_MS)
#define RETRY_ROUNDS 100

#define LOG_EVERY_NS NS_PER_S

struct shedder {
    /* Any thread. */
    struct budget_callbacks callbacks;
    _Atomic bool posted; /* `task` is posted or `timer` is armed: the budget is being looked after */
    struct task task;

    /* Loop only. */
    struct loop *loop;
    struct sorted *subscriptions;
    struct timer timer;
    bool freed;
    uint64_t ranges; /* dropped and not logged yet */
    int64_t logged_at_ns;
};

static void is_short(struct budget_callbacks *callbacks)
{
    struct shedder *shedder = container_of(callbacks, struct shedder, callbacks);

    if (!atomic_exchange(&shedder->posted, true))
        loop_post(shedder->loop, &shedder->task);
}

static struct subscription *subscription_at(struct sorted_node *node)
{
    return container_of(node, struct subscription, by_id);
}

static bool above_share(const struct shedder *shedder, const struct peer_count *peer)
{
    return (uint64_t)peer->bytes > peer_share(loop_settings(shedder->loop), budget_limit(), peer->peer);
}

/* Adds up what the peers pin. Returns true where one of them is above its share. */
static bool add_up(struct shedder *shedder)
{
    bool above = false;

    sorted_each(node, shedder->subscriptions)
    {
        struct subscription *subscription = subscription_at(node);

        subscription->charge->bytes += (int64_t)chan_sheddable(subscription->chan);
        above = above || above_share(shedder, subscription->charge);
    }
    return above;
}

/* What the channel would give, so far as it is its turn. */
static uint64_t sheddable(const struct shedder *shedder, const struct subscription *subscription, bool above)
{
    return !above || above_share(shedder, subscription->charge) ? chan_sheddable(subscription->chan) : 0;
}

/* Idle channels give back the memory of their entries. */
static void trim(struct shedder *shedder)
{
    sorted_each(node, shedder->subscriptions) chan_trim(subscription_at(node)->chan);
}

/* One round. Returns how many ranges it dropped. */
static uint32_t shed(struct shedder *shedder)
{
    bool above = add_up(shedder);
    uint64_t level = 0;
    uint32_t dropped = 0;

    sorted_each(node, shedder->subscriptions) level =
        MAX_OF(level, sheddable(shedder, subscription_at(node), above));
    level -= MIN_OF(level, level / 4 + 1);
    sorted_each(node, shedder->subscriptions)
    {
        struct subscription *subscription = subscription_at(node);

        if (dropped < MAX_RANGES && sheddable(shedder, subscription, above) > level)
            dropped += chan_shed(subscription->chan, level, MAX_RANGES - dropped);
    }
    sorted_each(node, shedder->subscriptions) subscription_at(node)->charge->bytes = 0;
    return dropped;
}

static void log_shed(struct shedder *shedder, int64_t now_ns)
{
    if (shedder->ranges == 0 || now_ns - shedder->logged_at_ns < LOG_EVERY_NS)
        return;
    log_write(LOG_WARN, "budget.shed", LOG_NUMBER("ranges", shedder->ranges),
              LOG_NUMBER("used", budget_used()), LOG_NUMBER("limit", budget_limit()));
    shedder->ranges = 0;
    shedder->logged_at_ns = now_ns;
}

static void rest(struct shedder *shedder)
{
    log_shed(shedder, clock_mono_ns());
    atomic_store(&shedder->posted, false);
    if (budget_is_short())
        is_short(&shedder->callbacks); /* a notification may have come just before */
}

static void run(struct task *task)
{
    struct shedder *shedder = container_of(task, struct shedder, task);
    uint64_t enough = budget_limit() / 4 * 3;
    int64_t began_ns = clock_mono_ns(), retry_ns;
    uint32_t dropped = 0;

    if (shedder->freed) {
        free(shedder);
        return;
    }
    if (budget_used() > enough)
        dropped = history_shed(MAX_RANGES);
    if (dropped == 0 && budget_used() > enough)
        trim(shedder);
    if (dropped == 0 && budget_used() > enough)
        dropped = shed(shedder);
    shedder->ranges += dropped;
    retry_ns = MAX_OF(RETRY_NS, RETRY_ROUNDS * (clock_mono_ns() - began_ns));
    if (budget_used() <= enough)
        rest(shedder);
    else if (dropped > 0 || timer_start(shedder->loop, &shedder->timer, retry_ns) != ERR_OK)
        loop_post(shedder->loop, task);
}

static void retry(struct timer *timer)
{
    rest(container_of(timer, struct shedder, timer));
}

struct shedder *shedder_new(struct hub *hub)
{
    struct shedder *shedder = calloc(1, sizeof(*shedder));

    if (!shedder)
        return NULL;
    shedder->callbacks.is_short = is_short;
    shedder->task.run = run;
    shedder->timer.fired = retry;
    shedder->loop = hub_loop(hub);
    shedder->subscriptions = hub_subscriptions_by_id(hub);
    shedder->logged_at_ns = clock_mono_ns() - LOG_EVERY_NS;
    budget_notify(&shedder->callbacks);
    return shedder;
}

/* Where the task is posted, it frees the shedder. */
void shedder_free(struct shedder *shedder)
{
    if (!shedder)
        return;
    budget_notify(NULL);
    shedder->freed = true;
    if (shedder->timer.loop) {
        timer_stop(&shedder->timer);
        free(shedder);
    } else if (!atomic_exchange(&shedder->posted, true)) {
        free(shedder);
    }
}
