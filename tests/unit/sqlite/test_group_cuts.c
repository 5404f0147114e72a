/* test_group_cuts.c - the power is cut, or a sync fails, while groups save cursors with dead
 * letters. Each round saves the cursors of two groups and one dead letter; a cursor is the number
 * of the round. Afterwards all that was confirmed is there, both cursors name the same round, and
 * so many dead letters are there (row_3).
 *
 *   TOPIC_CUTS=20000 test_group_cuts, TOPIC_SEED=5: as in test_topic_cuts.c */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuts.h"
#include "group_steps.h"

#define LIVES 4u /* of one store */

static struct store_fixture fixture;
static uint64_t topic, dead, groups[2];
static unsigned tried, confirmed; /* rounds */

static void begin(void)
{
    cuts_begin(&fixture);
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(group_cuts, .init = begin, .fini = end, .timeout = 280);

/* ---- a life ---- */

static bool make(uint64_t *topic_out, const char *name)
{
    const struct topic_change change =
        change_topic(&fixture, TOPIC_CREATE, name, (struct topic_settings){.max_events = 0});

    *topic_out = change.id;
    return change.outcome == TOPIC_DONE || change.outcome == TOPIC_EXISTS;
}

static bool make_all(void)
{
    static const char *const names[] = {"a", "b"};

    if (!make(&topic, "orders") || !make(&dead, "orders.dlq"))
        return false;
    for (unsigned i = 0; i < 2; i++) {
        const struct group_change change = change_group(&fixture, GROUP_CREATE, names[i], "");

        groups[i] = change.incarnation;
        if (change.outcome != TOPIC_DONE)
            return false;
    }
    return true;
}

static bool save_round(unsigned round)
{
    const uint64_t end_seq = topic_info_of(&fixture, topic).next_seq;
    char text[16];
    struct batch batch;

    snprintf(text, sizeof(text), "%u", round);
    const struct group_cursor cursors[] = {
        {text_bytes("a"), groups[0], topic, end_seq, text_bytes(text), text_bytes("")},
        {text_bytes("b"), groups[1], topic, end_seq, text_bytes(text), text_bytes("")}};
    batch_init(&batch, (struct batch_params){.topic = dead, .producer = 'd', .first = round, .count = 1});
    tried = round;
    if (save_all(&fixture, cursors, 2, &batch) != TOPIC_DONE)
        return false;
    confirmed = round;
    return true;
}

static void work(unsigned rounds)
{
    if (!make_all())
        return;
    for (unsigned i = 0; i < rounds; i++) {
        if (roll(2) == 0 && append(&fixture, topic, 'p', 0, 1, 1 + roll(5)) != TOPIC_DONE)
            return;
        if (!save_round(confirmed + 1))
            return;
    }
}

/* ---- what is there ---- */

struct found {
    unsigned cursors, rounds[2];
};

static bool note(void *ctx, const struct group_cursor_info *info)
{
    struct found *found = ctx;
    char text[16] = "";

    cr_assert_lt(info->cursor.size, sizeof(text));
    memcpy(text, info->cursor.data, info->cursor.size);
    found->rounds[info->group.data[0] == 'b'] = (unsigned)strtoul(text, NULL, 10);
    found->cursors++;
    cr_assert_not(info->is_beyond, "a cursor is ahead of its topic");
    return true;
}

static void count_dead(void *ctx, uint64_t seq, char producer, uint64_t number)
{
    unsigned *last = ctx;

    cr_assert_eq(producer, 'd');
    cr_assert_eq(number, seq, "dead letter %lu is there at %lu", (unsigned long)number, (unsigned long)seq);
    *last = (unsigned)number;
}

/* What an unknown outcome led to counts from now on. */
static void check(void)
{
    struct found found = {0, {0, 0}};
    struct refusal refusal;
    unsigned letters = 0;

    cr_assert_eq(store_read_cursors(fixture.store, note, &found, &refusal), ERR_OK, "%s", refusal.text);
    if (dead != 0 && topic_info_of(&fixture, dead).id != 0)
        cr_assert_eq(topic_each(&fixture, dead, count_dead, &letters), TOPIC_DONE);
    cr_assert_geq(found.rounds[0], confirmed, "round %u was confirmed, and the cursor has %u", confirmed,
                  found.rounds[0]);
    cr_assert_leq(found.rounds[0], tried, "a cursor that nobody saved");
    cr_assert_eq(found.rounds[0], found.rounds[1], "of a save one cursor is there: %u, %u", found.rounds[0],
                 found.rounds[1]);
    cr_assert_eq(letters, found.rounds[0], "%u dead letters, and the cursor has %u", letters,
                 found.rounds[0]);
    confirmed = found.rounds[0];
}

static unsigned live(struct power_plan (*plan_of)(void))
{
    topic = dead = 0;
    tried = confirmed = 0;
    for (unsigned i = 0; i < LIVES; i++) {
        const struct power_plan plan = plan_of();

        power_plan_set(&plan);
        if (fixture_open(&fixture) == ERR_OK)
            work(30);
        fixture_close(&fixture);
        power_return(cuts_random());
        fixture_expect_open(&fixture);
        check();
        work(2);
        check();
        fixture_close(&fixture);
    }
    fixture_fini(&fixture);
    fixture_init(&fixture);
    return LIVES;
}

Test(group_cuts, a_power_cut_leaves_a_save_whole_or_absent)
{
    cuts_run(cuts_wanted(1000), live, power_off);
}

Test(group_cuts, a_sync_that_fails_leaves_a_save_whole_or_absent)
{
    cuts_run(cuts_wanted(1000), live, failing_sync);
}
