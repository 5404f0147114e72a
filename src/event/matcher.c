/* matcher.c - finds which of many filters want an event. match_entry.c makes the entries.
 *
 * DESIGN: The matcher is an inverted index. A term is a field (key, topic or type) and a text that
 * the field's value must equal or begin with; or a header that must be there, with one value or
 * with any. An entry can be indexed if each of its selectors has a field of which it accepts only
 * certain values, or only values with certain beginnings, or asks for a header. Its terms are all
 * of these. So an event that none of the terms matches cannot be wanted, and the entry is not
 * looked at.
 *
 * The terms that are whole values are in one hash table with chains, by field and text. So are
 * headers, by name, or by name and value. Those that are beginnings are in a tree for each field
 * (match_tree.h). An event costs one lookup in the table and one in a tree for each field that is
 * in use, which are bounded by the bytes of the field. If an entry has a term with a header, an
 * event costs two lookups for each of its headers too. An entry that cannot be indexed is in the
 * list `unindexed`: its filter is evaluated for every event.
 *
 * A term only has to find every entry that may want the event. The filter of an entry that was
 * found is then evaluated, unless the term decides (it is all that the filter asks). Two terms may
 * find the same entry: its stamp says that it was already evaluated for this event.
 *
 * Entries that ask the same form a ring. One of them leads: only its terms are in the index, or
 * only it is in `unindexed`. When the leader is removed another one of the ring takes over with its
 * own terms. Adding needs memory for the nodes of a tree, and now and then for a larger table.
 * Without memory for a node the entry becomes unindexed; without a larger table the chains get
 * longer. Removing needs none.
 *
 * Consumers choose the texts. The hash depends on a secret, so nobody can make terms collide on
 * purpose. */
#include "event/matcher.h"

#include <stdlib.h>

#include "event/match_tree.h"
#include "event/matcher_internal.h"
#include "event/peek.h"
#include "event/work.h"

#define MIN_SLOTS 8u

struct matcher {
    struct match_term **slots; /* `first_slots`, or on the heap */
    uint32_t slot_count;       /* a power of two */
    uint32_t term_count;       /* in the table */
    uint32_t values[FIELDS];   /* of these, values of each field */
    struct match_node *trees[TEXT_FIELDS];
    uint32_t fields;       /* a bit for each field that has a term */
    struct list unindexed; /* leaders whose filters are evaluated for every event */
    uint64_t stamp;        /* counts the events */
    uint64_t secret;       /* of the hash */
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

/* ---- the index: table and trees ---- */

/* False: out of memory, and nothing changed. */
static bool index_term(struct matcher *matcher, struct match_term *term)
{
    if (term->is_prefix && !match_tree_add(&matcher->trees[term->field], term))
        return false;
    if (!term->is_prefix) {
        term_add(matcher, term);
        matcher->values[term->field]++;
    }
    matcher->fields |= BIT(term->field);
    return true;
}

static void unindex_term(struct matcher *matcher, struct match_term *term)
{
    if (term->is_prefix) {
        match_tree_remove(&matcher->trees[term->field], term);
    } else {
        term_remove(matcher, term);
        matcher->values[term->field]--;
    }
    if (matcher->values[term->field] == 0 && (term->field >= TEXT_FIELDS || !matcher->trees[term->field]))
        matcher->fields &= ~BIT(term->field);
}

/* ---- entries ---- */

/* The leader of the ring that the entry belongs to; NULL: there is none yet. */
static struct match_entry *leader_of(const struct matcher *matcher, const struct match_entry *entry)
{
    struct match_term *term = *slot_of(matcher, entry->whole_term.hash);

    while (term && (term->field != FIELD_WHOLE || term->hash != entry->whole_term.hash ||
                    !match_entry_alike(term->entry, entry)))
        term = term->next;
    return term ? term->entry : NULL;
}

/* Makes the entry the leader of its ring: puts its terms into the index, or the entry into
 * `unindexed`. */
static void index_leader(struct matcher *matcher, struct match_entry *entry)
{
    uint32_t indexed = 0;

    entry->leads = true;
    entry->stamp = 0;
    term_add(matcher, &entry->whole_term);
    while (indexed < entry->term_count && index_term(matcher, &entry->terms[indexed]))
        indexed++;
    if (indexed == entry->term_count && indexed > 0)
        return;
    while (indexed-- > 0)
        unindex_term(matcher, &entry->terms[indexed]);
    list_append(&matcher->unindexed, &entry->unindexed);
}

/* Undoes index_leader(). */
static void unindex_leader(struct matcher *matcher, struct match_entry *entry)
{
    bool is_unindexed = !list_empty(&entry->unindexed);

    entry->leads = false;
    term_remove(matcher, &entry->whole_term);
    list_remove(&entry->unindexed);
    for (uint32_t i = 0; i < entry->term_count && !is_unindexed; i++)
        unindex_term(matcher, &entry->terms[i]);
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
    matcher->secret = text_hash_secret();
    return matcher;
}

void matcher_free(struct matcher *matcher)
{
    if (!matcher)
        return;
    CHECK(matcher->term_count == 0); /* each leader has its whole term there */
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

/* An event that is being matched. */
struct match {
    struct matcher *matcher;
    struct match_entry *hits; /* the chain of hits so far */
    struct event_view view;
};

/* Evaluates the entry of a term that matches, unless it was evaluated already. */
static inline void hit(struct match *match, struct match_term *term)
{
    struct match_entry *entry = term->entry;

    COUNT_WORK(1);
    if (entry->stamp == match->matcher->stamp)
        return;
    entry->stamp = match->matcher->stamp;
    if (term->decides) {
        entry->next_hit = match->hits;
        match->hits = entry;
    } else {
        match->hits = evaluate(entry, &match->view, match->hits);
    }
}

/* Evaluates the entries that want exactly this value of a field. */
static inline void hit_value(struct match *match, enum match_field field, struct bytes value)
{
    uint32_t hash = match_text_hash(match->matcher->secret, field, value);

    for (struct match_term *term = *slot_of(match->matcher, hash); term; term = term->next) {
        if (term->hash == hash && term->field == field && bytes_same(term->text, value))
            hit(match, term);
    }
}

/* Evaluates the entries that want a beginning of this value of a field. */
static inline void hit_prefixes(struct match *match, enum match_field field, struct bytes value)
{
    const struct match_node *node = match->matcher->trees[field];
    size_t same = 0; /* bytes of the value that were compared */

    for (; node && node->depth <= value.size; node = match_node_child(node, value)) {
        COUNT_WORK(1);
        if (!node->terms)
            continue;
        if (!bytes_same((struct bytes){node->terms->text.data + same, node->depth - same},
                        (struct bytes){value.data + same, node->depth - same}))
            break; /* nothing below can match */
        same = node->depth;
        for (struct match_term *term = node->terms; term; term = term->next)
            hit(match, term);
    }
}

/* Evaluates the entries that want this header, or this header with this value. */
static inline void hit_header(struct match *match, const struct pair *header, uint32_t name_hash)
{
    const struct matcher *matcher = match->matcher;

    for (struct match_term *term = *slot_of(matcher, name_hash); term; term = term->next) {
        if (term->hash == name_hash && term->field == FIELD_HEADER_NAME &&
            bytes_same(term->header->name.text, header->name))
            hit(match, term);
    }
    if (matcher->values[FIELD_HEADER] == 0 || header->value.size > MAX_PATTERN_BYTES)
        return; /* no pattern is that long */
    uint32_t hash = match_header_hash(matcher->secret, name_hash, header->value);
    for (struct match_term *term = *slot_of(matcher, hash); term; term = term->next) {
        if (term->hash == hash && term->field == FIELD_HEADER &&
            bytes_same(term->header->name.text, header->name) &&
            bytes_same(term->header->value.text, header->value))
            hit(match, term);
    }
}

static NOINLINE void hit_headers(struct match *match)
{
    const struct pair_index *index = event_headers_index(match->view.headers);

    for (uint32_t i = 0; i < index->count; i++)
        hit_header(match, &index->pairs[i], index->hashes[i]);
}

/* Where a view keeps the content of each field. */
static const uint8_t view_offsets[TEXT_FIELDS] = {
    [FIELD_KEY] = offsetof(struct event_view, key),
    [FIELD_TOPIC] = offsetof(struct event_view, topic),
    [FIELD_TYPE] = offsetof(struct event_view, type),
};

struct match_entry *matcher_match(struct matcher *matcher, struct bytes event)
{
    SCRATCH struct event_headers headers;
    SCRATCH struct match match;

    match.matcher = matcher;
    match.hits = NULL;
    event_peek(event, &match.view, &headers);
    matcher->stamp++;
    for (uint32_t mask = matcher->fields & (BIT(TEXT_FIELDS) - 1); mask != 0; mask &= mask - 1) {
        enum match_field field = (enum match_field)__builtin_ctz(mask);
        struct bytes value =
            *(const struct bytes *)(const void *)((const char *)&match.view + view_offsets[field]);
        if (value.size == 0) /* no term is empty */
            continue;
        if (matcher->values[field] > 0)
            hit_value(&match, field, value);
        if (matcher->trees[field])
            hit_prefixes(&match, field, value);
    }
    if (matcher->fields >> TEXT_FIELDS != 0 && headers.count > 0)
        hit_headers(&match);
    for (struct list *node = matcher->unindexed.next; node != &matcher->unindexed; node = node->next)
        match.hits = evaluate(container_of(node, struct match_entry, unindexed), &match.view, match.hits);
    return match.hits;
}
