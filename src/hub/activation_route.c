/* activation_route.c - the way of an activation's events: its inlet, its route and its place in the
 * session's table. A member of a shared call has a route from the inlet of that call. */
#include "hub/activation_route.h"

#include "base/clock.h"
#include "base/counters.h"
#include "flow/feed.h"
#include "hub/inlet_table.h"
#include "hub/producer_change.h"
#include "hub/session_kind.h"
#include "hub/shared_call.h"
#include "hub/subscription_internal.h"
#include "route/inlet.h"
#include "route/route.h"

/* Any thread, under locks of the putter's. */
static void set_paused(void *ctx, bool pause)
{
    struct activation *activation = ctx;
    struct session *session = activation->session;

    atomic_store(&activation->paused, pause);
    atomic_fetch_add(&session->paused, pause ? 1 : -1);
    pthread_mutex_lock(&session->pause_lock);
    if (!session->pauses_no_more)
        session->port->set_paused(session->port_ctx, activation->own.number, pause);
    pthread_mutex_unlock(&session->pause_lock);
}

static enum err open_inlet(struct activation *activation)
{
    const struct inlet_start start = {.name = source_name(activation->session->producer.inlet.source),
                                      .epoch = clock_epoch_ns(),
                                      .state = INLET_OPEN,
                                      .source_state = endpoint_first_state(&activation->session->endpoint)};

    return inlet_init(&activation->own.inlet, &start);
}

static enum err open_own_route(struct activation *activation, const struct filter *filter,
                               const struct filter_part *part)
{
    const struct pause_port pause_port = {.set_paused = set_paused, .ctx = activation};

    if (open_inlet(activation) != ERR_OK)
        return ERR_NO_MEMORY;
    if (route_init(&activation->route, &activation->own.inlet, activation->subscription->chan, filter, part,
                   &pause_port) != ERR_OK) {
        inlet_fini(&activation->own.inlet);
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

/* It hears the present state, with its cause. */
static enum err open_member_route(struct activation *activation, const struct filter *filter,
                                  const struct filter_part *part)
{
    const struct pause_port blocks = {.set_paused = NULL};
    struct inlet *inlet;
    enum err err = shared_call_join(activation, &inlet);

    if (err != ERR_OK)
        return err;
    if (route_init(&activation->route, inlet, activation->subscription->chan, filter, part, &blocks) !=
        ERR_OK) {
        shared_call_leave(activation, FAULT_NONE);
        return ERR_NO_MEMORY;
    }
    if (inlet->source_state.code != CODE_OK)
        feed_state(activation->route.chan, activation->route.feed, &inlet->source_state);
    return ERR_OK;
}

enum err activation_open_route(struct activation *activation, const struct filter *filter,
                               const struct filter_part *part, const struct start_point *start_point)
{
    struct endpoint *endpoint = &activation->session->endpoint;
    enum err err = ERR_FULL;

    activation->is_member = !!activation->session->kind->shared_call_ready;
    if (activation->is_member)
        err = open_member_route(activation, filter, part);
    if (err == ERR_FULL)
        err = open_own_route(activation, filter, part);
    if (err != ERR_OK)
        return err;
    route_enter(&activation->route, start_point);
    if (!activation->is_member)
        endpoint_moved(endpoint, &activation->upstream_active, PRODUCER_CONNECTING);
    activation->open = true;
    count_add(COUNT_LIVE_ROUTES, 1);
    return ERR_OK;
}

/* Of a shared call that has failed the text stands there. */
static const char *message_of(const struct activation *activation, const struct ending *ending)
{
    const struct source_state *state = &activation->route.inlet->source_state;

    return !ending->message && ending->code != CODE_OK && ending->code == state->code ? state->message
                                                                                      : ending->message;
}

void activation_close_route(struct activation *activation, const struct ending *ending)
{
    if (!activation->open)
        return;
    route_leave(&activation->route);
    feed_close(activation->route.chan, activation->route.feed, ending->state, ending->code,
               message_of(activation, ending));
    if (atomic_exchange(&activation->paused, false))
        atomic_fetch_sub(&activation->session->paused, 1);
    endpoint_left(&activation->session->endpoint, &activation->upstream_active);
    route_fini(&activation->route);
    if (activation->shared_call)
        shared_call_leave(activation, ending->reason);
    else
        inlet_fini(&activation->own.inlet);
    activation->open = false;
    count_add(COUNT_LIVE_ROUTES, -1);
}

void activation_take_out(struct activation *activation)
{
    inlet_table_remove(activation->session, &activation->own);
    if (!activation->open)
        return;
    route_leave(&activation->route);
    feed_silence(activation->route.chan, activation->route.feed);
}

void activation_reported(struct activation *activation, enum producer_state state)
{
    CHECK(state == PRODUCER_CONNECTING || state == PRODUCER_ACTIVE);
    endpoint_moved(&activation->session->endpoint, &activation->upstream_active, state);
    feed_state(activation->route.chan, activation->route.feed, &(struct source_state){.state = state});
    producer_changed(&activation->session->producer);
}
