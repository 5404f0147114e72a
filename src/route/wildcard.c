/* wildcard.c - see wildcard.h. */
#include "route/wildcard.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "flow/producer_state.h"
#include "flow/shared_feed.h"
#include "route/route.h"

#define FIRST_CAPACITY 8u

void wildcard_set_init(struct wildcard_set *set)
{
    *set = (struct wildcard_set){0};
    CHECK(pthread_mutex_init(&set->lock, NULL) == 0);
    list_init(&set->inlets);
}

void wildcard_set_fini(struct wildcard_set *set)
{
    CHECK(set->count == 0 && list_empty(&set->inlets));
    free(set->present);
    free(set->spare);
    pthread_mutex_destroy(&set->lock);
}

/* Makes the spare list the present one. The caller then hands it over to each inlet. */
static void swap(struct wildcard_set *set)
{
    struct wildcard_entry *before = set->present;

    set->present = set->spare;
    set->spare = before;
}

/* ---- inlets ---- */

void wildcard_set_add_inlet(struct wildcard_set *set, struct inlet *inlet)
{
    for (uint32_t i = 0; i < set->count; i++) {
        shared_begin(set->present[i].chan, inlet->source, PRODUCER_ACTIVE);
        set->present[i].wildcard->inlet_count++;
    }
    count_add(COUNT_LIVE_ROUTES, set->count);
    pthread_mutex_lock(&inlet->lock);
    inlet->wildcards = set->present;
    inlet->wildcard_count = set->count;
    pthread_mutex_unlock(&inlet->lock);
    pthread_mutex_lock(&set->lock);
    list_append(&set->inlets, &inlet->in_set);
    pthread_mutex_unlock(&set->lock);
}

void wildcard_set_remove_inlet(struct wildcard_set *set, struct inlet *inlet, uint32_t state, uint32_t code,
                               const char *message)
{
    uint32_t count = inlet->wildcard_count;

    if (list_empty(&inlet->in_set))
        return;
    pthread_mutex_lock(&set->lock);
    list_remove(&inlet->in_set);
    pthread_mutex_unlock(&set->lock);
    pthread_mutex_lock(&inlet->lock);
    inlet->wildcards = NULL;
    inlet->wildcard_count = 0;
    pthread_mutex_unlock(&inlet->lock);
    for (uint32_t i = 0; i < count; i++) {
        shared_end(set->present[i].chan, inlet->source, state, code, message);
        set->present[i].wildcard->inlet_count--;
    }
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
    *wildcard = (struct wildcard){.chan = chan, .index = set->count, .in_set = true};
    if (set->count > 0)
        memcpy(set->spare, set->present, set->count * sizeof(*set->spare));
    set->spare[set->count++] = (struct wildcard_entry){chan, wildcard};
    swap(set);
}

enum err wildcard_add(struct wildcard_set *set, struct wildcard *wildcard, struct chan *chan,
                      bool (*joins)(const struct inlet *inlet))
{
    if (reserve(set) != ERR_OK)
        return ERR_NO_MEMORY;
    put_in(set, wildcard, chan);
    list_each(node, safe, &set->inlets) {
        struct inlet *inlet = container_of(node, struct inlet, in_set);
        bool may_join = joins(inlet);

        pthread_mutex_lock(&inlet->lock);
        inlet->wildcards = set->present;
        if (may_join) {
            inlet->wildcard_count = set->count;
            wildcard->inlet_count++;
            shared_begin(chan, inlet->source, PRODUCER_ACTIVE);
        }
        pthread_mutex_unlock(&inlet->lock);
    }
    count_add(COUNT_LIVE_ROUTES, wildcard->inlet_count);
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
        wildcard->inlet_count++;
    }
    count_add(COUNT_LIVE_ROUTES, wildcard->inlet_count);
    return ERR_OK;
}

/* Takes the wildcard out of the list. */
static void take_out(struct wildcard_set *set, struct wildcard *wildcard)
{
    const uint32_t index = wildcard->index;

    if (index > 0)
        memcpy(set->spare, set->present, index * sizeof(*set->spare));
    set->count--;
    if (set->count > index)
        memcpy(set->spare + index, set->present + index + 1, (set->count - index) * sizeof(*set->spare));
    swap(set);
    for (uint32_t i = index; i < set->count; i++)
        set->present[i].wildcard->index = i;
    wildcard->in_set = false;
    count_add(COUNT_LIVE_ROUTES, -(int64_t)wildcard->inlet_count);
}

/* An inlet that the wildcard could not join has an older and shorter part of the list. */
static bool hand_over(const struct wildcard_set *set, const struct wildcard *wildcard, struct inlet *inlet)
{
    bool had = wildcard->index < inlet->wildcard_count;

    inlet->wildcards = set->present;
    inlet->wildcard_count -= had;
    return had;
}

void wildcard_remove(struct wildcard_set *set, struct wildcard *wildcard,
                     void (*left)(void *ctx, struct inlet *inlet, bool keeps), void *ctx)
{
    if (!wildcard->in_set)
        return;
    take_out(set, wildcard);
    list_each(node, safe, &set->inlets) {
        struct inlet *inlet = container_of(node, struct inlet, in_set);

        pthread_mutex_lock(&inlet->lock);
        if (hand_over(set, wildcard, inlet))
            left(ctx, inlet, shared_freeze(wildcard->chan, inlet->source));
        pthread_mutex_unlock(&inlet->lock);
    }
    wildcard->inlet_count = 0;
}

void wildcard_replace(struct wildcard_set *set, struct wildcard *wildcard,
                      struct route *(*next_route)(void *ctx, struct inlet *inlet), void *ctx)
{
    take_out(set, wildcard);
    list_each(node, safe, &set->inlets) {
        struct inlet *inlet = container_of(node, struct inlet, in_set);

        pthread_mutex_lock(&inlet->lock);
        if (hand_over(set, wildcard, inlet))
            route_link(next_route(ctx, inlet));
        pthread_mutex_unlock(&inlet->lock);
    }
    wildcard->inlet_count = 0;
}
