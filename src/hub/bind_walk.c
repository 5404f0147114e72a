/* bind_walk.c - binds a new subscription and every producer that it wants, in slices. The
 * positions of an earlier stream are sorted before that, and its sources that are gone are reported
 * after it, in slices too.
 *
 * The walk goes by the producers' names, and remembers the last one. Producers come and go in
 * between. One that was bound after the positions were sorted has bound the subscription itself,
 * with the same start point, so the walk leaves it out. Activations are created on the way, and
 * begin at the end. */
#include "hub/bind_walk.h"

#include <stdlib.h>

#include "base/ctx.h"
#include "flow/chan.h"
#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/bind.h"
#include "hub/bindings_wildcard.h"
#include "hub/called.h"
#include "hub/hub.h"
#include "hub/hub_parts.h"
#include "hub/walk_name.h"
#include "hub/producer_internal.h"
#include "hub/reader.h"
#include "hub/rebind.h"
#include "hub/registry.h"
#include "hub/subscription_internal.h"
#include "route/inlet.h"
#include "route/resume.h"
#include "route/route.h"
#include "route/wildcard.h"

/* Producers of one step, or sources that may be gone. A producer that puts its history costs as
 * much as many others. */
#define STEP_PRODUCERS 8u
/* Positions of an earlier stream that are sorted in one step. */
#define STEP_POSITIONS 64u

struct bind_walk {
    struct slice slice;
    struct subscription *subscription;
    struct resume *resume; /* NULL: live */
    struct start_point start_point;
    struct list created;
    bool all_bound; /* what is left are the sources that are gone */
    bool waits;     /* later portions follow */
    bool over;
    enum err err;
    struct walk_name after; /* the last producer */
};

/* The walk is over, or nothing comes of it. */
static void walk_free(struct bind_walk *walk)
{
    walk->subscription->walk = NULL;
    walk->subscription->start_point = NULL;
    walk->subscription->binds_later = false;
    resume_free(walk->resume);
    free(walk);
}

/* Sorts some positions. Returns whether more are left. */
static bool sort_some(struct bind_walk *walk)
{
    struct subscription *subscription = walk->subscription;

    if (!subscription->binds_later)
        return false;
    if (resume_sort(walk->resume, STEP_POSITIONS))
        return true;
    subscription->binds_later = false;
    subscription->bound_until = hub_registry(subscription->hub)->bound;
    return false;
}

static enum err bind_one(struct bind_walk *walk, struct producer *producer)
{
    if (walk->start_point.last > 0)
        inlet_keep_history(&producer->inlet, NULL);
    if (producer->bound > walk->subscription->bound_until || !producer->kind->joinable(producer))
        return ERR_OK;
    return bind_pair(producer, walk->subscription, &walk->start_point, &walk->created);
}

/* Binds some producers. Returns whether more are left. */
static bool bind_some(struct bind_walk *walk)
{
    struct registry *registry = hub_registry(walk->subscription->hub);
    struct producer *producer = registry_after(registry, walk_name_get(&walk->after));
    uint32_t left = walk->start_point.last > 0 ? 1 : STEP_PRODUCERS;

    while (producer && walk->err == ERR_OK) {
        struct producer *next = registry_next(producer);

        walk->err = bind_one(walk, producer);
        if (--left == 0 && next)
            walk_name_set(&walk->after, producer->name.key);
        if (left == 0 && next)
            return walk->err == ERR_OK;
        producer = next;
    }
    return false;
}

/* Reports some sources that are gone. Returns whether more are left. */
static bool report_some(struct bind_walk *walk)
{
    struct subscription *subscription = walk->subscription;
    bool more = false;

    if (walk->err == ERR_OK && walk->resume)
        walk->err =
            resume_report_lost_sources(walk->resume, subscription->chan, subscription->filter,
                                       &hub_registry(subscription->hub)->producers, STEP_PRODUCERS, &more);
    return more;
}

static void bound(struct bind_walk *walk)
{
    struct called *called = walk->subscription->called;

    readers_bound(walk->subscription);
    bindings_become_wildcard(walk->subscription);
    rebind_clear(walk->subscription);
    if (called) {
        /* Its end is due when they have ended, also where none of them could begin. */
        walk->subscription->begun |= called->selected > 0;
        ready_add(&walk->subscription->ready);
        called->is_walked = true;
    }
    if (called && called_is_refused(called))
        activations_discard(&walk->created, PRODUCER_ENDED);
    else
        activations_begin(&walk->created);
}

/* The walk ends early. The positions of sources that were not bound are in no token from now on,
 * and the tokens say so. */
static void leave_out_the_rest(struct bind_walk *walk)
{
    struct subscription *subscription = walk->subscription;
    struct wildcard_set *set = hub_wildcards(subscription->hub);

    if (!walk->resume)
        return;
    pthread_mutex_lock(&set->lock);
    subscription->left_positions.left_out++;
    pthread_mutex_unlock(&set->lock);
}

/* Every later portion ends here. The port is told; what is in its way comes before. In a drain of
 * the hub nothing more is bound: the subscription ends anyway. */
static void over(struct bind_walk *walk)
{
    struct subscription *subscription = walk->subscription;
    const bool failed = walk->err != ERR_OK;

    if (failed || hub_draining(subscription->hub))
        activations_discard(&walk->created, PRODUCER_ENDED);
    else
        bound(walk);
    walk_free(walk);
    subscription->bound_due = true;
    ready_call(&subscription->ready);
    if (failed)
        ctx_cancel(&subscription->ctx, FAULT_MEMORY_BUDGET); /* it has no walk any more */
    ready_run(subscription->ready.list);
}

static bool step(struct slice *slice)
{
    struct bind_walk *walk = container_of(slice, struct bind_walk, slice);

    if (hub_draining(walk->subscription->hub)) {
        leave_out_the_rest(walk);
    } else {
        if (sort_some(walk))
            return true;
        if (!walk->all_bound && bind_some(walk))
            return true;
        walk->all_bound = true;
        if (report_some(walk))
            return true;
    }
    walk->over = true;
    if (walk->waits)
        over(walk);
    return false;
}

static enum resume_others others_of(const struct bind_start *start)
{
    if (start->resume_others_live)
        return RESUME_OTHERS_LIVE;
    return start->resume_left_out == 0 ? RESUME_OTHERS_NEW : RESUME_OTHERS_UNKNOWN;
}

static bool joins(const struct inlet *inlet)
{
    const struct producer *producer = container_of(inlet, struct producer, inlet);

    return producer->kind->joinable(producer);
}

/* Whoever calls a method of producers wants their answers, and no events of others.
 *
 * A subscription that wants everything, and nothing of the time before, becomes a wildcard at once:
 * some 50 ns for each shared producer. The walk then binds the others. What is wanted of the time
 * before may be much work, so such a subscription gets bindings in portions, and becomes a wildcard
 * at the end. */
static enum err join_wildcards(struct subscription *subscription, const struct bind_start *start)
{
    struct wildcard_set *set = hub_wildcards(subscription->hub);
    enum err err;

    if (start->resume || start->last > 0 || subscription->called ||
        !filter_wants_everything(subscription->filter))
        return ERR_OK;
    pthread_mutex_lock(&set->lock);
    chan_change_over(subscription->chan, subscription->generation, true, 0);
    err = wildcard_add(set, &subscription->wildcard, subscription->chan, joins);
    pthread_mutex_unlock(&set->lock);
    return err;
}

enum err bind_walk_begin(struct subscription *subscription, const struct bind_start *start)
{
    struct registry *registry = hub_registry(subscription->hub);
    struct bind_walk *walk = calloc(1, sizeof(*walk));
    enum err err;

    if (!walk)
        return ERR_NO_MEMORY;
    walk->subscription = subscription;
    subscription->bound_until = registry->bound;
    list_init(&walk->created);
    slice_init(&walk->slice, step);
    if (start->resume)
        walk->resume = resume_new(start->resume, start->resume_count, others_of(start));
    if (start->resume && !walk->resume) {
        walk_free(walk);
        return ERR_NO_MEMORY;
    }
    if (start->last > 0)
        registry_keep_history(registry);
    walk->start_point = (struct start_point){.resume = walk->resume,
                                             .last = start->last,
                                             .stored_start = start->stored_start,
                                             .stored_value = start->stored_value};
    if (join_wildcards(subscription, start) != ERR_OK) {
        walk_free(walk);
        return ERR_NO_MEMORY;
    }
    walk->all_bound = subscription->wildcard.in_set && registry->unshared == 0;
    subscription->walk = walk;
    subscription->start_point = &walk->start_point;
    subscription->binds_later = !!walk->resume;
    if (!start->at_once)
        loop_slice(hub_loop(subscription->hub), &walk->slice);
    while (start->at_once && !walk->over)
        (void)step(&walk->slice);
    err = walk->err;
    if (err != ERR_OK)
        bind_walk_stop(subscription);
    return err;
}

bool bind_walk_go_on(struct subscription *subscription)
{
    struct bind_walk *walk = subscription->walk;

    if (!walk->over) {
        walk->waits = true;
        return false;
    }
    bound(walk);
    walk_free(walk);
    return true;
}

void bind_walk_stop(struct subscription *subscription)
{
    struct bind_walk *walk = subscription->walk;

    if (!walk)
        return;
    slice_stop(&walk->slice);
    if (!walk->over)
        leave_out_the_rest(walk);
    list_move_all(&walk->created, &subscription->activations); /* they end with it */
    subscription->bound_due = walk->waits;
    walk_free(walk);
}
