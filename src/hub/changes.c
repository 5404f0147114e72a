/* changes.c - see changes.h. */
#include "hub/changes.h"

#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "event/glob.h"
#include "hub/hub_internal.h"
#include "hub/producer_change.h"
#include "hub/producer_internal.h"

/* Changes that one call shows, and that it looks at. */
#define STEP_CHANGES 16u
#define STEP_LOOKS 64u

/* ---- the snapshot ---- */

static void enter_phase(struct changes *changes, enum changes_phase phase)
{
    changes->phase = phase;
    changes->list = (struct hub_list){.pattern = changes->params.pattern, .left = UINT32_MAX};
}

/* The producer's state is noted as it is shown. So nobody hears the same state as a change
 * afterwards. */
static void on_producer(void *ctx, const struct producer_view *view)
{
    struct changes *changes = ctx;

    producer_shown(registry_find(&changes->hub->registry, view->name), view);
    changes->params.port->producer(changes->params.ctx, view);
}

static void on_subscription(void *ctx, const struct subscription_view *view)
{
    struct changes *changes = ctx;

    if (view->is_added)
        changes->params.port->subscription(changes->params.ctx, view);
}

/* Shows a portion of the snapshot. What has changed since the last call was shown before. */
static void show_portion(struct changes *changes)
{
    changes->list.left = UINT32_MAX;
    switch (changes->phase) {
    case CHANGES_PRODUCERS:
        if (!hub_producers(changes->hub, &changes->list, on_producer, changes) && !changes->list.more)
            enter_phase(changes, changes->params.subscriptions ? CHANGES_SUBSCRIPTIONS : CHANGES_COMPLETE);
        break;
    case CHANGES_SUBSCRIPTIONS:
        if (!hub_subscriptions(changes->hub, &changes->list, on_subscription, changes))
            enter_phase(changes, CHANGES_COMPLETE);
        break;
    case CHANGES_COMPLETE:
    case CHANGES_LIVE:
        break;
    }
    /* Nothing has changed meanwhile but what on_producer() has noted and shown. */
    change_log_skip(changes->hub->change_log, &changes->reader);
}

void changes_full(struct changes *changes)
{
    changes->list.left = 0;
}

/* ---- changes ---- */

static int compare(struct bytes a, struct bytes b)
{
    const size_t size = MIN_OF(a.size, b.size);
    const int order = size > 0 ? memcmp(a.data, b.data, size) : 0;

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Whether the walk has passed what the change is about. */
static bool is_passed(const struct changes *changes, const struct change *change)
{
    const enum changes_phase phase = change->is_subscription ? CHANGES_SUBSCRIPTIONS : CHANGES_PRODUCERS;

    if (changes->phase != phase)
        return changes->phase > phase;
    return compare(change->name, walk_name_get(&changes->list.after)) <= 0;
}

static bool is_wanted(const struct changes *changes, const struct change *change, const struct glob *glob)
{
    if (change->is_subscription ? !changes->params.subscriptions : !glob_matches(glob, change->name))
        return false;
    return is_passed(changes, change);
}

/* Shows some of the changes that wait. Returns whether more may wait. */
static bool show_changes(struct changes *changes)
{
    SCRATCH uint64_t masks[MAX_GLOB_MASKS];
    const struct glob glob = glob_compile(changes->params.pattern, masks);

    for (unsigned i = 0, shown = 0; i < STEP_LOOKS && shown < STEP_CHANGES; i++) {
        const struct change *change = change_log_next(changes->hub->change_log, &changes->reader);

        if (!change)
            return false;
        if (!is_wanted(changes, change, &glob))
            continue;
        changes->params.port->change(changes->params.ctx, change);
        shown++;
    }
    return true;
}

bool changes_read(struct changes *changes)
{
    const uint64_t missed = change_log_missed(changes->hub->change_log, &changes->reader);

    if (missed > 0) {
        enter_phase(changes, changes->params.snapshot ? CHANGES_PRODUCERS : CHANGES_COMPLETE);
        changes->params.port->missed(changes->params.ctx, missed);
        return true;
    }
    if (changes->phase == CHANGES_COMPLETE) {
        changes->phase = CHANGES_LIVE;
        changes->params.port->complete(changes->params.ctx);
        return true;
    }
    if (show_changes(changes))
        return true;
    if (changes->phase != CHANGES_LIVE) {
        show_portion(changes);
        return true;
    }
    change_log_wait(changes->hub->change_log, &changes->reader);
    return false;
}

/* ---- opening and closing ---- */

static void on_readable(struct change_reader *reader)
{
    struct changes *changes = container_of(reader, struct changes, reader);

    changes->params.port->readable(changes->params.ctx);
}

static enum fault_reason check(struct hub *hub, const struct changes_params *params, struct fault *fault)
{
    const struct settings *settings = loop_settings(hub->loop);
    char bound[32];

    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (peer_share_check(&hub->watch_peers, settings, MAX_WATCHES, params->peer, FAULT_PEER_WATCHES, fault) !=
        FAULT_NONE)
        return fault->reason;
    if (hub->watch_count < MAX_WATCHES)
        return FAULT_NONE;
    snprintf(bound, sizeof(bound), "at most %u", MAX_WATCHES);
    return fault_number(fault, FAULT_TOO_MANY_WATCHES, NULL, hub->watch_count, bound);
}

enum fault_reason changes_open(struct hub *hub, struct changes *changes, const struct changes_params *params,
                               struct fault *fault)
{
    struct peer_count *charge;

    if (check(hub, params, fault) != FAULT_NONE)
        return fault->reason;
    charge = peer_counts_add(&hub->watch_peers, params->peer);
    *changes = (struct changes){.hub = hub, .params = *params, .reader.readable = on_readable};
    if (!charge || change_log_begin(hub->change_log, &changes->reader) != ERR_OK) {
        peer_counts_remove(&hub->watch_peers, charge);
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    }
    changes->charge = charge;
    enter_phase(changes, params->snapshot ? CHANGES_PRODUCERS : CHANGES_COMPLETE);
    hub->watch_count++;
    count_add(COUNT_LIVE_WATCHES, 1);
    producer_sampler_start(hub->producer_sampler);
    return FAULT_NONE;
}

void changes_close(struct changes *changes)
{
    struct hub *hub = changes->hub;

    change_log_end(hub->change_log, &changes->reader);
    peer_counts_remove(&hub->watch_peers, changes->charge);
    count_add(COUNT_LIVE_WATCHES, -1);
    if (--hub->watch_count == 0)
        producer_sampler_stop(hub->producer_sampler);
}
