/* inlet.c - the making of inlets, and their states. */
#include "route/inlet.h"

#include <stdlib.h>
#include <string.h>

#include "base/fsm.h"
#include "flow/producer_state.h"
#include "route/history.h"

static const struct fsm machine = {
    .name = "inlet",
    .states = {[INLET_OPEN] = {"OPEN", BIT(INLET_CLOSED) | BIT(INLET_REMOVED)},
               [INLET_CLOSED] = {"CLOSED", BIT(INLET_OPEN) | BIT(INLET_REMOVED)},
               [INLET_REMOVED] = {"REMOVED", 0}},
};

enum err inlet_init(struct inlet *inlet, const struct inlet_start *start)
{
    struct source *source = source_new(start->name, start->epoch);

    if (!source)
        return ERR_NO_MEMORY;
    *inlet = (struct inlet){
        .source = source,
        .state = start->state,
        .source_state = {.state = start->source_state ? start->source_state : (uint32_t)PRODUCER_ACTIVE},
        .routes = inlet->first,
        .route_capacity = ARRAY_LEN(inlet->first),
        .last_sequence = start->last_sequence,
        .unplaced = start->unplaced};
    atomic_store(&source->routed, start->last_sequence);
    list_init(&inlet->in_published);
    list_init(&inlet->in_set);
    list_init(&inlet->report.link);
    CHECK(pthread_mutex_init(&inlet->lock, NULL) == 0);
    return ERR_OK;
}

void inlet_fini(struct inlet *inlet)
{
    CHECK(inlet->route_count == 0 && list_empty(&inlet->in_set) && list_empty(&inlet->report.link));
    if (inlet->routes != inlet->first)
        free(inlet->routes);
    history_free(inlet->history);
    matcher_free(inlet->matcher);
    source_release(inlet->source);
    free(inlet->source_message);
    pthread_mutex_destroy(&inlet->lock);
}

void inlet_set_state(struct inlet *inlet, enum inlet_state state)
{
    pthread_mutex_lock(&inlet->lock);
    if (fsm_allows(&machine, inlet->state, state))
        fsm_move(&machine, inlet, state);
    pthread_mutex_unlock(&inlet->lock);
}

static bool same_text(const char *one, const char *other)
{
    return strcmp(one ? one : "", other ? other : "") == 0;
}

bool inlet_set_source_state(struct inlet *inlet, const struct source_state *state)
{
    const struct source_state *before = &inlet->source_state;
    char *message = source_message_copy(state->message), *former = inlet->source_message;

    if (before->state == state->state && before->code == state->code && same_text(former, message)) {
        free(message);
        return false;
    }
    pthread_mutex_lock(&inlet->lock);
    inlet->source_state = (struct source_state){state->state, state->code, message};
    inlet->source_message = message;
    inlet->source_version++;
    pthread_mutex_unlock(&inlet->lock);
    free(former);
    return true;
}

enum err inlet_reserve(struct inlet *inlet)
{
    uint32_t capacity = MAX_OF(inlet->route_capacity * 2, 4u);
    struct route **routes, **before = inlet->routes;

    if (inlet->route_count < inlet->route_capacity)
        return ERR_OK;
    routes = calloc(capacity, sizeof(struct route *));
    if (!routes)
        return ERR_NO_MEMORY;
    memcpy(routes, before, inlet->route_count * sizeof(struct route *));
    pthread_mutex_lock(&inlet->lock);
    inlet->routes = routes;
    inlet->route_capacity = capacity;
    pthread_mutex_unlock(&inlet->lock);
    if (before != inlet->first)
        free(before);
    return ERR_OK;
}

void inlet_keep_history(struct inlet *inlet, const struct history_bounds *bounds)
{
    pthread_mutex_lock(&inlet->lock);
    if (!inlet->history)
        inlet->history = history_new(bounds);
    pthread_mutex_unlock(&inlet->lock);
}
