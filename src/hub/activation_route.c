/* activation_route.c - the way of an activation's events: its inlet, its route and its place in the
 * session's table. */
#include "hub/activation_route.h"

#include "base/clock.h"
#include "base/counters.h"
#include "flow/feed.h"
#include "hub/activation_table.h"
#include "hub/session_internal.h"
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
    session->port->set_paused(session->port_ctx, activation->number, pause);
}

enum err activation_open_route(struct activation *activation, const struct filter *filter,
                               const struct filter_part *part, const struct start_point *start_point)
{
    const struct pause_port pause_port = {set_paused, activation};
    struct subscription *subscription = activation->subscription;
    struct inlet *inlet = &activation->inlet;
    const struct inlet_start start = {.name = source_name(activation->session->producer.inlet.source),
                                      .epoch = clock_epoch_ns(),
                                      .state = INLET_OPEN,
                                      .source_state = endpoint_first_state(&activation->session->endpoint)};

    if (inlet_init(inlet, &start) != ERR_OK)
        return ERR_NO_MEMORY;
    if (route_init(&activation->route, inlet, subscription->chan, filter, part, &pause_port) != ERR_OK) {
        inlet_fini(inlet);
        return ERR_NO_MEMORY;
    }
    route_enter(&activation->route, start_point);
    endpoint_moved(&activation->session->endpoint, &activation->upstream_active, PRODUCER_CONNECTING);
    activation->open = true;
    count_add(COUNT_LIVE_ROUTES, 1);
    return ERR_OK;
}

void activation_close_route(struct activation *activation, const struct ending *ending)
{
    if (!activation->open)
        return;
    route_leave(&activation->route);
    feed_close(activation->route.chan, activation->route.feed, ending->state, ending->code, ending->message);
    if (atomic_exchange(&activation->paused, false))
        atomic_fetch_sub(&activation->session->paused, 1);
    endpoint_left(&activation->session->endpoint, &activation->upstream_active);
    route_fini(&activation->route);
    inlet_fini(&activation->inlet);
    activation->open = false;
    count_add(COUNT_LIVE_ROUTES, -1);
}

void activation_take_out(struct activation *activation)
{
    activation_table_remove(activation);
    if (!activation->open)
        return;
    route_leave(&activation->route);
    feed_silence(activation->route.chan, activation->route.feed);
}
