/* positions.c - see positions.h. */
#include "hub/positions.h"

#include "flow/chan_report.h"
#include "hub/binding.h"
#include "hub/drained_positions.h"
#include "hub/hub_parts.h"
#include "hub/subscription_internal.h"
#include "route/wildcard.h"

/* A walk over the inlets of the wildcard set whose source has published, and those whose end is
 * still to be reported, or what the drain has noted in their place; over the bindings, and the
 * sources that were left. What stands in a list of nodes has an `at`: where the walk is. */
struct walk {
    const struct subscription *subscription;
    struct wildcard_set *set;
    bool is_in_set, has_begun;
    const struct list *inlets, *at_inlet, *reports, *at_report, *at_binding;
    uint32_t at_drained, at_left;
};

static void give(const struct source *from, const struct source **source_out, uint64_t *routed_out)
{
    *source_out = from;
    *routed_out = atomic_load_explicit(&from->routed, memory_order_acquire);
}

/* Under the channel's lock: nothing of a source that publishes from now on is in the channel. */
static void begin(struct walk *walk)
{
    wildcard_set_gather(walk->set);
    walk->inlets = &walk->set->published;
    walk->at_inlet = walk->is_in_set ? walk->inlets : walk->inlets->prev;
    walk->has_begun = true;
}

static bool next(void *ctx, const struct source **source_out, uint64_t *routed_out)
{
    struct walk *walk = ctx;
    const struct left_positions *left = &walk->subscription->left_positions;

    if (!walk->has_begun)
        begin(walk);
    while (walk->at_inlet->next != walk->inlets) {
        const struct inlet *inlet = container_of(walk->at_inlet->next, struct inlet, in_published);

        walk->at_inlet = walk->at_inlet->next;
        if (!wildcard_gets(&walk->subscription->wildcard, inlet))
            continue;
        give(inlet->source, source_out, routed_out);
        return true;
    }
    while (walk->at_report->next != walk->reports) {
        const struct inlet *inlet = container_of(walk->at_report->next, struct inlet, report.link);

        walk->at_report = walk->at_report->next;
        if (!wildcard_awaits_end(&walk->subscription->wildcard, &inlet->report))
            continue;
        give(inlet->source, source_out, routed_out);
        return true;
    }
    for (const struct drained_positions *all = walk->subscription->drained;
         all && walk->at_drained < all->count;) {
        const struct drained_position *position = &all->list[walk->at_drained++];

        if (walk->subscription->drained_index >= position->wildcard_count)
            continue;
        *source_out = position->source;
        *routed_out = position->sequence;
        return true;
    }
    if (walk->at_binding->next != &walk->subscription->bindings) {
        walk->at_binding = walk->at_binding->next;
        give(container_of(walk->at_binding, struct binding, link)->route.inlet->source, source_out,
             routed_out);
        return true;
    }
    if (walk->at_left == left->count)
        return false;
    *source_out = left->list[walk->at_left].source;
    *routed_out = left->list[walk->at_left++].sequence;
    return true;
}

/* ---- filtered events ---- */

/* A walk over the bindings whose filter looks into the events, and whose source has moved. */
struct filtered_walk {
    const struct list *bindings, *at_binding;
    struct binding *binding; /* that was given last */
    uint32_t given, max;
    void (*each)(void *ctx, const struct source *source, uint64_t sequence);
    void *ctx;
};

static bool next_filtered(void *ctx, const struct source **source_out, uint64_t *routed_out)
{
    struct filtered_walk *walk = ctx;

    while (walk->at_binding->next != walk->bindings) {
        struct binding *binding = container_of(walk->at_binding->next, struct binding, link);

        walk->at_binding = walk->at_binding->next;
        if (binding->route.part.answer != FILTER_BY_EVENT)
            continue;
        give(binding->route.inlet->source, source_out, routed_out);
        walk->binding = binding;
        if (*routed_out > binding->reported)
            return true;
    }
    return false;
}

static bool give_filtered(void *ctx, const struct source *source, uint64_t sequence)
{
    struct filtered_walk *walk = ctx;

    walk->binding->reported = sequence;
    walk->each(walk->ctx, source, sequence);
    return ++walk->given < walk->max;
}

uint32_t hub_filtered_positions(struct subscription *subscription, uint32_t max,
                                void (*each)(void *ctx, const struct source *source, uint64_t sequence),
                                void *ctx)
{
    struct wildcard_set *set = hub_wildcards(subscription->hub);
    struct filtered_walk walk = {.bindings = &subscription->bindings, .max = max, .each = each, .ctx = ctx};
    const struct chan_sources sources = {next_filtered, &walk};

    if (max == 0)
        return 0;
    wildcard_set_enter(set);
    walk.at_binding = walk.bindings;
    chan_idle_positions(subscription->chan, &sources, give_filtered, &walk);
    pthread_mutex_unlock(&set->lock);
    return walk.given;
}

uint64_t hub_positions(struct subscription *subscription,
                       bool (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx)
{
    struct wildcard_set *set = hub_wildcards(subscription->hub);
    struct walk walk = {.subscription = subscription, .set = set, .reports = &set->reports};
    const struct chan_sources sources = {next, &walk};
    uint64_t left_out;
    bool are_known;

    wildcard_set_enter(set);
    walk.is_in_set = subscription->wildcard.in_set && !subscription->drained;
    walk.at_report = walk.is_in_set ? walk.reports : walk.reports->prev;
    walk.at_binding = &subscription->bindings;
    are_known = chan_all_positions(subscription->chan, &sources, each, ctx);
    left_out = subscription->left_positions.left_out;
    pthread_mutex_unlock(&set->lock);
    return are_known ? left_out : POSITIONS_UNKNOWN;
}
