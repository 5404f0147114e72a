/* test_relay.c - what another server has numbered: where a source stands, what it skips, and which
 * losses count. */
#include <criterion/criterion.h>

#include "event/chunk.h"
#include "flow/chan_limits.h"
#include "flow/put_waiter.h"
#include "lib/events.h"
#include "route/inlet.h"
#include "route/relay.h"

static struct inlet inlet;
static struct relay_place place;

static void begin(void)
{
    const struct inlet_start start = {.name = text_of("up/a"), .epoch = 7, .unplaced = true};

    cr_assert_eq(inlet_init(&inlet, &start), ERR_OK);
    inlet_set_state(&inlet, INLET_OPEN);
    place = (struct relay_place){0};
}

static enum err relay(uint64_t first, uint32_t count)
{
    OWNED(chunk_release) struct chunk *chunk = sample_chunk(count, "t", 1);
    struct put_waiter waiter = {0};

    chunk->first_sequence = first;
    return inlet_relay(&inlet, &place, chunk, &waiter);
}

static void lose(enum loss reason, uint64_t count, uint64_t first, uint64_t last, bool moves)
{
    const struct source_loss loss = {
        .count = count, .first_sequence = first, .last_sequence = last, .reason = reason};

    cr_assert(inlet_lose(&inlet, &place, &loss, moves));
}

static void expect(uint64_t sequence, uint64_t published, uint64_t lost)
{
    cr_assert_eq(inlet_sequence(&inlet), sequence);
    cr_assert_eq(inlet.published.events, published);
    cr_assert_eq(inlet.lost.events, lost);
    cr_assert_not(inlet.uncounted);
}

Test(relay, keeps_sequences_and_leaves_out_what_repeats)
{
    begin();
    cr_assert_eq(relay(5, 3), ERR_OK);
    cr_assert_eq(inlet.placed_at, 4);
    cr_assert_eq(relay(5, 3), ERR_OK);
    cr_assert_eq(relay(6, 4), ERR_OK);
    expect(9, 5, 0);
    inlet_fini(&inlet);
}

Test(relay, a_hole_is_uncounted_unless_its_loss_was_reported)
{
    begin();
    cr_assert_eq(relay(1, 3), ERR_OK);
    lose(LOSS_COALESCED, 2, 4, 5, false);
    cr_assert_eq(relay(6, 1), ERR_OK);
    expect(6, 4, 2);
    cr_assert_eq(relay(8, 1), ERR_OK);
    cr_assert(inlet.uncounted);
    inlet_fini(&inlet);
}

Test(relay, what_was_lost_before_the_source_has_its_place_does_not_explain_later_holes)
{
    begin();
    lose(LOSS_OVERFLOW_OLDEST, 9, 1, 9, true);
    expect(9, 0, 9);
    cr_assert_eq(relay(10, 1), ERR_OK);
    cr_assert_eq(relay(12, 1), ERR_OK);
    cr_assert(inlet.uncounted);
    inlet_fini(&inlet);
}

Test(relay, a_resume_gap_does_not_count_again_what_was_reported_ahead_of_it)
{
    begin();
    cr_assert_eq(relay(1, 9), ERR_OK);
    lose(LOSS_OVERFLOW_OLDEST, 5, 10, 14, false); /* of an upstream's upstream */
    expect(9, 9, 5);
    lose(LOSS_RESUME_GAP, 11, 10, 20, true); /* it stood at 9 */
    expect(20, 9, 11);
    cr_assert_eq(relay(21, 1), ERR_OK);
    expect(21, 10, 11);
    inlet_fini(&inlet);
}

Test(relay, a_resume_gap_behind_what_was_reported_counts_whole)
{
    begin();
    cr_assert_eq(relay(1, 9), ERR_OK);
    lose(LOSS_OVERFLOW_OLDEST, 5, 10, 14, false);
    lose(LOSS_RESUME_GAP, 6, 15, 20, true); /* it stood at 14, by its token */
    expect(20, 9, 11);
    inlet_fini(&inlet);
}

Test(relay, a_position_moves_the_source_and_an_inlet_that_is_closed_hears_nothing)
{
    begin();
    cr_assert_eq(relay(1, 2), ERR_OK);
    inlet_place(&inlet, &place, 2);
    expect(2, 2, 0);
    inlet_set_state(&inlet, INLET_CLOSED);
    cr_assert_eq(relay(3, 1), ERR_CLOSED);
    cr_assert_not(
        inlet_lose(&inlet, &place, &(struct source_loss){.count = 1, .reason = LOSS_BUDGET}, false));
    inlet_set_state(&inlet, INLET_REMOVED);
    cr_assert_eq(relay(3, 1), ERR_NOT_FOUND);
    inlet_fini(&inlet);
}
