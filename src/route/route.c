/* route.c - the making of routes, and their place in an inlet. */
#include "route/route.h"

#include "flow/feed.h"
#include "flow/shared_feed.h"
#include "route/history.h"
#include "route/resume.h"

enum err route_entry_new(struct inlet *inlet, struct route *route, const struct filter *filter,
                         const struct filter_part *part, struct match_entry **entry_out)
{
    struct match_entry *entry = NULL;
    struct matcher *matcher;

    if (part->answer == FILTER_BY_EVENT && !inlet->matcher) {
        matcher = matcher_new();
        if (!matcher)
            return ERR_NO_MEMORY;
        pthread_mutex_lock(&inlet->lock);
        inlet->matcher = matcher;
        pthread_mutex_unlock(&inlet->lock);
    }
    if (part->answer == FILTER_BY_EVENT && !(entry = match_entry_new(filter, part, route)))
        return ERR_NO_MEMORY;
    *entry_out = entry;
    return ERR_OK;
}

enum err route_init(struct route *route, struct inlet *inlet, struct chan *chan, const struct filter *filter,
                    const struct filter_part *part, const struct pause_port *pause_port)
{
    struct match_entry *entry;
    struct feed *feed = NULL;

    if (route_entry_new(inlet, route, filter, part, &entry) != ERR_OK)
        return ERR_NO_MEMORY;
    if (pause_port && !(feed = feed_open(chan, inlet->source, inlet->source_state.state,
                                         pause_port->set_paused ? pause_port : NULL))) {
        match_entry_free(entry);
        return ERR_NO_MEMORY;
    }
    *route = (struct route){.chan = chan,
                            .feed = feed,
                            .inlet = inlet,
                            .filter = filter,
                            .part = *part,
                            .entry = entry,
                            .reported_version = inlet->source_version};
    return ERR_OK;
}

void route_fini(struct route *route)
{
    CHECK(!route->linked);
    match_entry_free(route->entry);
    route->entry = NULL;
}

static void start_matching(struct route *route)
{
    if (!route->entry)
        return;
    matcher_add(route->inlet->matcher, route->entry);
    route->inlet->filtered_count++;
}

static void stop_matching(struct route *route)
{
    if (!route->entry)
        return;
    matcher_remove(route->inlet->matcher, route->entry);
    route->inlet->filtered_count--;
}

void route_link(struct route *route)
{
    struct inlet *inlet = route->inlet;

    CHECK(!route->linked && inlet->route_count < inlet->route_capacity);
    route->linked = true;
    route->index = inlet->route_count;
    inlet->routes[inlet->route_count++] = route;
    inlet->second_count += route->second;
    start_matching(route);
    if (route->feed && !route->put)
        feed_follow(route->feed, &inlet->source->routed);
}

static void take_out(struct route *route)
{
    struct inlet *inlet = route->inlet;
    struct route *last;

    route->linked = false;
    last = inlet->routes[--inlet->route_count];
    inlet->routes[route->index] = last;
    last->index = route->index;
    inlet->second_count -= route->second;
    stop_matching(route);
}

void route_set_first(struct route *route)
{
    if (route->linked)
        route->inlet->second_count -= route->second;
    route->second = false;
}

void route_unlink(struct route *route)
{
    if (!route->linked)
        return;
    take_out(route);
    route->keeps = true;
    if (route->feed)
        feed_follow(route->feed, NULL);
    else
        route->keeps = shared_freeze(route->chan, route->inlet->source);
}

static void report(struct route *route)
{
    route->reported_version = route->inlet->source_version;
    shared_state(route->chan, route->inlet->source, &route->inlet->source_state);
}

void route_report(struct route *route)
{
    if (!route->feed && route->reported_version != route->inlet->source_version)
        report(route);
}

/* An inlet that has left its set has ended. A second route hears nothing: the first one does. */
void route_hand_over(struct route *route)
{
    CHECK(route->linked && !route->feed);
    if (!route->second && !list_empty(&route->inlet->in_set))
        route_report(route);
    take_out(route);
}

struct match_entry *route_set_filter(struct route *route, const struct filter *filter,
                                     const struct filter_part *part, struct match_entry *entry)
{
    struct match_entry *before = route->entry;

    if (route->linked)
        stop_matching(route);
    route->filter = filter;
    route->part = *part;
    route->entry = entry;
    if (route->linked)
        start_matching(route);
    return before;
}

void route_begin(struct route *route)
{
    if (!route->feed)
        report(route);
}

void route_enter(struct route *route, const struct start_point *start_point)
{
    struct inlet *inlet = route->inlet;

    /* Under the same lock as the puts, so that what was missed ends exactly where the first put
     * begins. */
    pthread_mutex_lock(&inlet->lock);
    route_begin(route);
    if (start_point && start_point->resume)
        resume_gap_report(start_point->resume, route, inlet->source, inlet->last_sequence);
    if (start_point && inlet->history)
        history_put(inlet->history, route, start_point->last);
    route_link(route);
    pthread_mutex_unlock(&inlet->lock);
}

void route_leave(struct route *route)
{
    pthread_mutex_lock(&route->inlet->lock);
    route_unlink(route);
    pthread_mutex_unlock(&route->inlet->lock);
}
