/* match_entry.c - what an entry brings to a matcher: its terms, and whether it is like another
 * entry. */
#include "event/matcher.h"

#include <stdlib.h>

#include "event/matcher_internal.h"

/* The patterns of one field, one of which must match. */
struct choice {
    const struct glob *list;
    uint32_t count; /* 0: everything matches */
};

/* What the rule asks of the field. */
static struct choice choice_of(const struct rule *rule, enum match_field field)
{
    if (field == FIELD_TOPIC)
        return (struct choice){&rule->topic, rule->topic.kind != GLOB_ANY};
    if (field == FIELD_KEY)
        return (struct choice){rule->keys.list, rule->keys.count};
    return (struct choice){rule->types.list, rule->types.count};
}

/* How well the field serves as index: 2: all its patterns are values; 1: some are only beginnings;
 * 0: it cannot be indexed. */
static int worth(struct choice choice)
{
    int worth = choice.count > 0 ? 2 : 0;

    for (uint32_t i = 0; i < choice.count; i++) {
        if (choice.list[i].prefix == 0)
            return 0;
        if (choice.list[i].kind != GLOB_EXACT)
            worth = 1;
    }
    return worth;
}

/* The field by which the rule is indexed; FIELDS: none can be. */
static enum match_field best_field(const struct rule *rule)
{
    enum match_field best = FIELDS;

    for (int min = 2; best == FIELDS && min > 0; min--) {
        for (enum match_field field = FIELD_KEY; best == FIELDS && field < FIELDS; field++)
            best = worth(choice_of(rule, field)) >= min ? field : FIELDS;
    }
    return best;
}

/* How many terms the part needs; 0: it cannot be indexed, or needs too many. */
static uint32_t count_terms(const struct filter *filter, const struct filter_part *part)
{
    uint32_t count = 0;

    for (uint64_t mask = part->selectors; mask != 0; mask &= mask - 1) {
        const struct rule *rule = &filter->rules[__builtin_ctzll(mask)];
        enum match_field field = best_field(rule);

        if (field == FIELDS)
            return 0;
        count += choice_of(rule, field).count;
        if (count > MAX_TERMS)
            return 0;
    }
    return count;
}

static uint64_t hash_rules(uint64_t hash, const struct rule *rules, uint64_t mask)
{
    for (; mask != 0; mask &= mask - 1)
        hash = text_hash_mix(hash, rules[__builtin_ctzll(mask)].hash, hash);
    return hash;
}

static bool same_choice(struct choice a, struct choice b)
{
    for (uint32_t i = 0; i < a.count && a.count == b.count; i++) {
        if (!bytes_same(a.list[i].text, b.list[i].text))
            return false;
    }
    return a.count == b.count;
}

static bool same_rule(const struct rule *a, const struct rule *b)
{
    bool same = a->hash == b->hash && a->headers.count == b->headers.count;

    for (enum match_field field = FIELD_KEY; same && field < FIELDS; field++)
        same = same_choice(choice_of(a, field), choice_of(b, field));
    for (uint32_t i = 0; same && i < a->headers.count; i++)
        same = bytes_same(a->headers.list[i].name.text, b->headers.list[i].name.text) &&
               bytes_same(a->headers.list[i].value.text, b->headers.list[i].value.text);
    return same;
}

/* Whether both ask the same of events, rule by rule. Producers and labels are decided already. */
static bool same_rules(const struct rule *a, uint64_t a_mask, const struct rule *b, uint64_t b_mask)
{
    for (; a_mask != 0 && b_mask != 0; a_mask &= a_mask - 1, b_mask &= b_mask - 1) {
        if (!same_rule(&a[__builtin_ctzll(a_mask)], &b[__builtin_ctzll(b_mask)]))
            return false;
    }
    return a_mask == 0 && b_mask == 0;
}

bool match_entry_alike(const struct match_entry *a, const struct match_entry *b)
{
    return same_rules(a->filter->rules, a->part.selectors, b->filter->rules, b->part.selectors) &&
           same_rules(a->filter->rules + a->filter->selector_count, a->part.excludes,
                      b->filter->rules + b->filter->selector_count, b->part.excludes);
}

static bool is_only_condition(const struct rule *rule, enum match_field field)
{
    bool only = rule->headers.count == 0;

    for (enum match_field other = FIELD_KEY; other < FIELDS; other++)
        only = only && (other == field || choice_of(rule, other).count == 0);
    return only;
}

static void fill_terms(struct match_entry *entry, uint64_t secret)
{
    struct match_term *term = entry->terms;

    for (uint64_t mask = entry->part.selectors; entry->term_count > 0 && mask != 0; mask &= mask - 1) {
        const struct rule *rule = &entry->filter->rules[__builtin_ctzll(mask)];
        enum match_field field = best_field(rule);
        struct choice choice = choice_of(rule, field);
        bool only = is_only_condition(rule, field) && entry->part.excludes == 0;

        for (uint32_t i = 0; i < choice.count; i++, term++) {
            const struct glob *pattern = &choice.list[i];
            struct bytes text = {pattern->text.data, pattern->prefix};
            *term = (struct match_term){
                .entry = entry,
                .text = text,
                .hash = match_text_hash(secret, field, text),
                .field = (uint8_t)field,
                .is_prefix = pattern->kind != GLOB_EXACT,
                .decides = only && (pattern->kind == GLOB_EXACT || pattern->kind == GLOB_PREFIX)};
        }
    }
}

struct match_entry *match_entry_new(const struct filter *filter, const struct filter_part *part, void *owner)
{
    const struct rule *excludes = filter->rules + filter->selector_count;
    const uint64_t secret = text_hash_secret();
    uint32_t count = count_terms(filter, part);
    struct match_entry *entry = calloc(1, sizeof(*entry) + count * sizeof(entry->terms[0]));

    CHECK(part->answer == FILTER_BY_EVENT);
    if (!entry)
        return NULL;
    entry->owner = owner;
    entry->filter = filter;
    entry->part = *part;
    entry->term_count = count;
    list_init(&entry->alike);
    list_init(&entry->unindexed);
    fill_terms(entry, secret);
    entry->whole_term = (struct match_term){
        .entry = entry,
        .hash = (uint32_t)hash_rules(hash_rules(secret, filter->rules, part->selectors) + 1, excludes,
                                     part->excludes),
        .field = FIELD_WHOLE};
    return entry;
}

void match_entry_free(struct match_entry *entry)
{
    free(entry);
}
