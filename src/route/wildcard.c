/* wildcard.c - see wildcard.h. */
#include "route/wildcard.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "flow/shared_feed.h"
#include "route/inlet_report.h"
#include "route/route.h"

#define FIRST_CAPACITY 8u

void wildcard_set_init(struct wildcard_set *set, void (*reported)(struct inlet *inlet))
{
    *set = (struct wildcard_set){.reported = reported};
    CHECK(pthread_mutex_init(&set->lock, NULL) == 0 && pthread_mutex_init(&set->others, NULL) == 0);
    list_init(&set->inlets);
    list_init(&set->published);
    list_init(&set->reports);
    list_init(&set->abandoned);
}

void wildcard_set_fini(struct wildcard_set *set)
{
    CHECK(set->count == 0 && list_empty(&set->inlets) && list_empty(&set->published) &&
          list_empty(&set->reports));
    free(set->present);
    free(set->spare);
    pthread_mutex_destroy(&set->lock);
    pthread_mutex_destroy(&set->others);
}

void wildcard_set_enter(struct wildcard_set *set)
{
    pthread_mutex_lock(&set->others);
    pthread_mutex_lock(&set->lock);
    pthread_mutex_unlock(&set->others);
}

/* Makes the spare list the present one. The caller then hands it over to each inlet. */
static void swap(struct wildcard_set *set)
{
    struct wildcard_entry *before = set->present;

    set->present = set->spare;
    set->spare = before;
}

/* ---- sources that have published ---- */

void wildcard_set_published(struct inlet *inlet)
{
    struct wildcard_set *set = inlet->silent_in;
    struct inlet *newest = atomic_load_explicit(&set->newly_published, memory_order_relaxed);

    inlet->silent_in = NULL;
    do
        inlet->next_published = newest;
    while (!atomic_compare_exchange_weak_explicit(&set->newly_published, &newest, inlet, memory_order_release,
                                                  memory_order_relaxed));
}

void wildcard_set_gather(struct wildcard_set *set)
{
    struct inlet *inlet;

    if (!atomic_load_explicit(&set->newly_published, memory_order_relaxed))
        return;
    inlet = atomic_exchange_explicit(&set->newly_published, NULL, memory_order_acquire);
    for (; inlet; inlet = inlet->next_published)
        list_append(&set->published, &inlet->in_published);
}

/* ---- inlets ---- */

void wildcard_set_add_inlet(struct wildcard_set *set, struct inlet *inlet)
{
    set->common_inlets++;
    count_add(COUNT_LIVE_ROUTES, set->count);
    pthread_mutex_lock(&set->lock);
    pthread_mutex_lock(&inlet->lock);
    inlet->wildcards = set->present;
    inlet->wildcard_count = set->count;
    if (inlet->last_sequence > 0)
        list_append(&set->published, &inlet->in_published);
    else
        inlet->silent_in = set;
    pthread_mutex_unlock(&inlet->lock);
    list_append(&set->inlets, &inlet->in_set);
    set->inlet_count++;
    inlet_report_begin(set, inlet);
    pthread_mutex_unlock(&set->lock);
}

void wildcard_set_remove_inlet(struct wildcard_set *set, struct inlet *inlet, const struct source_state *end)
{
    const uint32_t count = inlet->wildcard_count;

    if (list_empty(&inlet->in_set))
        return;
    pthread_mutex_lock(&set->lock);
    list_remove(&inlet->in_set);
    inlet->out_of_set = ++set->removals;
    set->inlet_count--;
    pthread_mutex_lock(&inlet->lock);
    inlet->wildcards = NULL;
    inlet->wildcard_count = 0;
    inlet->silent_in = NULL;
    pthread_mutex_unlock(&inlet->lock);
    wildcard_set_gather(set);
    list_remove(&inlet->in_published);
    inlet_report_end(set, inlet, count, end);
    pthread_mutex_unlock(&set->lock);
    set->common_inlets--;
    for (uint32_t i = count; i < set->count; i++)
        set->present[i].wildcard->own_inlets++; /* it came when the inlet took no more */
    count_add(COUNT_LIVE_ROUTES, -(int64_t)count);
}

/* ---- wildcards ---- */

/* Each inlet keeps its part of the list. */
static void hand_over_list(const struct wildcard_set *set)
{
    list_each(node, safe, &set->inlets) {
        struct inlet *inlet = container_of(node, struct inlet, in_set);

        pthread_mutex_lock(&inlet->lock);
        inlet->wildcards = set->present;
        pthread_mutex_unlock(&inlet->lock);
    }
}

/* Makes space for one more wildcard in the spare list. The present one is replaced soon. */
static enum err reserve(struct wildcard_set *set)
{
    uint32_t capacity = MAX_OF(set->capacity * 2, FIRST_CAPACITY);
    struct wildcard_entry *spare, *present, *before;

    if (set->count < set->capacity)
        return ERR_OK;
    spare = calloc(capacity, sizeof(*spare));
    present = calloc(capacity, sizeof(*present));
    if (!spare || !present) {
        free(spare);
        free(present);
        return ERR_NO_MEMORY;
    }
    if (set->count > 0)
        memcpy(present, set->present, set->count * sizeof(*present));
    before = set->present;
    set->present = present;
    hand_over_list(set);
    free(before);
    free(set->spare);
    set->spare = spare;
    set->capacity = capacity;
    return ERR_OK;
}

/* Puts a wildcard at the end of the list. There is space. */
static void put_in(struct wildcard_set *set, struct wildcard *wildcard, struct chan *chan)
{
    *wildcard = (struct wildcard){
        .chan = chan, .own_inlets = 0 - set->common_inlets, .index = set->count, .in_set = true};
    list_init(&wildcard->link);
    if (set->count > 0)
        memcpy(set->spare, set->present, set->count * sizeof(*set->spare));
    set->spare[set->count++] = (struct wildcard_entry){chan, wildcard};
    swap(set);
}

/* Whether the states of all inlets that join are more than a channel reports. */
static bool has_many(const struct wildcard_set *set, bool (*joins)(const struct inlet *inlet))
{
    uint32_t count = 0;

    if (set->inlet_count <= MAX_SHARED_STATES)
        return false;
    list_each(node, safe, &set->inlets) {
        if (joins(container_of(node, struct inlet, in_set)) && ++count > MAX_SHARED_STATES)
            return true;
    }
    return false;
}

enum err wildcard_add(struct wildcard_set *set, struct wildcard *wildcard, struct chan *chan,
                      bool (*joins)(const struct inlet *inlet))
{
    if (reserve(set) != ERR_OK)
        return ERR_NO_MEMORY;
    put_in(set, wildcard, chan);
    if (has_many(set, joins))
        shared_begin_many(chan); /* the channel makes no feeds for the states of the first ones */
    list_each(node, safe, &set->inlets) {
        struct inlet *inlet = container_of(node, struct inlet, in_set);
        bool may_join = joins(inlet);

        pthread_mutex_lock(&inlet->lock);
        inlet->wildcards = set->present;
        if (may_join) {
            inlet->wildcard_count = set->count;
            wildcard->own_inlets++;
            shared_state(chan, inlet->source, &inlet->source_state);
        }
        pthread_mutex_unlock(&inlet->lock);
    }
    count_add(COUNT_LIVE_ROUTES, wildcard_inlets(set, wildcard));
    return ERR_OK;
}

enum err wildcard_take_over(struct wildcard_set *set, struct wildcard *wildcard, struct chan *chan,
                            struct route *(*next_route)(void *ctx), void *ctx)
{
    struct route *route;

    if (reserve(set) != ERR_OK)
        return ERR_NO_MEMORY;
    put_in(set, wildcard, chan);
    hand_over_list(set);
    while ((route = next_route(ctx))) {
        struct inlet *inlet = route->inlet;

        /* The others have left the set, or have no new wildcards since they close. */
        if (list_empty(&inlet->in_set) || inlet->wildcard_count != wildcard->index)
            continue;
        pthread_mutex_lock(&inlet->lock);
        route_hand_over(route);
        inlet->wildcard_count++;
        pthread_mutex_unlock(&inlet->lock);
        wildcard->own_inlets++;
    }
    count_add(COUNT_LIVE_ROUTES, wildcard_inlets(set, wildcard));
    return ERR_OK;
}

/* Takes the wildcard out of the list. */
static void take_out(struct wildcard_set *set, struct wildcard *wildcard, bool hears)
{
    const uint32_t index = wildcard->index;

    inlet_reports_leave(set, wildcard, hears);
    list_remove(&wildcard->link);
    wildcard->abandoned = false;
    if (index > 0)
        memcpy(set->spare, set->present, index * sizeof(*set->spare));
    set->count--;
    if (set->count > index)
        memcpy(set->spare + index, set->present + index + 1, (set->count - index) * sizeof(*set->spare));
    swap(set);
    for (uint32_t i = index; i < set->count; i++)
        set->present[i].wildcard->index = i;
    count_add(COUNT_LIVE_ROUTES, -(int64_t)wildcard_inlets(set, wildcard));
    wildcard->in_set = false;
}

/* An inlet that the wildcard could not join has an older and shorter part of the list. */
static bool hand_over(const struct wildcard_set *set, const struct wildcard *wildcard, struct inlet *inlet)
{
    bool had = wildcard->index < inlet->wildcard_count;

    inlet->wildcards = set->present;
    inlet->wildcard_count -= had;
    return had;
}

void wildcard_remove(struct wildcard_set *set, struct wildcard *wildcard, bool hears,
                     void (*left)(void *ctx, struct inlet *inlet), void *ctx)
{
    if (!wildcard->in_set)
        return;
    take_out(set, wildcard, hears);
    list_each(node, safe, &set->inlets) {
        struct inlet *inlet = container_of(node, struct inlet, in_set);

        pthread_mutex_lock(&inlet->lock);
        if (hand_over(set, wildcard, inlet))
            left(ctx, inlet);
        pthread_mutex_unlock(&inlet->lock);
    }
}

void wildcard_abandon(struct wildcard_set *set, struct wildcard *wildcard)
{
    if (!wildcard->in_set || wildcard->abandoned)
        return;
    wildcard->abandoned = true;
    list_append(&set->abandoned, &wildcard->link);
}

/* Makes the list without the abandoned wildcards the present one. These have the index of the one
 * behind them now. */
static void leave_out_abandoned(struct wildcard_set *set)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < set->count; i++) {
        struct wildcard *wildcard = set->present[i].wildcard;

        wildcard->index = count;
        if (!wildcard->abandoned)
            set->spare[count++] = set->present[i];
    }
    set->count = count;
    swap(set);
}

/* Where the first wildcard from `place` on of the list before, of `count`, stands in the present
 * one. */
static uint32_t place_now(const struct wildcard_set *set, uint32_t place, uint32_t count)
{
    return place < count ? set->spare[place].wildcard->index : set->count;
}

void wildcard_sweep(struct wildcard_set *set, struct list *gone)
{
    const uint32_t count = set->count;
    struct list *node;

    if (list_empty(&set->abandoned))
        return;
    leave_out_abandoned(set);
    list_each(other, safe, &set->inlets) {
        struct inlet *inlet = container_of(other, struct inlet, in_set);

        pthread_mutex_lock(&inlet->lock);
        inlet->wildcards = set->present;
        inlet->wildcard_count = place_now(set, inlet->wildcard_count, count);
        pthread_mutex_unlock(&inlet->lock);
    }
    list_each(due, next, &set->reports) {
        struct inlet_report *report = &container_of(due, struct inlet, report.link)->report;

        report->next = place_now(set, report->next, count);
        report->count = place_now(set, report->count, count);
        report->again = place_now(set, report->again, count);
    }
    while ((node = list_first(&set->abandoned))) {
        struct wildcard *wildcard = container_of(node, struct wildcard, link);

        count_add(COUNT_LIVE_ROUTES, -(int64_t)wildcard_inlets(set, wildcard));
        wildcard->in_set = wildcard->abandoned = false;
        list_remove(node);
        list_append(gone, node);
    }
}
