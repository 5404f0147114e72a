/* test_moved_sources.c - shared sources of which only the position is still to be reported: the
 * channel gives their feeds back where there are more than a few. */
#include <criterion/criterion.h>
#include <string.h>

#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "flow/producer_state.h"
#include "flow/shared_feed.h"
#include "flow_fixture.h"
#include "lib/chunks.h"

#define MANY 40u
#define KEPT 4u /* feeds that stay */

static const struct chan_limits silent = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_DROP_OLDEST, .no_states = true};

static struct flow_fixture fixture;
static struct source *many[MANY];

static void close_fixture(void)
{
    for (uint32_t i = 0; i < MANY; i++)
        source_release(many[i]);
    flow_fixture_close(&fixture);
}

TestSuite(moved_sources, .fini = close_fixture);

static uint32_t feeds(void)
{
    return flow_fixture_feeds(&fixture);
}

static uint64_t ended_sources(void)
{
    struct chan_stats stats;

    chan_stats(fixture.chan, &stats);
    return stats.ended_sources;
}

/* Puts an event of the source, and delivers it. */
static void move(struct source *source)
{
    uint64_t sequence = atomic_load(&source->routed) + 1;
    struct chunk *chunk = chunk_even(source, sequence, 0, 1, 10);

    cr_assert_eq(chan_put(fixture.chan, NULL, chunk, 0, 1, NULL), ERR_OK);
    atomic_store(&source->routed, sequence);
    chunk_release(chunk);
    flow_fixture_deliver(&fixture, 9);
}

/* Every source has moved once, and nothing of it is left but that. */
static void open_moved(void)
{
    flow_fixture_open(&fixture, &silent, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        many[i] = source_named("many", i);
        move(many[i]);
    }
}

/* The position that was reported of each source; more than one report of a source fails. */
static uint64_t reported[MANY];

static void note_position(void *ctx, const struct source *source, uint64_t sequence)
{
    (void)ctx;
    cr_expect_eq(reported[source->epoch], 0, "source %u comes once", (unsigned)source->epoch);
    reported[source->epoch] = sequence;
}

static uint32_t report_positions(uint32_t max)
{
    memset(reported, 0, sizeof(reported));
    return chan_positions(fixture.chan, max, note_position, NULL);
}

Test(moved_sources, of_many_sources_that_moved_only_their_names_are_kept)
{
    open_moved();
    cr_assert_eq(feeds(), KEPT);
    move(many[0]);
    cr_assert_eq(report_positions(UINT32_MAX), MANY);
    for (uint32_t i = 0; i < MANY; i++)
        cr_assert_eq(reported[i], i == 0 ? 2 : 1);
    cr_assert_eq(feeds(), 0);
    cr_assert_eq(report_positions(UINT32_MAX), 0, "once");
}

/* Finding 17: no source is left out. */
Test(moved_sources, every_source_that_moved_is_reported_though_others_move_all_the_time)
{
    bool is_reported[MANY] = {false};
    uint32_t left = MANY;

    open_moved();
    for (uint32_t round = 0; left > 0; round++) {
        cr_assert_lt(round, 2 * MANY, "%u were never reported", (unsigned)left);
        cr_assert_leq(report_positions(6), 6);
        for (uint32_t i = 0; i < MANY; i++) {
            if (reported[i] == 0)
                continue;
            left -= !is_reported[i];
            is_reported[i] = true;
            move(many[i]);
        }
    }
}

Test(moved_sources, a_source_without_a_feed_that_moved_is_frozen_with_its_position)
{
    open_moved();
    cr_assert(shared_freeze(fixture.chan, many[MANY - 1]), "a feed keeps the position");
    atomic_store(&many[MANY - 1]->routed, 50);
    shared_freeze_all(fixture.chan);
    for (uint32_t i = 0; i < MANY; i++)
        atomic_store(&many[i]->routed, 60);
    cr_assert_eq(report_positions(UINT32_MAX), MANY);
    for (uint32_t i = 0; i < MANY; i++)
        cr_assert_eq(reported[i], 1, "what came later is not the consumer's");
}

Test(moved_sources, a_source_without_a_feed_that_moved_is_reported_before_it_counts_as_ended)
{
    open_moved();
    for (uint32_t i = 0; i < MANY; i++)
        shared_end(fixture.chan, many[i], PRODUCER_REMOVED, 0, NULL);
    cr_assert_eq(ended_sources(), 0);
    cr_assert_eq(report_positions(UINT32_MAX), MANY);
    (void)chan_states(fixture.chan, UINT32_MAX, NULL, NULL);
    cr_assert_eq(ended_sources(), MANY);
    cr_assert_eq(feeds(), 0);
}
