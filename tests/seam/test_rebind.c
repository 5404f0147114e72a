/* test_rebind.c - a consumer that gets another filter in portions, and what comes between them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/counters.h"
#include "seam/hub_fixture.h"
#include "seam/virtual_clock.h"

#define PRODUCERS 20u
#define MANY_PRODUCERS 3000u
#define MAX_STEPS 30u /* a select over PRODUCERS takes fewer */

struct words {
    const char *producer, *topic;
};

/* Each of them wants some of each producer. */
static const struct words words[] = {{"*", NULL}, {"*", "a"}, {"*", "b"}, {"*", "?"}, {"?*", NULL}};

static struct hub_fixture fixture;

static void begin(void)
{
    hub_fixture_settings.max_producers = MANY_PRODUCERS + 2;
}

TestSuite(rebind, .init = begin);

static const char *name_of(unsigned number)
{
    static char names[4][16];
    static unsigned next;
    char *name = names[next++ % 4];

    snprintf(name, sizeof(names[0]), "p%04u", number);
    return name;
}

static void open(unsigned producers)
{
    hub_fixture_open(&fixture);
    for (unsigned i = 0; i < producers; i++)
        publish(&fixture, name_of(i), 1, "x");
}

static void close_all(void)
{
    virtual_slice_steps = 0;
    hub_fixture_close(&fixture);
}

/* Publishes an event of topic `a` and one of topic `b` as one chunk. */
static void publish_ab(const char *name)
{
    struct putter putter;

    putter_open(&putter, &fixture, name);
    cr_assert_eq(putter_put(&putter, chunk_of_letters("ab", 1)), ERR_OK);
    putter_leave(&putter);
}

static void join(struct consumer *consumer, const struct words *wanted)
{
    struct subscription_params params = subscription_params_of(NULL);

    filter_free(params.filter);
    params.filter = filter_of(wanted->producer, wanted->topic, NULL);
    cr_assert_eq(consumer_begin(consumer, &fixture, params), FAULT_NONE);
    consumer_read(consumer);
}

/* Begins to select; `steps` of them are taken, or now and then none. */
static void begin_select(struct consumer *consumer, const struct words *wanted, unsigned steps)
{
    virtual_slice_steps = steps;
    cr_assert(consumer_select(consumer, wanted->producer, wanted->topic) > 0);
}

static void finish(struct consumer *consumer, enum fault_reason reason, unsigned times)
{
    virtual_time_pass(fixture.loop, 0);
    cr_assert_eq(consumer->selected, times);
    cr_assert_eq(consumer->selected_for, reason);
}

static unsigned times(const char *text, const char *part)
{
    unsigned count = 0;

    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

/* What the words want of an event `a`, which has this sequence, and of the event `b` behind it. */
static const char *wanted_ab(const struct words *wanted, const char *name, unsigned sequence)
{
    static char text[64];
    bool wants_b = !wanted->topic || *wanted->topic != 'a', wants_a = !wanted->topic || *wanted->topic != 'b';

    snprintf(text, sizeof(text), "%s %u-%u", name, wants_a ? sequence : sequence + 1,
             wants_b ? sequence + 1 : sequence);
    return text;
}

/* A producer publishes, one comes and publishes, and one is removed, after so many steps. */
static void check(const struct words *from, const struct words *to, unsigned steps)
{
    struct producer_view view;
    struct consumer consumer;
    struct fault fault;
    char text[4096];

    open(PRODUCERS);
    join(&consumer, from);
    begin_select(&consumer, to, steps);
    publish_ab(name_of(3));
    publish_ab("q");
    cr_assert_eq(hub_remove(fixture.hub, text_of(name_of(5)), 0, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    snprintf(text, sizeof(text), "%s", consumer_read(&consumer));
    /* What was put before the mark stands before it. */
    const struct words *now = times(text, "mark 1") > 0 ? to : from;
    cr_assert(strstr(text, wanted_ab(now, name_of(3), 2)), "%u steps: %s", steps, text);
    cr_assert(strstr(text, wanted_ab(now, "q", 1)), "%u steps: %s", steps, text);
    finish(&consumer, FAULT_NONE, 1);
    publish_ab("q");
    size_t used = strlen(text);
    snprintf(text + used, sizeof(text) - used, "%s", consumer_read(&consumer));
    cr_assert(strstr(text + (now == to ? 0 : used), "mark 1"));
    cr_assert(strstr(text + used, wanted_ab(to, "q", 3)), "%u steps: %s", steps, text);
    cr_assert_eq(times(text, "p0003 "), 1, "%u steps: %s", steps, text);
    cr_assert_eq(times(text, "p0005 is REMOVED"), 1, "%u steps: %s", steps, text);
    cr_assert_eq(times(text, "q is ACTIVE"), 1, "%u steps: %s", steps, text);
    cr_assert_eq(times(text, " is "), 2, "%u steps: %s", steps, text);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), PRODUCERS); /* 19, and q */
    consumer_leave(&consumer);
    close_all();
}

Test(rebind, each_event_comes_under_the_filter_of_its_moment_whatever_comes_and_goes_meanwhile)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        for (size_t j = 0; j < ARRAY_LEN(words); j++)
            for (unsigned steps = 1; steps < MAX_STEPS; steps++)
                check(&words[i], &words[j], steps);
}

Test(rebind, producers_that_only_one_of_the_filters_wants_begin_and_end_once)
{
    static const struct words some = {"p000*", "a"}, others = {"p001*", NULL};
    struct consumer consumer;
    char text[8192];

    for (unsigned steps = 1; steps < MAX_STEPS; steps++) {
        open(PRODUCERS);
        join(&consumer, &some);
        begin_select(&consumer, &others, steps);
        publish_ab(name_of(3));
        publish_ab(name_of(13));
        finish(&consumer, FAULT_NONE, 1);
        snprintf(text, sizeof(text), "%s", consumer_read(&consumer));
        cr_assert_eq(times(text, "p0003 2-2") + times(text, "p0013 2-3"), 1, "%u steps: %s", steps, text);
        cr_assert_eq(times(text, "is ENDED"), 10, "%u steps: %s", steps, text);
        cr_assert_eq(times(text, "is ACTIVE"), 10, "%u steps: %s", steps, text);
        cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 10);
        consumer_leave(&consumer);
        close_all();
    }
}

Test(rebind, many_producers_do_not_take_one_turn)
{
    static const struct words from = {"*", "a"}, to = {"*", "b"};
    struct consumer consumer;

    open(MANY_PRODUCERS);
    join(&consumer, &from);
    begin_select(&consumer, &to, 50);
    cr_assert_eq(consumer.selected, 0);
    publish(&fixture, name_of(7), 1, "a");
    cr_assert_str_eq(consumer_read(&consumer), "p0007 2-2\n", "the filter has not changed yet");
    finish(&consumer, FAULT_NONE, 1);
    publish(&fixture, name_of(7), 1, "b");
    cr_assert_str_eq(consumer_read(&consumer), "mark 1\np0007 3-3\n");
    consumer_leave(&consumer);
    close_all();
}

/* Of a consumer that has unsubscribed: what it has read. */
static void forget(struct consumer *consumer)
{
    chan_release(consumer->chan);
    chan_batch_fini(&consumer->batch);
    buf_fini(&consumer->losses);
    buf_fini(&consumer->runs);
    buf_fini(&consumer->states);
    buf_fini(&consumer->transcript);
}

Test(rebind, an_end_that_comes_meanwhile_is_the_end_of_the_select_too)
{
    for (unsigned i = 0; i < 3 * MAX_STEPS; i++) {
        const unsigned steps = 1 + i / 3;
        struct consumer consumer;
        struct fault fault;

        open(PRODUCERS);
        join(&consumer, &words[i % ARRAY_LEN(words)]);
        begin_select(&consumer, &words[(i / 2 + 1) % ARRAY_LEN(words)], steps);
        if (i % 3 == 0)
            cr_assert_eq(
                hub_finish(fixture.hub, text_of(consumer.result.id), CLOSING_FINISHED, NS_PER_S, &fault),
                FAULT_NONE);
        else if (i % 3 == 1)
            cr_assert_eq(hub_disconnect(fixture.hub, text_of(consumer.result.id), text_of("off"), &fault),
                         FAULT_NONE);
        else
            hub_unsubscribe(consumer.subscription, FAULT_NONE);
        virtual_time_pass(fixture.loop, 0);
        cr_assert_eq(consumer.selected, 1, "%u steps", steps);
        cr_assert(consumer.selected_for == FAULT_NONE || consumer.selected_for == FAULT_DRAINING);
        cr_assert_eq(consumer.closings, i % 3 == 0);
        cr_assert_eq(consumer.aborts, i % 3 == 1);
        if (i % 3 == 2)
            consumer.subscription = NULL;
        consumer_read(&consumer);
        cr_assert_eq(times((const char *)consumer.transcript.data, "mark 1"),
                     consumer.selected_for == FAULT_NONE);
        if (i % 3 != 2)
            cr_assert_eq(consumer_select(&consumer, "*", NULL), 0, "an end has begun");
        if (consumer.subscription)
            consumer_leave(&consumer);
        else
            forget(&consumer);
        cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 0);
        close_all();
    }
}

/* A consumer that begins with history is bound in portions. Its bindings are freed in portions when
 * it has become a wildcard. */
Test(rebind, a_select_may_come_while_the_bindings_of_a_new_wildcard_are_freed)
{
    for (unsigned steps = 1; steps < MAX_STEPS; steps++) {
        struct subscription_params params = subscription_params_of(NULL);
        struct consumer consumer;

        open(PRODUCERS);
        params.last = 1;
        virtual_slice_steps = steps;
        cr_assert_eq(consumer_begin(&consumer, &fixture, params), FAULT_NONE);
        while (consumer.result.pending && !consumer.bound)
            virtual_time_pass(fixture.loop, 0);
        begin_select(&consumer, &words[2], steps);
        publish_ab(name_of(3));
        finish(&consumer, FAULT_NONE, 1);
        begin_select(&consumer, &words[0], steps);
        publish_ab(name_of(3));
        finish(&consumer, FAULT_NONE, 2);
        publish_ab(name_of(3));
        const char *text = consumer_read(&consumer);
        cr_assert_eq(times(text, "mark 2"), 1, "%s", text);
        cr_assert(strstr(text, wanted_ab(&words[0], name_of(3), 6)) || strstr(text, "p0003 4-7") ||
                      strstr(text, "p0003 5-7"),
                  "%s", text);
        cr_assert_eq(count_get(COUNT_LIVE_ROUTES), PRODUCERS);
        consumer_leave(&consumer);
        close_all();
    }
}

Test(rebind, without_memory_for_the_new_bindings_nothing_changes)
{
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        static const struct words none = {"*", "b"};
        struct consumer consumer;

        open(PRODUCERS);
        join(&consumer, &words[i]);
        begin_select(&consumer, &none, 2);
        budget_set(1);
        finish(&consumer, FAULT_MEMORY_BUDGET, 1);
        budget_set(0);
        publish_ab(name_of(3));
        const char *text = consumer_read(&consumer);
        cr_assert_eq(times(text, "mark"), 0, "%s", text);
        cr_assert_eq(times(text, " is "), 0, "%s", text);
        cr_assert(strstr(text, wanted_ab(&words[i], name_of(3), 2)), "%s", text);
        cr_assert_eq(count_get(COUNT_LIVE_ROUTES), PRODUCERS);
        begin_select(&consumer, &none, MAX_STEPS);
        finish(&consumer, FAULT_NONE, 2);
        publish_ab(name_of(3));
        text = consumer_read(&consumer);
        cr_assert(strstr(text, "mark 1\np0003 5-5"), "%s", text);
        consumer_leave(&consumer);
        close_all();
    }
}
