/* test_wildcard_model.c - random changes of a wildcard set against a table of who gets what. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/counters.h"
#include "flow/chan.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/producer_state.h"
#include "lib/events.h"
#include "route/inlet.h"
#include "route/inlet_report.h"
#include "route/offer.h"
#include "route/wildcard.h"

#define CONSUMERS 9u
#define INLETS 7u
#define STEPS 3000u
#define MAX_SOURCES STEPS

/* A consumer of everything. */
struct reader {
    struct wildcard wildcard;
    struct chan *chan; /* NULL: there is none */
    bool abandoned;
    uint32_t events, expected_events;
    uint8_t states[MAX_SOURCES], expected_states[MAX_SOURCES]; /* by the number of the source */
};

/* A source and its inlet. */
struct origin {
    struct inlet inlet;
    bool open, leaving; /* `leaving`: its end is being reported */
    bool closed;        /* it gets no new wildcard */
    uint32_t number;
    bool gets[CONSUMERS];
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

static void on_state(void *ctx, const struct feed_change *change)
{
    struct reader *reader = ctx;

    cr_assert_not_null(change->source, "RESYNC");
    cr_assert(reader->states[change->source->epoch] != change->state, "reported twice");
    reader->states[change->source->epoch] = (uint8_t)change->state;
}

static void read_all(struct reader *reader)
{
    struct chan_batch batch = {0};
    bool more;

    do {
        more = chan_dequeue(reader->chan, &batch, 1000, 1 << 20, 1);
        for (uint32_t i = 0; i < batch.count; i++)
            reader->events += batch.entries[i].last - batch.entries[i].first;
        while (chan_states(reader->chan, 100, on_state, reader) == 100)
            continue;
        chan_delivered(reader->chan, &batch);
    } while (more);
    chan_batch_fini(&batch);
}

/* What was reported to the reader is what it should know. */
static void check_reader(struct reader *reader)
{
    read_all(reader);
    cr_assert(reader->events == reader->expected_events, "%u events, not %u", reader->events,
              reader->expected_events);
    for (uint32_t i = 0; i < model.sources; i++)
        cr_assert(reader->states[i] == reader->expected_states[i], "source %u is %u, not %u", i,
                  reader->states[i], reader->expected_states[i]);
}

static void free_reader(struct reader *reader)
{
    chan_release(reader->chan);
    *reader = (struct reader){0};
}

static void ignore_readable(void *ctx)
{
    (void)ctx;
}

static void ignore_reported(struct inlet *inlet)
{
    cr_assert(!inlet_has_reports(inlet));
}

/* ---- the changes ---- */

static bool joins(const struct inlet *inlet)
{
    return !container_of(inlet, struct origin, inlet)->closed;
}

static void join(struct reader *reader)
{
    static const struct chan_limits limits = {
        .max_events = 100000, .max_bytes = 1 << 30, .overflow = OVERFLOW_DROP_OLDEST};
    static const struct chan_callbacks callbacks = {.readable = ignore_readable};
    const size_t index = (size_t)(reader - model.readers);

    reader->chan = chan_new(&limits, &callbacks);
    cr_assert(wildcard_add(&model.set, &reader->wildcard, reader->chan, joins) == ERR_OK);
    for (size_t i = 0; i < INLETS; i++) {
        struct origin *origin = &model.origins[i];

        if (!origin->open || origin->leaving)
            continue;
        origin->gets[index] = !origin->closed;
        if (!origin->closed)
            reader->expected_states[origin->number] = PRODUCER_ACTIVE;
    }
}

static void count_left(void *ctx, struct inlet *inlet)
{
    (void)inlet;
    (*(uint32_t *)ctx)++;
}

static uint32_t forget_reader(size_t index)
{
    uint32_t count = 0;

    for (size_t i = 0; i < INLETS; i++) {
        count += model.origins[i].gets[index];
        model.origins[i].gets[index] = false;
    }
    return count;
}

static void leave_now(struct reader *reader)
{
    uint32_t left = 0;

    wildcard_remove(&model.set, &reader->wildcard, false, count_left, &left);
    cr_assert(left == forget_reader((size_t)(reader - model.readers)));
    read_all(reader);
    cr_assert(reader->events == reader->expected_events);
    free_reader(reader);
}

static void sweep(void)
{
    struct list gone, *node;

    list_init(&gone);
    wildcard_sweep(&model.set, &gone);
    while ((node = list_first(&gone))) {
        struct reader *reader = container_of(node, struct reader, wildcard.link);

        list_remove(node);
        cr_assert(reader->abandoned && !reader->wildcard.in_set);
        forget_reader((size_t)(reader - model.readers));
        free_reader(reader);
    }
}

static void open_origin(struct origin *origin)
{
    const struct inlet_start start = {.name = text_of("web"), .epoch = model.sources, .state = INLET_OPEN};

    *origin = (struct origin){.open = true, .number = model.sources++};
    cr_assert(inlet_init(&origin->inlet, &start) == ERR_OK);
    wildcard_set_add_inlet(&model.set, &origin->inlet);
    for (size_t i = 0; i < CONSUMERS; i++) {
        origin->gets[i] = model.readers[i].wildcard.in_set;
        if (origin->gets[i])
            model.readers[i].expected_states[origin->number] = PRODUCER_ACTIVE;
    }
}

static void end_origin(struct origin *origin)
{
    wildcard_set_remove_inlet(&model.set, &origin->inlet, &(struct source_state){PRODUCER_ENDED, 5, "over"});
    origin->leaving = true;
    for (size_t i = 0; i < CONSUMERS; i++) {
        if (origin->gets[i])
            model.readers[i].expected_states[origin->number] = PRODUCER_ENDED;
        origin->gets[i] = false;
    }
}

static void free_reported(struct origin *origin)
{
    if (inlet_has_reports(&origin->inlet))
        return;
    inlet_fini(&origin->inlet);
    *origin = (struct origin){0};
}

static void offer_one(struct origin *origin)
{
    struct chunk *chunk = sample_chunk(2, "t", 10);
    struct offer offer;
    uint32_t expected = 0;

    cr_assert(inlet_offer(&origin->inlet, chunk, NULL, &offer) == ERR_OK);
    chunk_release(chunk);
    for (size_t i = 0; i < CONSUMERS; i++) {
        expected += origin->gets[i];
        if (origin->gets[i])
            model.readers[i].expected_events += 2;
    }
    cr_assert(offer.matched == expected, "%u, not %u", offer.matched, expected);
}

/* ---- a step ---- */

static void change_reader(struct reader *reader)
{
    if (!reader->chan)
        join(reader);
    else if (!reader->abandoned && roll(3) == 0)
        leave_now(reader);
    else if (!reader->abandoned) {
        wildcard_abandon(&model.set, &reader->wildcard);
        reader->abandoned = true;
    }
}

static void change_origin(struct origin *origin)
{
    if (!origin->open)
        open_origin(origin);
    else if (origin->leaving)
        free_reported(origin);
    else if (!origin->closed && roll(4) == 0)
        origin->closed = true;
    else if (roll(2) == 0)
        end_origin(origin);
}

static void check_all(void)
{
    while (inlet_reports_step(&model.set))
        continue;
    for (size_t i = 0; i < CONSUMERS; i++) {
        struct reader *reader = &model.readers[i];

        if (!reader->chan || reader->abandoned)
            continue;
        check_reader(reader);
        for (size_t j = 0; j < INLETS; j++)
            if (model.origins[j].open && !model.origins[j].leaving)
                cr_assert(wildcard_gets(&reader->wildcard, &model.origins[j].inlet) ==
                          model.origins[j].gets[i]);
    }
}

static void step(void)
{
    struct origin *origin = &model.origins[roll(INLETS)];

    switch (roll(8)) {
    case 0:
    case 1:
        change_reader(&model.readers[roll(CONSUMERS)]);
        break;
    case 2:
    case 3:
        change_origin(origin);
        break;
    case 4:
        (void)inlet_reports_step(&model.set);
        break;
    case 5:
        if (roll(3) == 0)
            sweep();
        break;
    case 6:
        if (origin->open && !origin->leaving)
            offer_one(origin);
        break;
    default:
        if (roll(4) == 0)
            check_all();
    }
}

static void end_all(void)
{
    check_all();
    for (size_t i = 0; i < CONSUMERS; i++)
        if (model.readers[i].chan && !model.readers[i].abandoned)
            leave_now(&model.readers[i]);
    sweep();
    for (size_t i = 0; i < INLETS; i++)
        if (model.origins[i].open && !model.origins[i].leaving)
            end_origin(&model.origins[i]);
    while (inlet_reports_step(&model.set))
        continue;
    for (size_t i = 0; i < INLETS; i++) {
        if (model.origins[i].open)
            free_reported(&model.origins[i]);
        cr_assert(!model.origins[i].open);
    }
    wildcard_set_fini(&model.set);
    cr_assert(count_get(COUNT_LIVE_ROUTES) == 0);
    cr_assert(count_get(COUNT_LIVE_CHANNELS) == 0);
}

Test(wildcard_model, everybody_gets_what_the_table_says_and_hears_of_each_source)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        model = (struct model_state){.dice = {seed}};
        wildcard_set_init(&model.set, ignore_reported);
        for (unsigned i = 0; i < STEPS; i++)
            step();
        end_all();
    }
}
