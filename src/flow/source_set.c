/* source_set.c - see source_set.h.
 *
 * A source is in the first free slot from its own on. Where one is taken out, those behind it move
 * up, so no slot has to be marked as used before. */
#include "flow/source_set.h"

#include "base/budget.h"

#define FIRST_SLOTS 16u /* a power of two */

static size_t bytes_of(uint32_t slot_count)
{
    return slot_count * sizeof(struct source *);
}

/* Where the source is, or the free slot where it would be. */
static uint32_t slot_of(const struct source_set *set, const struct source *source)
{
    uint32_t at = source_hash(source) & (set->slot_count - 1);

    while (set->slots[at] && set->slots[at] != source)
        at = (at + 1) & (set->slot_count - 1);
    return at;
}

static bool grow(struct source_set *set)
{
    const struct source_set before = *set;
    uint32_t slot_count = before.slot_count > 0 ? before.slot_count * 2 : FIRST_SLOTS;
    struct source **slots = budget_calloc(COUNT_LIVE_FEED_BYTES, bytes_of(slot_count));

    if (!slots)
        return false;
    set->slots = slots;
    set->slot_count = slot_count;
    set->next = 0;
    for (uint32_t i = 0; i < before.slot_count; i++)
        if (before.slots[i])
            slots[slot_of(set, before.slots[i])] = before.slots[i];
    budget_free(COUNT_LIVE_FEED_BYTES, before.slots, bytes_of(before.slot_count));
    return true;
}

bool source_set_add(struct source_set *set, struct source *source)
{
    if (set->count >= set->slot_count / 8 * 7 && !grow(set))
        return false;
    set->slots[slot_of(set, source)] = source_retain(source);
    set->count++;
    return true;
}

/* Empties the slot. Those behind it that are not in their own slot may have to move up. */
static void clear(struct source_set *set, uint32_t at)
{
    const uint32_t mask = set->slot_count - 1;

    for (uint32_t next = (at + 1) & mask; set->slots[next]; next = (next + 1) & mask) {
        uint32_t own = source_hash(set->slots[next]) & mask;

        if (((next - own) & mask) < ((next - at) & mask))
            continue; /* it would come to stand before its own slot */
        set->slots[at] = set->slots[next];
        at = next;
    }
    set->slots[at] = NULL;
    if (--set->count > 0)
        return;
    budget_free(COUNT_LIVE_FEED_BYTES, set->slots, bytes_of(set->slot_count));
    *set = (struct source_set){0};
}

bool source_set_remove(struct source_set *set, const struct source *source)
{
    uint32_t at = set->count > 0 ? slot_of(set, source) : 0;
    struct source *found = set->count > 0 ? set->slots[at] : NULL;

    if (!found)
        return false;
    clear(set, at);
    source_release(found);
    return true;
}

/* It goes from high slots to low ones, round and round. What moves up into the slot was in a higher
 * one, so it had its turn. At the end of the slots that may be wrong; then its turn comes in the
 * next round. */
struct source *source_set_take(struct source_set *set)
{
    struct source *source = NULL;

    while (set->count > 0 && !source) {
        uint32_t at = set->next & (set->slot_count - 1);

        source = set->slots[at];
        set->next = at - 1;
        if (source)
            clear(set, at);
    }
    return source;
}

void source_set_fini(struct source_set *set)
{
    for (uint32_t i = 0; i < set->slot_count; i++)
        source_release(set->slots[i]);
    budget_free(COUNT_LIVE_FEED_BYTES, set->slots, bytes_of(set->slot_count));
    *set = (struct source_set){0};
}
