/* selector.c - selectors become a filter: patterns are told apart once, so that asking is cheap.
 *
 * A filter is one block of memory: the struct, its rules (selectors first, then excludes), the patterns and pairs of their lists, and the
 * text of all of them. */
#include "event/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum pattern_kind {
    PATTERN_ANY,   /* unset, or stars only */
    PATTERN_EXACT, /* no star, no question mark */
    PATTERN_GLOB
};

struct pattern {
    struct bytes text;
    enum pattern_kind kind;
};

struct wanted {
    struct bytes name;
    struct pattern value;
};

struct patterns {
    struct pattern *list;
    uint32_t count; /* 0: anything */
};

struct pairs {
    struct wanted *list;
    uint32_t count;
};

struct rule {
    struct pattern producer, topic;
    struct patterns keys, types;
    struct pairs headers, labels;
    bool asks; /* whether an event has a say, or producer and labels settle it */
};

struct filter {
    uint32_t selector_count;
    uint32_t exclude_count;
    struct rule rules[];
};

/* What is not used yet of a filter's block, per kind. */
struct stock {
    struct pattern *patterns;
    struct wanted *wanted;
    uint8_t *text;
};

static bool same(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

/* Bytes of the character at `at`: a lead byte and what belongs to it. Stray bytes are characters of their own. */
static size_t character(const uint8_t *at, size_t left)
{
    size_t most = at[0] < 0xc0 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    size_t size = 1;

    while (size < most && size < left && (at[size] & 0xc0) == 0x80)
        size++;
    return size;
}

/* When something does not match, only the last star needs another try, one character further: an earlier star has nothing to gain, since
 * what stands between the two was found as early as it can be. So the cost is bounded by the product of the sizes. */
bool glob_match(struct bytes pattern, struct bytes text)
{
    size_t p = 0;
    size_t t = 0;
    size_t after_star = 0; /* 0: no star yet */
    size_t retry = 0;

    while (t < text.size) {
        uint8_t wanted = p < pattern.size ? pattern.at[p] : 0;
        if (p < pattern.size && wanted == '*') {
            after_star = ++p;
            retry = t;
            if (p == pattern.size)
                return true;
        } else if (p < pattern.size && wanted == '?') {
            p++;
            t += character(text.at + t, text.size - t);
        } else if (p < pattern.size && wanted == text.at[t]) {
            p++;
            t++;
        } else if (after_star > 0) {
            p = after_star;
            retry += character(text.at + retry, text.size - retry);
            t = retry;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.at[p] == '*')
        p++;
    return p == pattern.size;
}

static inline bool matches(const struct pattern *pattern, struct bytes text)
{
    switch (pattern->kind) {
    case PATTERN_ANY:
        return true;
    case PATTERN_EXACT:
        return same(pattern->text, text);
    case PATTERN_GLOB:
        return glob_match(pattern->text, text);
    }
    return false;
}

static enum fault_reason check_text(struct bytes text, const char *path, struct fault *fault)
{
    char bound[48];

    if (text.size > PATTERN_BYTES_MOST) {
        snprintf(bound, sizeof bound, "at most %u bytes", PATTERN_BYTES_MOST);
        return fault_bytes(fault, FAULT_TOO_LONG, path, text, bound);
    }
    return utf8_valid(text) ? FAULT_NONE : fault_bytes(fault, FAULT_BAD_UTF8, path, text, "");
}

/* An entry of a list, which must say something. */
static enum fault_reason check_entry(struct bytes text, const char *list, uint32_t index, const char *part, struct fault *fault)
{
    char path[64];

    snprintf(path, sizeof path, "%s[%u]%s", list, index, part);
    if (text.size == 0)
        return fault_set(fault, FAULT_EMPTY, path, "at least 1 byte");
    return check_text(text, path, fault);
}

static enum fault_reason check_count(size_t count, const char *path, struct fault *fault)
{
    char bound[48];

    if (count <= SELECTORS_MOST)
        return FAULT_NONE;
    snprintf(bound, sizeof bound, "at most %u", SELECTORS_MOST);
    return fault_number(fault, FAULT_TOO_MANY, path, count, bound);
}

static enum fault_reason check_patterns(const struct bytes *patterns, uint32_t count, const char *list, struct fault *fault)
{
    enum fault_reason reason = check_count(count, list, fault);

    for (uint32_t i = 0; reason == FAULT_NONE && i < count; i++)
        reason = check_entry(patterns[i], list, i, "", fault);
    return reason;
}

static enum fault_reason check_pairs(const struct pair *pairs, uint32_t count, const char *list, struct fault *fault)
{
    enum fault_reason reason = check_count(count, list, fault);

    for (uint32_t i = 0; reason == FAULT_NONE && i < count; i++) {
        reason = check_entry(pairs[i].name, list, i, ".name", fault);
        if (reason == FAULT_NONE)
            reason = check_entry(pairs[i].value, list, i, ".value", fault);
    }
    return reason;
}

static enum fault_reason check_selector(const struct selector *selector, struct fault *fault)
{
    enum fault_reason reason = check_text(selector->producer, "producer", fault);

    if (selector->producer.size + selector->topic.size == 0 && selector->key_count == 0 && selector->type_count == 0 &&
        selector->header_count == 0 && selector->label_count == 0)
        return fault_set(fault, FAULT_EMPTY, "", "set producer: \"*\" for everything");
    if (reason == FAULT_NONE)
        reason = check_text(selector->topic, "topic", fault);
    if (reason == FAULT_NONE)
        reason = check_patterns(selector->keys, selector->key_count, "keys", fault);
    if (reason == FAULT_NONE)
        reason = check_patterns(selector->types, selector->type_count, "types", fault);
    if (reason == FAULT_NONE)
        reason = check_pairs(selector->headers, selector->header_count, "headers", fault);
    if (reason == FAULT_NONE)
        reason = check_pairs(selector->labels, selector->label_count, "labels", fault);
    return reason;
}

static enum fault_reason check_all(const struct selector *selectors, size_t count, const char *list, struct fault *fault)
{
    enum fault_reason reason = check_count(count, list, fault);
    char prefix[48];

    for (size_t i = 0; reason == FAULT_NONE && i < count; i++) {
        reason = check_selector(&selectors[i], fault);
        if (reason == FAULT_NONE)
            continue;
        snprintf(prefix, sizeof prefix, "%s[%zu]%s", list, i, fault->field[0] != '\0' ? "." : "");
        fault_within(fault, prefix);
    }
    return reason;
}

/* What a filter's block must hold, counted in the pieces of a stock. */
struct needs {
    size_t patterns, wanted, text;
};

static void count_needs(const struct selector *selectors, size_t count, struct needs *needs)
{
    for (size_t i = 0; i < count; i++) {
        const struct selector *selector = &selectors[i];
        needs->patterns += selector->key_count + selector->type_count;
        needs->wanted += selector->header_count + selector->label_count;
        needs->text += selector->producer.size + selector->topic.size;
        for (uint32_t j = 0; j < selector->key_count; j++)
            needs->text += selector->keys[j].size;
        for (uint32_t j = 0; j < selector->type_count; j++)
            needs->text += selector->types[j].size;
        for (uint32_t j = 0; j < selector->header_count; j++)
            needs->text += selector->headers[j].name.size + selector->headers[j].value.size;
        for (uint32_t j = 0; j < selector->label_count; j++)
            needs->text += selector->labels[j].name.size + selector->labels[j].value.size;
    }
}

static struct bytes take_text(struct stock *stock, struct bytes text)
{
    struct bytes copy = {stock->text, text.size};

    if (text.size > 0)
        memcpy(stock->text, text.at, text.size);
    stock->text += text.size;
    return copy;
}

static struct pattern take_pattern(struct stock *stock, struct bytes text)
{
    struct pattern pattern = {.text = take_text(stock, text), .kind = PATTERN_ANY};

    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] != '*')
            pattern.kind = PATTERN_EXACT;
    }
    if (pattern.kind == PATTERN_EXACT && (memchr(text.at, '*', text.size) != NULL || memchr(text.at, '?', text.size) != NULL))
        pattern.kind = PATTERN_GLOB;
    return pattern;
}

static struct patterns take_patterns(struct stock *stock, const struct bytes *texts, uint32_t count)
{
    struct patterns patterns = {.list = stock->patterns, .count = count};

    stock->patterns += count;
    for (uint32_t i = 0; i < count; i++) {
        patterns.list[i] = take_pattern(stock, texts[i]);
        if (patterns.list[i].kind == PATTERN_ANY)
            patterns.count = 0; /* one of them lets everything pass */
    }
    return patterns;
}

static struct pairs take_pairs(struct stock *stock, const struct pair *from, uint32_t count)
{
    struct pairs pairs = {.list = stock->wanted, .count = count};

    stock->wanted += count;
    for (uint32_t i = 0; i < count; i++) {
        pairs.list[i].name = take_text(stock, from[i].name);
        pairs.list[i].value = take_pattern(stock, from[i].value);
    }
    return pairs;
}

static void compile(const struct selector *selectors, size_t count, struct rule *rules, struct stock *stock)
{
    for (size_t i = 0; i < count; i++) {
        const struct selector *selector = &selectors[i];
        struct rule *rule = &rules[i];
        rule->producer = take_pattern(stock, selector->producer);
        rule->topic = take_pattern(stock, selector->topic);
        rule->keys = take_patterns(stock, selector->keys, selector->key_count);
        rule->types = take_patterns(stock, selector->types, selector->type_count);
        rule->headers = take_pairs(stock, selector->headers, selector->header_count);
        rule->labels = take_pairs(stock, selector->labels, selector->label_count);
        rule->asks = rule->topic.kind != PATTERN_ANY || rule->keys.count > 0 || rule->types.count > 0 || rule->headers.count > 0;
    }
}

enum fault_reason filter_new(const struct selector *selectors, size_t selector_count, const struct selector *excludes, size_t exclude_count,
                             struct filter **filter_out, struct fault *fault)
{
    struct needs needs = {0};
    struct filter *filter;
    struct stock stock;
    enum fault_reason reason;

    if (selector_count == 0)
        return fault_set(fault, FAULT_EMPTY, "selectors", "at least one; producer: \"*\" for everything");
    reason = check_all(selectors, selector_count, "selectors", fault);
    if (reason == FAULT_NONE)
        reason = check_all(excludes, exclude_count, "exclude", fault);
    if (reason != FAULT_NONE)
        return reason;

    count_needs(selectors, selector_count, &needs);
    count_needs(excludes, exclude_count, &needs);
    filter = calloc(1, sizeof *filter + (selector_count + exclude_count) * sizeof(struct rule) + needs.patterns * sizeof(struct pattern) +
                           needs.wanted * sizeof(struct wanted) + needs.text);
    if (filter == NULL)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    filter->selector_count = (uint32_t)selector_count;
    filter->exclude_count = (uint32_t)exclude_count;
    stock.patterns = (struct pattern *)&filter->rules[selector_count + exclude_count];
    stock.wanted = (struct wanted *)&stock.patterns[needs.patterns];
    stock.text = (uint8_t *)&stock.wanted[needs.wanted];
    compile(selectors, selector_count, filter->rules, &stock);
    compile(excludes, exclude_count, filter->rules + selector_count, &stock);
    *filter_out = filter;
    return FAULT_NONE;
}

void filter_free(struct filter *filter)
{
    free(filter);
}

/* Where a label comes twice, the last one wins. */
static bool carries(const struct wanted *wanted, const struct pair *labels, size_t label_count)
{
    for (size_t i = label_count; i > 0; i--) {
        if (same(wanted->name, labels[i - 1].name))
            return matches(&wanted->value, labels[i - 1].value);
    }
    return false;
}

static bool allows_producer(const struct rule *rule, struct bytes name, const struct pair *labels, size_t label_count)
{
    if (!matches(&rule->producer, name))
        return false;
    for (uint32_t i = 0; i < rule->labels.count; i++) {
        if (!carries(&rule->labels.list[i], labels, label_count))
            return false;
    }
    return true;
}

struct filter_part filter_producer(const struct filter *filter, struct bytes name, const struct pair *labels, size_t label_count)
{
    struct filter_part part = {.answer = FILTER_NONE};
    const struct rule *excludes = filter->rules + filter->selector_count;
    bool all = false;

    for (uint32_t i = 0; i < filter->exclude_count; i++) {
        if (!allows_producer(&excludes[i], name, labels, label_count))
            continue;
        if (!excludes[i].asks)
            return (struct filter_part){.answer = FILTER_NONE};
        part.excludes |= UINT64_C(1) << i;
    }
    for (uint32_t i = 0; i < filter->selector_count; i++) {
        if (!allows_producer(&filter->rules[i], name, labels, label_count))
            continue;
        part.selectors |= UINT64_C(1) << i;
        all = all || !filter->rules[i].asks;
    }
    if (part.selectors != 0)
        part.answer = all && part.excludes == 0 ? FILTER_ALL : FILTER_ASK;
    return part;
}

static bool any_matches(const struct patterns *patterns, struct bytes text)
{
    for (uint32_t i = 0; i < patterns->count; i++) {
        if (matches(&patterns->list[i], text))
            return true;
    }
    return patterns->count == 0;
}

static bool wants(const struct rule *rule, const struct event_view *view)
{
    struct bytes value;

    if (!matches(&rule->topic, view->topic) || !any_matches(&rule->keys, view->key) || !any_matches(&rule->types, view->type))
        return false;
    for (uint32_t i = 0; i < rule->headers.count; i++) {
        if (!event_header(view, rule->headers.list[i].name, &value) || !matches(&rule->headers.list[i].value, value))
            return false;
    }
    return true;
}

static bool one_wants(const struct rule *rules, uint64_t mask, const struct event_view *view)
{
    for (; mask != 0; mask &= mask - 1) {
        if (wants(&rules[__builtin_ctzll(mask)], view))
            return true;
    }
    return false;
}

bool filter_event(const struct filter *filter, const struct filter_part *part, const struct event_view *view)
{
    return one_wants(filter->rules, part->selectors, view) && !one_wants(filter->rules + filter->selector_count, part->excludes, view);
}
