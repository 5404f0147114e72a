/* match_entry.c - what a seat brings along: the names that lead to it, and whom it is like. */
#include <stdlib.h>

#include "event/matcher.h"
#include "event/matcher_internal.h"

/* Above so many patterns a filter is asked for every event, by itself: a seat is made for each
 * producer that the filter matches, and may cost neither much memory nor much time. */
#define MAX_PATTERNS 64u

struct choice {
    const struct pattern *list;
    uint32_t count; /* 0: nothing */
};

/* What the rule wants of the field. */
static struct choice choice_of(const struct rule *rule, enum match_field field)
{
    if (field == FIELD_TOPIC)
        return (struct choice){&rule->topic, rule->topic.kind != PATTERN_ANY};
    if (field == FIELD_KEY)
        return (struct choice){rule->keys.list, rule->keys.count};
    return (struct choice){rule->types.list, rule->types.count};
}

/* 2: certain values; 1: certain beginnings; 0: no names can be had. */
static int worth(struct choice choice)
{
    int worth = choice.count > 0 ? 2 : 0;

    for (uint32_t i = 0; i < choice.count; i++) {
        if (choice.list[i].prefix == 0)
            return 0;
        if (choice.list[i].kind != PATTERN_EXACT)
            worth = 1;
    }
    return worth;
}

/* The field by which its events are found; FIELDS: none. */
static enum match_field best_field(const struct rule *rule)
{
    enum match_field best = FIELDS;

    for (int min = 2; best == FIELDS && min > 0; min--) {
        for (enum match_field field = FIELD_KEY; best == FIELDS && field < FIELDS; field++)
            best = worth(choice_of(rule, field)) >= min ? field : FIELDS;
    }
    return best;
}

/* How many names the part needs; 0: names cannot be had. */
static uint32_t count_names(const struct filter *filter, const struct filter_part *part)
{
    uint32_t count = 0;

    for (uint64_t mask = part->selectors; mask != 0; mask &= mask - 1) {
        const struct rule *rule = &filter->rules[__builtin_ctzll(mask)];
        enum match_field field = best_field(rule);

        if (field == FIELDS)
            return 0;
        count += choice_of(rule, field).count;
    }
    return count;
}

static uint32_t count_patterns(const struct rule *rules, uint64_t mask)
{
    uint32_t count = 0;

    for (; mask != 0; mask &= mask - 1) {
        const struct rule *rule = &rules[__builtin_ctzll(mask)];
        count += 1 + rule->keys.count + rule->types.count + rule->headers.count;
    }
    return count;
}

static uint32_t hash_patterns(uint32_t hash, struct choice choice)
{
    for (uint32_t i = 0; i < choice.count; i++)
        hash = hash_of(hash, choice.list[i].text);
    return hash;
}

static uint32_t hash_rules(uint32_t hash, const struct rule *rules, uint64_t mask)
{
    for (; mask != 0; mask &= mask - 1) {
        const struct rule *rule = &rules[__builtin_ctzll(mask)];

        for (enum match_field field = FIELD_KEY; field < FIELDS; field++)
            hash = hash_patterns(hash + field, choice_of(rule, field));
        for (uint32_t i = 0; i < rule->headers.count; i++)
            hash = hash_of(hash_of(hash, rule->headers.list[i].name), rule->headers.list[i].value.text);
    }
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
    bool same = a->headers.count == b->headers.count;

    for (enum match_field field = FIELD_KEY; same && field < FIELDS; field++)
        same = same_choice(choice_of(a, field), choice_of(b, field));
    for (uint32_t i = 0; same && i < a->headers.count; i++)
        same = bytes_same(a->headers.list[i].name, b->headers.list[i].name) &&
               bytes_same(a->headers.list[i].value.text, b->headers.list[i].value.text);
    return same;
}

/* What is asked of events, rule by rule: producers and labels are settled. */
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

static void fill_names(struct match_entry *entry)
{
    struct match_name *name = entry->names;

    for (uint64_t mask = entry->part.selectors; entry->name_count > 0 && mask != 0; mask &= mask - 1) {
        const struct rule *rule = &entry->filter->rules[__builtin_ctzll(mask)];
        enum match_field field = best_field(rule);
        struct choice choice = choice_of(rule, field);
        bool decides = is_only_condition(rule, field) && entry->part.excludes == 0;

        for (uint32_t i = 0; i < choice.count; i++, name++) {
            const struct pattern *pattern = &choice.list[i];
            struct bytes text = {pattern->text.data, pattern->prefix};
            *name = (struct match_name){.entry = entry,
                                        .text = text,
                                        .hash = hash_of(field, text),
                                        .field = (uint8_t)field,
                                        .is_prefix = pattern->kind != PATTERN_EXACT,
                                        .decides = decides && pattern->kind != PATTERN_GLOB};
        }
    }
}

struct match_entry *match_entry_new(const struct filter *filter, const struct filter_part *part, void *owner)
{
    const struct rule *excludes = filter->rules + filter->selector_count;
    bool large = count_patterns(filter->rules, part->selectors) + count_patterns(excludes, part->excludes) >
                 MAX_PATTERNS;
    uint32_t count = large ? 0 : count_names(filter, part);
    struct match_entry *entry = calloc(1, sizeof *entry + count * sizeof entry->names[0]);

    CHECK(part->answer == FILTER_BY_EVENT);
    if (entry == NULL)
        return NULL;
    entry->owner = owner;
    entry->filter = filter;
    entry->part = *part;
    entry->name_count = count;
    list_init(&entry->alike);
    list_init(&entry->asked);
    fill_names(entry);
    if (!large)
        entry->alike_name.hash =
            hash_rules(hash_rules(FIELD_ALIKE, filter->rules, part->selectors), excludes, part->excludes);
    entry->alike_name.entry = entry;
    entry->alike_name.field = large ? FIELD_NONE : FIELD_ALIKE;
    return entry;
}

void match_entry_free(struct match_entry *entry)
{
    free(entry);
}
