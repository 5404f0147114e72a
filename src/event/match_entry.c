/* match_entry.c - what an entry brings to a matcher: its terms, whether it is like another entry,
 * and what it may cost. */
#include "event/matcher.h"

#include <stdlib.h>

#include "event/matcher_internal.h"

/* The patterns of one field, one of which must match. */
struct choice {
    const struct glob *list;
    uint32_t count; /* 0: everything matches */
};

/* What the rule asks of the field, of events of a stored topic or of others. */
static struct choice choice_of(const struct rule *rule, enum match_field field, bool is_stored)
{
    if (field == FIELD_TOPIC)
        return (struct choice){&rule->topic, !is_stored && rule->topic.kind != GLOB_ANY};
    if (field == FIELD_ORIGIN)
        return (struct choice){&rule->producer, is_stored && rule->by_origin};
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

/* By what a rule is indexed, and how many terms that takes. */
struct index_by {
    enum match_field field; /* FIELDS: it cannot be indexed */
    uint32_t count;
    const struct glob *patterns;       /* of a field with texts: one for each term */
    const struct pair_pattern *header; /* of the other two */
};

/* The first header that must have one value; where none must, the first one. NULL: none. */
static const struct pair_pattern *best_header(const struct rule *rule)
{
    for (uint32_t i = 0; i < rule->headers.count; i++) {
        if (rule->headers.list[i].value.kind == GLOB_EXACT)
            return &rule->headers.list[i];
    }
    return rule->headers.count > 0 ? rule->headers.list : NULL;
}

/* What finds the fewest events comes first: values before beginnings, and these before the mere
 * name of a header. */
static struct index_by index_of(const struct rule *rule, bool is_stored)
{
    const struct pair_pattern *header = best_header(rule);
    bool is_value = header && header->value.kind == GLOB_EXACT;

    for (int min = 2; min > 0; min--) {
        for (enum match_field field = FIELD_KEY; field < TEXT_FIELDS; field++) {
            struct choice choice = choice_of(rule, field, is_stored);

            if (worth(choice) >= min)
                return (struct index_by){.field = field, .count = choice.count, .patterns = choice.list};
        }
        if (is_value)
            return (struct index_by){.field = FIELD_HEADER, .count = 1, .header = header};
    }
    return (struct index_by){
        .field = header ? FIELD_HEADER_NAME : FIELDS, .count = header ? 1 : 0, .header = header};
}

/* How many terms the selectors in `mask` need; 0: one of them cannot be indexed, or they need too
 * many. */
static uint32_t count_terms(const struct filter *filter, const struct filter_part *part)
{
    uint32_t count = 0;

    for (uint64_t mask = part->selectors; mask != 0; mask &= mask - 1) {
        struct index_by by = index_of(&filter->rules[__builtin_ctzll(mask)], part->is_stored);

        count += by.count;
        if (by.field == FIELDS || count > MAX_TERMS)
            return 0;
    }
    return count;
}

static uint64_t hash_rules(uint64_t hash, const struct rule *rules, uint64_t mask, bool is_stored)
{
    const uint64_t secret = text_hash_secret();

    for (; mask != 0; mask &= mask - 1) {
        const struct rule *rule = &rules[__builtin_ctzll(mask)];

        hash = text_hash_mix(hash, rule->hash, hash);
        if (is_stored && rule->by_origin)
            hash = text_hash(secret, hash, rule->producer.text);
    }
    return hash;
}

static bool same_choice(struct choice a, struct choice b)
{
    for (uint32_t i = 0; i < a.count && a.count == b.count; i++) {
        if (a.list[i].kind != b.list[i].kind || !bytes_same(a.list[i].text, b.list[i].text))
            return false;
    }
    return a.count == b.count;
}

static bool same_rule(const struct rule *a, const struct rule *b, bool is_stored)
{
    bool same = a->hash == b->hash && a->headers.count == b->headers.count;

    for (enum match_field field = FIELD_KEY; same && field < TEXT_FIELDS; field++)
        same = same_choice(choice_of(a, field, is_stored), choice_of(b, field, is_stored));
    for (uint32_t i = 0; same && i < a->headers.count; i++)
        same = bytes_same(a->headers.list[i].name.text, b->headers.list[i].name.text) &&
               bytes_same(a->headers.list[i].value.text, b->headers.list[i].value.text);
    return same;
}

/* Whether both ask the same of events, rule by rule. What the producer decides is decided
 * already. */
static bool same_rules(const struct rule *a, uint64_t a_mask, const struct rule *b, uint64_t b_mask,
                       bool is_stored)
{
    for (; a_mask != 0 && b_mask != 0; a_mask &= a_mask - 1, b_mask &= b_mask - 1) {
        if (!same_rule(&a[__builtin_ctzll(a_mask)], &b[__builtin_ctzll(b_mask)], is_stored))
            return false;
    }
    return a_mask == 0 && b_mask == 0;
}

bool match_entry_alike(const struct match_entry *a, const struct match_entry *b)
{
    const bool is_stored = a->part.is_stored;

    return is_stored == b->part.is_stored &&
           same_rules(a->filter->rules, a->part.selectors, b->filter->rules, b->part.selectors, is_stored) &&
           same_rules(a->filter->rules + a->filter->selector_count, a->part.excludes,
                      b->filter->rules + b->filter->selector_count, b->part.excludes, is_stored);
}

/* Whether the rule asks nothing else of an event than what it is indexed by. */
static bool is_only_condition(const struct rule *rule, const struct index_by *by, bool is_stored)
{
    bool only = rule->headers.count == (by->header ? 1 : 0);

    for (enum match_field other = FIELD_KEY; other < TEXT_FIELDS; other++)
        only = only && (other == by->field || choice_of(rule, other, is_stored).count == 0);
    return only;
}

/* Whether a term decides that the `number`-th of its patterns matches. */
static bool is_decided(const struct index_by *by, uint32_t number)
{
    enum glob_kind kind = by->header ? by->header->value.kind : by->patterns[number].kind;

    if (by->field == FIELD_HEADER_NAME)
        return kind == GLOB_ANY;
    return kind == GLOB_EXACT || kind == GLOB_PREFIX;
}

/* Sets what the term finds. */
static void set_text(struct match_term *term, uint64_t secret, const struct index_by *by, uint32_t number)
{
    term->field = (uint8_t)by->field;
    if (by->header) {
        term->header = by->header;
        term->hash = by->header->name.hash;
        if (by->field == FIELD_HEADER)
            term->hash = match_header_hash(secret, term->hash, by->header->value.text);
        return;
    }
    const struct glob *pattern = &by->patterns[number];
    term->text = (struct bytes){pattern->text.data, pattern->prefix};
    term->hash = match_text_hash(secret, by->field, term->text);
    term->is_prefix = pattern->kind != GLOB_EXACT;
}

static void fill_terms(struct match_entry *entry, uint64_t secret)
{
    struct match_term *term = entry->terms;

    for (uint64_t mask = entry->part.selectors; entry->term_count > 0 && mask != 0; mask &= mask - 1) {
        const struct rule *rule = &entry->filter->rules[__builtin_ctzll(mask)];
        struct index_by by = index_of(rule, entry->part.is_stored);
        bool only = is_only_condition(rule, &by, entry->part.is_stored) && entry->part.excludes == 0;

        for (uint32_t i = 0; i < by.count; i++, term++) {
            *term = (struct match_term){.entry = entry, .decides = only && is_decided(&by, i)};
            set_text(term, secret, &by, i);
        }
    }
}

/* ---- what a filter may cost ---- */

static uint64_t cost_of_patterns(struct choice choice)
{
    uint64_t cost = 0;

    for (uint32_t i = 0; i < choice.count; i++)
        cost += pattern_cost(&choice.list[i], MAX_NAME_TEXT);
    return cost;
}

/* What it costs to find out whether an event matches the rule. */
static uint64_t cost_of_rule(const struct rule *rule, bool is_stored)
{
    uint64_t cost = 0;

    for (enum match_field field = FIELD_KEY; field < TEXT_FIELDS; field++)
        cost += cost_of_patterns(choice_of(rule, field, is_stored));
    for (uint32_t i = 0; i < rule->headers.count; i++)
        cost += PATTERN_COST + rule->headers.list[i].name.text.size +
                pattern_cost(&rule->headers.list[i].value, MAX_HEADER_TEXT);
    return cost;
}

/* Whether the index alone can say that an event matches the selector. */
static bool is_rule_decided(const struct rule *rule, bool is_stored)
{
    struct index_by by = index_of(rule, is_stored);
    bool decided = by.field != FIELDS && is_only_condition(rule, &by, is_stored);

    for (uint32_t i = 0; decided && i < by.count; i++)
        decided = is_decided(&by, i);
    return decided;
}

/* Whether the rule asks anything of the events of a stored topic, or of others. */
static bool asks_of_events(const struct rule *rule, bool is_stored)
{
    return is_stored ? rule->labels.count == 0 && rule_by_stored_event(rule) : rule->by_event;
}

/* match_entry_cost() for the events of stored topics, or for others. */
static uint32_t cost_of(const struct filter *filter, bool is_stored)
{
    uint32_t terms = 0;
    uint64_t cost = MATCH_COST;
    bool decided = true;

    for (uint32_t i = 0; i < filter->selector_count + filter->exclude_count; i++) {
        const struct rule *rule = &filter->rules[i];

        if (!asks_of_events(rule, is_stored))
            continue;
        cost += MAX_OF(cost_of_rule(rule, is_stored), MATCH_COST);
        terms += index_of(rule, is_stored).count;
        decided = decided && i < filter->selector_count && is_rule_decided(rule, is_stored);
    }
    return decided && terms <= MAX_TERMS ? 0 : (uint32_t)cost;
}

uint32_t match_entry_cost(const struct filter *filter, bool has_topics)
{
    const uint32_t live = cost_of(filter, false);

    return has_topics ? MAX_OF(live, cost_of(filter, true)) : live;
}

/* ---- making ---- */

static size_t bytes_with(uint32_t terms)
{
    const struct match_entry *entry = NULL;

    return sizeof(*entry) + terms * sizeof(entry->terms[0]);
}

size_t match_entry_bytes(const struct match_entry *entry)
{
    return entry ? bytes_with(entry->term_count) : 0;
}

struct match_entry *match_entry_new(const struct filter *filter, const struct filter_part *part, void *owner)
{
    const struct rule *excludes = filter->rules + filter->selector_count;
    const uint64_t secret = text_hash_secret();
    const bool is_stored = part->is_stored;
    uint32_t count = count_terms(filter, part);
    struct match_entry *entry = calloc(1, bytes_with(count));

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
        .hash = (uint32_t)hash_rules(hash_rules(secret, filter->rules, part->selectors, is_stored) + 1,
                                     excludes, part->excludes, is_stored),
        .field = FIELD_WHOLE};
    return entry;
}

void match_entry_free(struct match_entry *entry)
{
    free(entry);
}
