/* test_inlet_report.c - what channels hear of sources whose states change, while wildcards and
 * routes come, go and take over from each other. Each change has a number, which is its code. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "flow/chan.h"
#include "flow/chan_report.h"
#include "flow/producer_state.h"
#include "flow/shared_feed.h"
#include "lib/events.h"
#include "route/inlet.h"
#include "route/inlet_report.h"
#include "route/route.h"
#include "route/wildcard.h"

#define CONSUMERS 40u
#define INLETS 5u
#define STEPS 4000u
#define MAX_SOURCES STEPS
#define END_CODE 1000000u

/* A consumer: a wildcard, or a route of each inlet. */
struct reader {
    struct chan *chan; /* NULL: there is none */
    bool is_wildcard, abandoned;
    struct wildcard wildcard;
    struct route routes[INLETS];   /* without an inlet: there is none */
    uint32_t first[MAX_SOURCES];   /* by the number of the source: when it joined; 0: not */
    uint32_t reached[MAX_SOURCES]; /* the last code that it has heard; 0: nothing */
};

struct origin {
    struct inlet inlet;
    bool open, leaving; /* `leaving`: its end is being reported */
    uint32_t number, code;
};

static struct model_state {
    struct wildcard_set set;
    struct reader readers[CONSUMERS];
    struct origin origins[INLETS];
    uint32_t sources;
    struct dice dice;
} model;

static uint32_t roll(uint32_t sides)
{
    return (uint32_t)dice_roll(&model.dice, sides);
}

/* ---- what is heard ---- */

static const char *message_of(uint32_t code)
{
    return code % 3 == 0 ? "" : code % 3 == 1 ? "refused" : "reset";
}

static void on_state(void *ctx, const struct feed_change *change)
{
    struct reader *reader = ctx;
    uint32_t *reached = &reader->reached[change->source->epoch];

    cr_assert(reader->first[change->source->epoch] > 0, "it gets the source");
    cr_assert(change->code > *reached, "%u after %u", change->code, *reached);
    cr_assert(change->code >= reader->first[change->source->epoch]);
    cr_assert((change->state == PRODUCER_ENDED) == (change->code == END_CODE));
    cr_assert_str_eq(change->message, message_of(change->code));
    *reached = change->code;
}

static void hear(struct reader *reader)
{
    while (chan_states(reader->chan, 100, on_state, reader) > 0)
        continue;
}

/* Everything is reported. */
static void check_all(void)
{
    while (inlet_reports_step(&model.set))
        continue;
    for (size_t i = 0; i < CONSUMERS; i++) {
        struct reader *reader = &model.readers[i];

        if (!reader->chan || reader->abandoned)
            continue;
        hear(reader);
        for (size_t j = 0; j < INLETS; j++) {
            const struct origin *origin = &model.origins[j];

            if (origin->open && reader->first[origin->number] > 0)
                cr_assert(reader->reached[origin->number] == origin->code, "%u, not %u",
                          reader->reached[origin->number], origin->code);
        }
    }
}

/* ---- consumers ---- */

static void ignore_readable(void *ctx)
{
    (void)ctx;
}

static void ignore_left(void *ctx, struct inlet *inlet)
{
    (void)ctx, (void)inlet;
}

static bool joins(const struct inlet *inlet)
{
    (void)inlet;
    return true;
}

static void link_route(struct reader *reader, size_t index)
{
    const struct filter_part all = {.answer = FILTER_ALL};
    struct inlet *inlet = &model.origins[index].inlet;

    cr_assert(inlet_reserve(inlet) == ERR_OK);
    cr_assert(route_init(&reader->routes[index], inlet, reader->chan, NULL, &all, NULL) == ERR_OK);
    route_enter(&reader->routes[index], NULL);
}

static void unlink_route(struct reader *reader, size_t index)
{
    struct route *route = &reader->routes[index];

    if (!route->inlet)
        return;
    route_leave(route);
    route_fini(route);
    *route = (struct route){0};
}

static void join(struct reader *reader)
{
    static const struct chan_limits limits = {
        .max_events = 10, .max_bytes = 1000, .overflow = OVERFLOW_DROP_OLDEST};
    static const struct chan_callbacks callbacks = {.readable = ignore_readable};

    reader->chan = chan_new(&limits, &callbacks);
    reader->is_wildcard = roll(2) == 0;
    for (size_t i = 0; i < INLETS; i++) {
        struct origin *origin = &model.origins[i];

        if (!origin->open || origin->leaving)
            continue;
        reader->first[origin->number] = origin->code;
        if (!reader->is_wildcard)
            link_route(reader, i);
    }
    if (reader->is_wildcard)
        cr_assert(wildcard_add(&model.set, &reader->wildcard, reader->chan, joins) == ERR_OK);
}

static void free_reader(struct reader *reader)
{
    chan_release(reader->chan);
    *reader = (struct reader){0};
}

static void leave(struct reader *reader)
{
    for (size_t i = 0; i < INLETS; i++)
        unlink_route(reader, i);
    wildcard_remove(&model.set, &reader->wildcard, false, ignore_left, NULL);
    free_reader(reader);
}

struct route_walk {
    struct reader *reader;
    size_t next;
};

static struct route *next_route(void *ctx)
{
    struct route_walk *walk = ctx;

    while (walk->next < INLETS && !walk->reader->routes[walk->next].inlet)
        walk->next++;
    return walk->next < INLETS ? &walk->reader->routes[walk->next++] : NULL;
}

static void become_wildcard(struct reader *reader)
{
    struct route_walk walk = {.reader = reader};

    cr_assert(wildcard_take_over(&model.set, &reader->wildcard, reader->chan, next_route, &walk) == ERR_OK);
    for (size_t i = 0; i < INLETS; i++)
        unlink_route(reader, i);
    reader->is_wildcard = true;
}

/* Its wildcard is gone before its routes are there: what was due is reported meanwhile. */
static void become_routes(struct reader *reader)
{
    wildcard_remove(&model.set, &reader->wildcard, true, ignore_left, NULL);
    hear(reader);
    for (size_t i = 0; i < INLETS; i++) {
        struct origin *origin = &model.origins[i];

        if (!origin->open || reader->first[origin->number] == 0)
            continue;
        cr_assert(reader->reached[origin->number] == origin->code);
        if (origin->leaving)
            continue;
        reader->reached[origin->number] = 0; /* the route begins with the state that is known */
        link_route(reader, i);
    }
    reader->is_wildcard = false;
}

static void sweep(void)
{
    struct list gone, *node;

    list_init(&gone);
    wildcard_sweep(&model.set, &gone);
    while ((node = list_first(&gone))) {
        list_remove(node);
        free_reader(container_of(node, struct reader, wildcard.link));
    }
}

static void change_reader(struct reader *reader)
{
    if (!reader->chan) {
        join(reader);
    } else if (reader->abandoned) {
        if (roll(3) == 0)
            sweep();
    } else if (roll(3) == 0) {
        leave(reader);
    } else if (reader->is_wildcard && roll(2) == 0) {
        wildcard_abandon(&model.set, &reader->wildcard);
        reader->abandoned = true;
    } else if (reader->is_wildcard) {
        become_routes(reader);
    } else {
        become_wildcard(reader);
    }
}

/* ---- sources ---- */

static void open_origin(struct origin *origin)
{
    const struct inlet_start start = {.name = text_of("web"),
                                      .epoch = model.sources,
                                      .state = INLET_OPEN,
                                      .source_state = PRODUCER_CONNECTING};
    const struct source_state first = {PRODUCER_CONNECTING, 1, message_of(1)};
    const size_t index = (size_t)(origin - model.origins);

    *origin = (struct origin){.open = true, .number = model.sources++, .code = 1};
    cr_assert(inlet_init(&origin->inlet, &start) == ERR_OK);
    inlet_report_change(&model.set, &origin->inlet, &first); /* it is in no set: nobody hears */
    wildcard_set_add_inlet(&model.set, &origin->inlet);
    for (size_t i = 0; i < CONSUMERS; i++) {
        struct reader *reader = &model.readers[i];

        if (!reader->chan || reader->abandoned)
            continue;
        reader->first[origin->number] = 1;
        if (!reader->is_wildcard)
            link_route(reader, index);
    }
}

static void change_state(struct origin *origin)
{
    static const uint32_t states[] = {PRODUCER_CONNECTING, PRODUCER_ACTIVE, PRODUCER_UNAVAILABLE};
    struct source_state state = {.state = states[roll(3)], .code = ++origin->code};
    char message[16];

    strcpy(message, message_of(state.code));
    state.message = message;
    inlet_report_change(&model.set, &origin->inlet, &state);
    memset(message, 'x', sizeof(message)); /* it was copied */
}

static void end_origin(struct origin *origin)
{
    const struct source_state end = {PRODUCER_ENDED, END_CODE, message_of(END_CODE)};
    const size_t index = (size_t)(origin - model.origins);

    wildcard_set_remove_inlet(&model.set, &origin->inlet, &end);
    origin->leaving = true;
    origin->code = END_CODE;
    for (size_t i = 0; i < CONSUMERS; i++) {
        struct reader *reader = &model.readers[i];

        if (!reader->routes[index].inlet)
            continue;
        unlink_route(reader, index);
        shared_end(reader->chan, origin->inlet.source, end.state, end.code, end.message);
    }
}

static void free_reported(struct origin *origin)
{
    if (inlet_has_reports(&origin->inlet))
        return;
    inlet_fini(&origin->inlet);
    *origin = (struct origin){0};
}

static void change_origin(struct origin *origin)
{
    if (!origin->open)
        open_origin(origin);
    else if (origin->leaving)
        free_reported(origin);
    else if (roll(30) == 0)
        end_origin(origin);
    else
        change_state(origin);
}

/* ---- a step ---- */

static void ignore_reported(struct inlet *inlet)
{
    cr_assert(!inlet_has_reports(inlet));
}

static void step(void)
{
    struct reader *reader = &model.readers[roll(CONSUMERS)];

    switch (roll(8)) {
    case 0:
    case 1:
        change_reader(reader);
        break;
    case 2:
    case 3:
        change_origin(&model.origins[roll(INLETS)]);
        break;
    case 4:
        (void)inlet_reports_step(&model.set);
        break;
    case 5:
    case 6:
        if (reader->chan && !reader->abandoned)
            hear(reader);
        break;
    default:
        if (roll(20) == 0)
            check_all();
    }
}

static void end_all(void)
{
    check_all();
    for (size_t i = 0; i < CONSUMERS; i++)
        if (model.readers[i].chan && !model.readers[i].abandoned)
            leave(&model.readers[i]);
    sweep();
    for (size_t i = 0; i < INLETS; i++)
        if (model.origins[i].open && !model.origins[i].leaving)
            end_origin(&model.origins[i]);
    while (inlet_reports_step(&model.set))
        continue;
    for (size_t i = 0; i < INLETS; i++)
        if (model.origins[i].open)
            free_reported(&model.origins[i]);
    wildcard_set_fini(&model.set);
    cr_assert(count_get(COUNT_LIVE_CHANNELS) == 0);
}

Test(inlet_report, everybody_hears_the_last_state_and_none_after_the_end)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        model = (struct model_state){.dice = {seed}};
        wildcard_set_init(&model.set, ignore_reported);
        for (unsigned i = 0; i < STEPS; i++)
            step();
        end_all();
    }
}

/* ---- fast changes ---- */

/* One source, and so many readers, which have heard its first state. */
static void begin_many(unsigned readers)
{
    model = (struct model_state){.dice = {1}};
    wildcard_set_init(&model.set, ignore_reported);
    open_origin(&model.origins[0]);
    for (unsigned i = 0; i < readers; i++) {
        join(&model.readers[i]);
        hear(&model.readers[i]);
    }
}

Test(inlet_report, changes_that_come_faster_than_reports_keep_nobody_waiting)
{
    uint32_t before[CONSUMERS];

    begin_many(CONSUMERS);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < CONSUMERS; i++)
            before[i] = model.readers[i].reached[0];
        for (unsigned i = 0; i < 2 * (CONSUMERS / 8 + 2); i++) {
            change_state(&model.origins[0]);
            cr_assert(inlet_reports_step(&model.set));
        }
        for (unsigned i = 0; i < CONSUMERS; i++) {
            hear(&model.readers[i]);
            cr_assert(model.readers[i].reached[0] > before[i]);
        }
    }
    end_all();
}

Test(inlet_report, a_source_that_changes_all_the_time_keeps_no_other_one_waiting)
{
    unsigned steps = 0;

    begin_many(CONSUMERS);
    while (inlet_reports_step(&model.set))
        continue;
    change_state(&model.origins[0]);
    open_origin(&model.origins[1]);
    change_state(&model.origins[1]);
    while (inlet_has_reports(&model.origins[1].inlet)) {
        change_state(&model.origins[0]);
        (void)inlet_reports_step(&model.set);
        cr_assert(++steps < 10 * CONSUMERS);
    }
    end_all();
}

Test(inlet_report, a_state_that_the_source_has_is_not_reported)
{
    const struct source_state same = {PRODUCER_CONNECTING, 1, message_of(1)};

    begin_many(4);
    while (inlet_reports_step(&model.set))
        continue;
    inlet_report_change(&model.set, &model.origins[0].inlet, &same);
    cr_assert_not(inlet_has_reports(&model.origins[0].inlet));
    end_all();
}
