/* publisher.c - what of a batch is new. */
#include "topic/publisher.h"

static struct publisher_decision refuse(enum publisher_verdict verdict, uint64_t expected)
{
    return (struct publisher_decision){.verdict = verdict, .expected = expected};
}

static struct publisher_decision accept(const struct publisher_batch *batch, uint32_t duplicates,
                                        uint64_t last)
{
    return (struct publisher_decision){.verdict = PUBLISHER_ACCEPTED,
                                       .duplicates = duplicates,
                                       .as = {.is_known = true, .life = batch->life, .last = last}};
}

struct publisher_decision publisher_decide(const struct publisher_state *state,
                                           const struct publisher_batch *batch)
{
    const uint64_t first = batch->first_number;

    if (first == 0 || batch->count == 0 || first > UINT64_MAX - batch->count)
        return refuse(PUBLISHER_INVALID, 0);
    if (!state->is_known && first > 1)
        return refuse(PUBLISHER_UNKNOWN, 1);
    if (state->is_known && batch->life < state->life)
        return refuse(PUBLISHER_FENCED, 0);
    if (!state->is_known || batch->life > state->life)
        return accept(batch, 0, first + batch->count - 1);
    if (first > state->last + 1)
        return refuse(PUBLISHER_GAP, state->last + 1);
    const uint64_t stored = state->last + 1 - first;
    const uint32_t duplicates = (uint32_t)MIN_OF(stored, batch->count);
    return accept(batch, duplicates, MAX_OF(state->last, first + batch->count - 1));
}
