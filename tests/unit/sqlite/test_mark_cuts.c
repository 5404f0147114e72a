/* test_mark_cuts.c - the power is cut, or the disk is full, while events with ids and delays are
 * published. What is not confirmed is sent again with its ids. Afterwards each event that was
 * confirmed is there once, and no event is there twice (row_3).
 *
 *   TOPIC_CUTS=20000 test_mark_cuts, TOPIC_SEED=5: as in test_topic_cuts.c */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cuts.h"
#include "marked_events.h"

#define LIVES 4u /* of one store */
#define MAX_EVENTS 4000u
#define MAX_AT_ONCE 8u
#define MAX_DELAY_NS (3 * NS_PER_MS)
#define PATIENCE_NS (10 * NS_PER_S)

static struct store_fixture fixture;
static uint64_t topic;
static unsigned sent, confirmed_below; /* events [1, sent] were sent; those up to the other one confirmed */
static unsigned times[MAX_EVENTS + 1];

static void begin(void)
{
    cuts_begin(&fixture);
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(mark_cuts, .init = begin, .fini = end);

/* ---- a life ---- */

static bool make_the_topic(void)
{
    const struct topic_settings settings = {.id_window_ns = 3600 * NS_PER_S};
    const struct topic_change change = change_topic(&fixture, TOPIC_CREATE, "marks", settings);

    topic = change.id;
    return change.outcome == TOPIC_DONE || change.outcome == TOPIC_EXISTS;
}

/* Sends the next events: first those whose outcome is not known, in any case with their ids. */
static bool publish(void)
{
    struct marked batch;
    const unsigned first = confirmed_below + 1, count = 1 + roll(MAX_AT_ONCE);
    char text[16];

    marked_init(&batch, topic);
    for (unsigned number = first; number < first + count; number++) {
        snprintf(text, sizeof(text), "%u", number);
        marked_add(&batch, text, text,
                   roll(2) == 0 ? clock_wall_ns() + (int64_t)roll((unsigned)MAX_DELAY_NS) : 0);
        if (roll(8) == 0) /* a twin */
            marked_add(&batch, text, text, 0);
    }
    sent = MAX_OF(sent, first + count - 1);
    const enum topic_outcome outcome = marked_append(&fixture, &batch);
    if (outcome == TOPIC_DONE)
        confirmed_below = first + count - 1;
    return outcome == TOPIC_DONE || outcome == TOPIC_DISK_FULL;
}

static void work(unsigned rounds)
{
    if (!make_the_topic())
        return;
    for (unsigned i = 0; i < rounds && sent + MAX_AT_ONCE < MAX_EVENTS; i++) {
        if (!publish())
            return;
        if (roll(5) == 0)
            usleep((useconds_t)(MAX_DELAY_NS / NS_PER_US));
    }
}

/* ---- what is there ---- */

static void count_events(void)
{
    char *rest = NULL;
    static char text[65536];

    memset(times, 0, sizeof(times));
    snprintf(text, sizeof(text), "%s", marked_text(&fixture, topic));
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        const unsigned number = (unsigned)strtoul(word, NULL, 10);

        cr_assert(number >= 1 && number <= sent, "an event that nobody sent");
        times[number]++;
    }
}

static void check(void)
{
    const int64_t deadline_ns = clock_from_now_ns(PATIENCE_NS);

    if (topic == 0 || topic_info_of(&fixture, topic).id == 0) {
        cr_assert_eq(confirmed_below, 0u, "a topic is gone");
        return;
    }
    while (topic_info_of(&fixture, topic).delayed > 0 && clock_mono_ns() < deadline_ns)
        usleep(500);
    cr_assert_eq(topic_info_of(&fixture, topic).delayed, 0u, "delayed events stay");
    count_events();
    for (unsigned number = 1; number <= sent; number++) {
        cr_assert_leq(times[number], 1u, "event %u is there %u times", number, times[number]);
        cr_assert(number > confirmed_below || times[number] == 1, "event %u was confirmed, and is not there",
                  number);
    }
}

static unsigned live(struct power_plan (*plan_of)(void))
{
    topic = 0;
    sent = confirmed_below = 0;
    for (unsigned i = 0; i < LIVES; i++) {
        const struct power_plan plan = plan_of();

        power_plan_set(&plan);
        if (fixture_open(&fixture) == ERR_OK) {
            appeared_listen(&fixture);
            work(30);
        }
        fixture_close(&fixture);
        power_return(cuts_random());
        fixture_expect_open(&fixture);
        appeared_listen(&fixture);
        check();
        work(3);
        check();
        fixture_close(&fixture);
    }
    fixture_fini(&fixture);
    fixture_init(&fixture);
    return LIVES;
}

Test(mark_cuts, a_power_cut_loses_nothing_and_doubles_nothing)
{
    cuts_run(cuts_wanted(1000), live, power_off);
}

Test(mark_cuts, a_sync_that_fails_loses_nothing_and_doubles_nothing)
{
    cuts_run(cuts_wanted(1000), live, failing_sync);
}

static struct power_plan full_disk(void)
{
    return (struct power_plan){.free_bytes = 171000 + roll(400000),
                               .off_at = roll(2) == 0 ? 1 + roll(250) : 0};
}

Test(mark_cuts, a_full_disk_loses_nothing_and_doubles_nothing)
{
    cuts_run(cuts_wanted(100) / 4, live, full_disk);
}
