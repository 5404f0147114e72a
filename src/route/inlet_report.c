/* inlet_report.c - see inlet_report.h.
 *
 * Of the wildcards of an inlet those from `next` up to `count` are due, and then those below
 * `again`. A change in between makes all of them due, from the next one on, so that none waits for
 * ever where changes come fast. Who joins is at the end of the list and not due.
 *
 * Of its routes those below `routes` are due, from the last one down. Where a route leaves, the
 * last one gets its place (route.c). So a route that is due stays below `routes`, or is gone. One
 * that is not may come there: its version says that it has heard. */
#include "route/inlet_report.h"

#include "flow/shared_feed.h"
#include "route/inlet.h"
#include "route/route.h"

/* Channels to which one step reports. Each may wake the thread of a connection. */
#define STEP_REPORTS 8u

static struct inlet *inlet_of(struct list *link)
{
    return container_of(link, struct inlet, report.link);
}

/* ---- what is due ---- */

static bool is_due(const struct inlet_report *report, const struct wildcard *wildcard)
{
    return (wildcard->index >= report->next && wildcard->index < report->count) ||
           wildcard->index < report->again;
}

/* It takes the place of what was not reported yet. */
static void report_later(struct wildcard_set *set, struct inlet *inlet, const struct inlet_report *what)
{
    list_remove(&inlet->report.link);
    inlet->report = *what;
    list_init(&inlet->report.link);
    if (what->count > 0)
        list_append(&set->reports, &inlet->report.link);
}

void inlet_report_begin(struct wildcard_set *set, struct inlet *inlet)
{
    report_later(set, inlet, &(struct inlet_report){.count = inlet->wildcard_count});
}

void inlet_report_end(struct wildcard_set *set, struct inlet *inlet, uint32_t count,
                      const struct source_state *end)
{
    report_later(set, inlet, &(struct inlet_report){.count = count, .ended = true, .end = *end});
}

/* Everything is due. What waits keeps its turn. */
static void report_to_all(struct wildcard_set *set, struct inlet *inlet)
{
    struct inlet_report *report = &inlet->report;

    if (list_empty(&report->link)) {
        report->next = 0;
        report->routes = inlet->route_count;
        list_append(&set->reports, &report->link);
    }
    report->again = report->next;
    report->count = inlet->wildcard_count;
    report->routes_again = report->routes < inlet->route_count;
}

void inlet_report_change(struct wildcard_set *set, struct inlet *inlet, const struct source_state *state)
{
    if (!inlet_set_source_state(inlet, state) || list_empty(&inlet->in_set))
        return;
    pthread_mutex_lock(&set->lock);
    report_to_all(set, inlet);
    pthread_mutex_unlock(&set->lock);
}

/* ---- reports ---- */

/* Without the inlet's lock, which a put to many channels holds for long. A source that has ended
 * puts no more. */
static void report_to(struct inlet *inlet, struct chan *chan)
{
    const struct inlet_report *report = &inlet->report;

    if (report->ended)
        shared_end(chan, inlet->source, report->end.state, report->end.code, report->end.message);
    else
        shared_state(chan, inlet->source, &inlet->source_state);
}

/* False: nobody is due before those of begin_again(). */
static bool has_due(struct inlet *inlet)
{
    struct inlet_report *report = &inlet->report;

    report->routes = MIN_OF(report->routes, inlet->route_count);
    return report->next < report->count || report->routes > 0;
}

static void report_one(struct wildcard_set *set, struct inlet *inlet)
{
    struct inlet_report *report = &inlet->report;

    if (report->next == report->count) {
        route_report(inlet->routes[--report->routes]);
        return;
    }
    const struct wildcard_entry *entry = &set->present[report->next++];
    if (!entry->wildcard->abandoned)
        report_to(inlet, entry->chan);
}

/* Others come first. Returns whether there is anybody. */
static bool begin_again(struct wildcard_set *set, struct inlet *inlet)
{
    struct inlet_report *report = &inlet->report;

    list_remove(&report->link);
    if (report->again == 0 && !report->routes_again)
        return false;
    report->next = 0;
    report->count = report->again;
    report->again = 0;
    report->routes = report->routes_again ? inlet->route_count : 0;
    report->routes_again = false;
    list_append(&set->reports, &report->link);
    return true;
}

bool inlet_reports_step(struct wildcard_set *set)
{
    struct list *node = list_first(&set->reports);
    struct inlet *inlet = node ? inlet_of(node) : NULL;
    bool over;

    if (!inlet)
        return false;
    pthread_mutex_lock(&set->lock);
    for (uint32_t left = STEP_REPORTS; left > 0 && has_due(inlet); left--)
        report_one(set, inlet);
    over = !has_due(inlet) && !begin_again(set, inlet);
    pthread_mutex_unlock(&set->lock);
    if (over)
        set->reported(inlet);
    return !list_empty(&set->reports);
}

void inlet_reports_leave(struct wildcard_set *set, const struct wildcard *wildcard, bool hears)
{
    const uint32_t index = wildcard->index;

    list_each(node, safe, &set->reports) {
        struct inlet *inlet = inlet_of(node);
        struct inlet_report *report = &inlet->report;

        if (hears && is_due(report, wildcard))
            report_to(inlet, wildcard->chan);
        report->next -= index < report->next;
        report->count -= index < report->count;
        report->again -= index < report->again;
    }
}
