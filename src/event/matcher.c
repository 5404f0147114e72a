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
 * Often all entries are indexed by one field. Then only that field of an event is read, and the
 * rest of it only for a filter that has to be evaluated.
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

#include "event/chunk_origin.h"
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

/* An event that is being matched. */
struct match {
    struct matcher *matcher;
    struct bytes event;
    struct match_entry *hits; /* the chain of hits so far */
    bool has_view;            /* `view` is read, which filters need */
    struct event_view view;
    struct event_headers headers;
};

static inline void read_view(struct match *match)
{
    event_peek(match->event, &match->view, &match->headers);
    match->has_view = true;
}

/* Evaluates the entry's filter. Puts the entry in front of the chain of hits if it wants the
 * event. */
static NOINLINE void evaluate(struct match *match, struct match_entry *entry)
{
    if (!match->has_view)
        read_view(match);
    if (!filter_event(entry->filter, &entry->part, &match->view))
        return;
    entry->next_hit = match->hits;
    match->hits = entry;
}

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
        evaluate(match, entry);
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

/* Evaluates the entries that want this value of a field, or how it begins. */
static INLINE void hit_field(struct match *match, enum match_field field, struct bytes value)
{
    if (value.size == 0) /* no term is empty */
        return;
    if (match->matcher->values[field] > 0)
        hit_value(match, field, value);
    if (match->matcher->trees[field])
        hit_prefixes(match, field, value);
}

/* Where a view keeps the content of each field. */
static const uint8_t view_offsets[TEXT_FIELDS] = {
    [FIELD_ORIGIN] = offsetof(struct event_view, origin),
    [FIELD_KEY] = offsetof(struct event_view, key),
    [FIELD_TOPIC] = offsetof(struct event_view, topic),
    [FIELD_TYPE] = offsetof(struct event_view, type),
};

/* Finds the hits of match->event. */
static NOINLINE void match_event(struct match *match)
{
    struct matcher *matcher = match->matcher;

    read_view(match);
    for (uint32_t mask = matcher->fields & (BIT(TEXT_FIELDS) - 1); mask != 0; mask &= mask - 1) {
        enum match_field field = (enum match_field)__builtin_ctz(mask);

        hit_field(match, field,
                  *(const struct bytes *)(const void *)((const char *)&match->view + view_offsets[field]));
    }
    if (matcher->fields >> TEXT_FIELDS != 0 && match->headers.count > 0)
        hit_headers(match);
    for (struct list *node = matcher->unindexed.next; node != &matcher->unindexed; node = node->next)
        evaluate(match, container_of(node, struct match_entry, unindexed));
}

/* The tag of each field in an event. */
static const uint8_t tags[EVENT_TEXTS] = {
    [FIELD_KEY] = WIRE_TAG(PB_EVENT_KEY, WIRE_LEN),
    [FIELD_TOPIC] = WIRE_TAG(PB_EVENT_TOPIC, WIRE_LEN),
    [FIELD_TYPE] = WIRE_TAG(PB_EVENT_TYPE, WIRE_LEN),
};

/* The field of the event that alone finds every entry. EVENT_TEXTS: there is none. */
static enum match_field only_field(const struct matcher *matcher)
{
    bool is_only = matcher->fields != 0 && (matcher->fields & (matcher->fields - 1)) == 0 &&
                   list_empty(&matcher->unindexed);

    return is_only && matcher->fields < BIT(EVENT_TEXTS) ? (enum match_field)__builtin_ctz(matcher->fields)
                                                         : EVENT_TEXTS;
}

/* Events in a row: event i is [offsets[i], offsets[i + 1]) of `data`. */
struct events {
    const uint8_t *data;
    const uint32_t *offsets;
    uint32_t count;
    struct bytes origin; /* of all of them */
};

/* matcher_match_chunk() for any events. Where one field finds every entry, only this field is
 * read. */
static uint32_t match_events(struct matcher *matcher, struct events events, struct match_pass *pass,
                             struct match_hit *hits_out, uint32_t max)
{
    const enum match_field field = only_field(matcher);
    SCRATCH struct match match;
    uint32_t count = 0;

    match.matcher = matcher;
    match.hits = pass->chain;
    match.view.origin = events.origin;
    for (;;) {
        for (; match.hits && count < max; match.hits = match.hits->next_hit)
            hits_out[count++] = (struct match_hit){match.hits, pass->next - 1};
        if (match.hits || pass->next == events.count)
            break;
        match.event = (struct bytes){events.data + events.offsets[pass->next],
                                     events.offsets[pass->next + 1] - events.offsets[pass->next]};
        match.has_view = false;
        pass->next++;
        matcher->stamp++;
        if (LIKELY(field < EVENT_TEXTS))
            hit_field(&match, field, event_peek_field(match.event, tags[field]));
        else
            match_event(&match);
    }
    pass->chain = match.hits;
    return count;
}

struct match_entry *matcher_match(struct matcher *matcher, struct bytes event)
{
    const uint32_t offsets[2] = {0, (uint32_t)event.size};
    struct match_pass pass = {0};

    (void)match_events(matcher, (struct events){event.data, offsets, 1, {NULL, 0}}, &pass, NULL, 0);
    return pass.chain;
}

uint32_t matcher_match_chunk(struct matcher *matcher, const struct chunk *chunk, struct match_pass *pass,
                             struct match_hit *hits_out, uint32_t max)
{
    const struct events events = {chunk->data, chunk->offsets, chunk->count, chunk_origin(chunk)};

    return match_events(matcher, events, pass, hits_out, max);
}
