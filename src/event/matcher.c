/* matcher.c - finds which of many filters want an event. match_entry.c makes the entries.
 *
 * DESIGN: The matcher is an inverted index. A term is a field (key, topic or type) and a text that
 * the field's value must equal or begin with. An entry can be indexed if each of its selectors has
 * a field of which it accepts only certain values, or only values with certain beginnings. Its
 * terms are all of these. So an event that none of the terms matches cannot be wanted, and the
 * entry is not looked at.
 *
 * All terms are in one hash table with chains, by field, text, and whether the text is a beginning.
 * A probe is one way to look up an event: the whole value of a field, or its first N bytes. Each
 * event costs one lookup for each probe. There is a probe for each field, and for each length of
 * beginnings, that is in use, and at most MAX_PROBES. An entry that would need one probe more, or
 * that cannot be indexed, is in the list `unindexed`: its filter is evaluated for every event.
 *
 * A term only has to find every entry that may want the event. The filter of an entry that was
 * found is then evaluated, unless the term decides (it is all that the filter asks). Two terms may
 * find the same entry: its stamp says that it was already evaluated for this event.
 *
 * Entries that ask the same form a ring. One of them leads: only its terms are in the table, or
 * only it is in `unindexed`. Every entry brings the memory for its terms. So adding and removing
 * need no memory, and when the leader is removed another one of the ring takes over with its own
 * terms. Only a larger table needs memory; without it the chains get longer.
 *
 * Consumers choose the texts. A consumer that makes terms collide on purpose gets at worst the cost
 * of evaluating every filter. */
#include "event/matcher.h"

#include <stdlib.h>

#include "event/matcher_internal.h"
#include "event/peek.h"

#define MIN_SLOTS 8u
#define MAX_PROBES 16u

struct probe {
    uint8_t field; /* enum match_field */
    bool is_prefix;
    uint16_t min;   /* bytes of the beginning; 1 for a whole value */
    uint32_t users; /* terms in the table that need this probe */
};

struct matcher {
    struct match_term **slots; /* `first_slots`, or on the heap */
    uint32_t slot_count;       /* a power of two */
    uint32_t term_count;
    uint32_t probe_count;
    struct probe probes[MAX_PROBES];
    struct list unindexed; /* leaders whose filters are evaluated for every event */
    uint64_t stamp;        /* counts the events */
    struct match_term *first_slots[MIN_SLOTS];
};

/* ---- the table ---- */

static struct match_term **slot_of(const struct matcher *matcher, uint32_t hash)
{
    return &matcher->slots[hash & (matcher->slot_count - 1)];
}

/* Doubles the table if there is memory. */
static void grow(struct matcher *matcher)
{
    uint32_t before = matcher->slot_count;
    struct match_term **old = matcher->slots,
                      **slots = calloc((size_t)before * 2, sizeof(struct match_term *));

    if (!slots)
        return;
    matcher->slots = slots;
    matcher->slot_count = before * 2;
    for (uint32_t i = 0; i < before; i++) {
        struct match_term *next;
        for (struct match_term *term = old[i]; term; term = next) {
            next = term->next;
            term->next = *slot_of(matcher, term->hash);
            *slot_of(matcher, term->hash) = term;
        }
    }
    if (old != matcher->first_slots)
        free(old);
}

static void term_add(struct matcher *matcher, struct match_term *term)
{
    if (matcher->term_count >= matcher->slot_count)
        grow(matcher);
    term->next = *slot_of(matcher, term->hash);
    *slot_of(matcher, term->hash) = term;
    matcher->term_count++;
}

static void term_remove(struct matcher *matcher, struct match_term *term)
{
    struct match_term **link = slot_of(matcher, term->hash);

    while (*link != term) {
        CHECK(*link);
        link = &(*link)->next;
    }
    *link = term->next;
    matcher->term_count--;
}

static struct probe probe_of(const struct match_term *term)
{
    return (struct probe){.field = term->field,
                          .is_prefix = term->is_prefix,
                          .min = term->is_prefix ? (uint16_t)term->text.size : 1};
}

static struct probe *probe_find(struct matcher *matcher, struct probe like)
{
    for (uint32_t i = 0; i < matcher->probe_count; i++) {
        struct probe *probe = &matcher->probes[i];
        if (probe->field == like.field && probe->is_prefix == like.is_prefix && probe->min == like.min)
            return probe;
    }
    return NULL;
}

/* Counts one more user of a probe. False: it would be one probe too many, and nothing changed. */
static bool probe_use(struct matcher *matcher, struct probe like)
{
    struct probe *probe = probe_find(matcher, like);

    if (!probe && matcher->probe_count == MAX_PROBES)
        return false;
    if (!probe) {
        probe = &matcher->probes[matcher->probe_count++];
        *probe = like;
    }
    probe->users++;
    return true;
}

static void probe_leave(struct matcher *matcher, struct probe like)
{
    struct probe *probe = probe_find(matcher, like);

    CHECK(probe);
    if (--probe->users == 0)
        *probe = matcher->probes[--matcher->probe_count];
}

/* ---- entries ---- */

/* The leader of the ring that the entry belongs to; NULL: there is none yet. */
static struct match_entry *leader_of(const struct matcher *matcher, const struct match_entry *entry)
{
    struct match_term *term =
        entry->whole_term.field == FIELD_WHOLE ? *slot_of(matcher, entry->whole_term.hash) : NULL;

    while (term && (term->field != FIELD_WHOLE || term->hash != entry->whole_term.hash ||
                    !match_entry_alike(term->entry, entry)))
        term = term->next;
    return term ? term->entry : NULL;
}

/* Makes the entry the leader of its ring: puts its terms into the table, or the entry into
 * `unindexed`. */
static void index_leader(struct matcher *matcher, struct match_entry *entry)
{
    uint32_t used = 0;

    entry->leads = true;
    entry->stamp = 0;
    if (entry->whole_term.field == FIELD_WHOLE)
        term_add(matcher, &entry->whole_term);
    while (used < entry->term_count && probe_use(matcher, probe_of(&entry->terms[used])))
        used++;
    if (used == entry->term_count && used > 0) {
        for (uint32_t i = 0; i < used; i++)
            term_add(matcher, &entry->terms[i]);
        return;
    }
    while (used-- > 0)
        probe_leave(matcher, probe_of(&entry->terms[used]));
    list_append(&matcher->unindexed, &entry->unindexed);
}

/* Undoes index_leader(). */
static void unindex_leader(struct matcher *matcher, struct match_entry *entry)
{
    bool is_unindexed = !list_empty(&entry->unindexed);

    entry->leads = false;
    if (entry->whole_term.field == FIELD_WHOLE)
        term_remove(matcher, &entry->whole_term);
    list_remove(&entry->unindexed);
    for (uint32_t i = 0; i < entry->term_count && !is_unindexed; i++) {
        term_remove(matcher, &entry->terms[i]);
        probe_leave(matcher, probe_of(&entry->terms[i]));
    }
}

void matcher_add(struct matcher *matcher, struct match_entry *entry)
{
    struct match_entry *leader = leader_of(matcher, entry);

    if (leader)
        list_append(&leader->alike, &entry->alike);
    else
        index_leader(matcher, entry);
}

void matcher_remove(struct matcher *matcher, struct match_entry *entry)
{
    struct list *other = list_first(&entry->alike);

    list_remove(&entry->alike);
    if (!entry->leads)
        return;
    unindex_leader(matcher, entry);
    if (other)
        index_leader(matcher, container_of(other, struct match_entry, alike));
}

struct matcher *matcher_new(void)
{
    struct matcher *matcher = calloc(1, sizeof(*matcher));

    if (!matcher)
        return NULL;
    matcher->slots = matcher->first_slots;
    matcher->slot_count = MIN_SLOTS;
    list_init(&matcher->unindexed);
    return matcher;
}

void matcher_free(struct matcher *matcher)
{
    if (!matcher)
        return;
    CHECK(matcher->term_count == 0);
    if (matcher->slots != matcher->first_slots)
        free(matcher->slots);
    free(matcher);
}

/* ---- events ---- */

/* Evaluates the entry's filter. Returns the chain of hits, with the entry in front if it wants the
 * event. */
static struct match_entry *evaluate(struct match_entry *entry, const struct event_view *view,
                                    struct match_entry *hits)
{
    if (!filter_event(entry->filter, &entry->part, view))
        return hits;
    entry->next_hit = hits;
    return entry;
}

/* Evaluates the entries whose terms are `text` in this probe. Returns the chain of hits. */
static struct match_entry *evaluate_term(struct matcher *matcher, const struct probe *probe,
                                         struct bytes text, const struct event_view *view,
                                         struct match_entry *hits)
{
    uint32_t hash = hash_of(probe->field, text);

    for (struct match_term *term = *slot_of(matcher, hash); term; term = term->next) {
        struct match_entry *entry = term->entry;
        if (term->hash != hash || term->field != probe->field || term->is_prefix != probe->is_prefix ||
            entry->stamp == matcher->stamp || !bytes_same(term->text, text))
            continue;
        if (term->decides) {
            entry->next_hit = hits;
            hits = entry;
        } else {
            hits = evaluate(entry, view, hits);
        }
        entry->stamp = matcher->stamp;
    }
    return hits;
}

/* Where a view keeps the content of each field. */
static const uint8_t view_offsets[FIELDS] = {
    [FIELD_KEY] = offsetof(struct event_view, key),
    [FIELD_TOPIC] = offsetof(struct event_view, topic),
    [FIELD_TYPE] = offsetof(struct event_view, type),
};

struct match_entry *matcher_match(struct matcher *matcher, struct bytes event)
{
    SCRATCH struct event_view view;
    struct match_entry *hits = NULL;

    event_peek(event, &view);
    matcher->stamp++;
    for (uint32_t i = 0; i < matcher->probe_count; i++) {
        const struct probe *probe = &matcher->probes[i];
        struct bytes text =
            *(const struct bytes *)(const void *)((const char *)&view + view_offsets[probe->field]);
        if (text.size < probe->min)
            continue;
        if (probe->is_prefix)
            text.size = probe->min;
        hits = evaluate_term(matcher, probe, text, &view, hits);
    }
    for (struct list *node = matcher->unindexed.next; node != &matcher->unindexed; node = node->next)
        hits = evaluate(container_of(node, struct match_entry, unindexed), &view, hits);
    return hits;
}
