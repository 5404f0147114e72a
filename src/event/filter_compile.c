/* filter_compile.c - checks selectors and compiles them into a filter. Each pattern is classified
 * once, so that evaluation is cheap.
 *
 * A filter is one block of memory: the struct, its rules (selectors first, then excludes), the
 * patterns and pairs of their lists, and the text of all of them. */
#include "event/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/filter_internal.h"
#include "event/text.h"

/* The unused parts of a filter's block, one for each kind of content. */
struct arena {
    struct pattern *patterns;
    struct pair_pattern *pairs;
    uint8_t *text;
};

static enum fault_reason check_text(struct bytes text, const char *path, struct fault *fault)
{
    char bound[48];

    if (text.size > MAX_PATTERN_BYTES) {
        snprintf(bound, sizeof(bound), "at most %u bytes", MAX_PATTERN_BYTES);
        return fault_bytes(fault, FAULT_TOO_LONG, path, text, bound);
    }
    return utf8_valid(text) ? FAULT_NONE : fault_bytes(fault, FAULT_BAD_UTF8, path, text, "");
}

/* Checks an entry of a list, which must not be empty. */
static enum fault_reason check_entry(struct bytes text, const char *list, uint32_t index, const char *part,
                                     struct fault *fault)
{
    char path[64];

    snprintf(path, sizeof(path), "%s[%u]%s", list, index, part);
    if (text.size == 0)
        return fault_set(fault, FAULT_EMPTY, path, "at least 1 byte");
    return check_text(text, path, fault);
}

static enum fault_reason check_count(size_t count, const char *path, struct fault *fault)
{
    char bound[48];

    if (count <= MAX_SELECTORS)
        return FAULT_NONE;
    snprintf(bound, sizeof(bound), "at most %u", MAX_SELECTORS);
    return fault_number(fault, FAULT_TOO_MANY, path, count, bound);
}

static enum fault_reason check_patterns(const struct bytes *patterns, uint32_t count, const char *list,
                                        struct fault *fault)
{
    enum fault_reason reason = check_count(count, list, fault);

    for (uint32_t i = 0; reason == FAULT_NONE && i < count; i++)
        reason = check_entry(patterns[i], list, i, "", fault);
    return reason;
}

static enum fault_reason check_pairs(const struct pair *pairs, uint32_t count, const char *list,
                                     struct fault *fault)
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

    if (selector->producer.size + selector->topic.size == 0 && selector->key_count == 0 &&
        selector->type_count == 0 && selector->header_count == 0 && selector->label_count == 0)
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

static enum fault_reason check_all(const struct selector *selectors, size_t count, const char *list,
                                   struct fault *fault)
{
    enum fault_reason reason = check_count(count, list, fault);
    char prefix[48];

    for (size_t i = 0; reason == FAULT_NONE && i < count; i++) {
        reason = check_selector(&selectors[i], fault);
        if (reason == FAULT_NONE)
            continue;
        snprintf(prefix, sizeof(prefix), "%s[%zu]%s", list, i, fault->field[0] != '\0' ? "." : "");
        fault_within(fault, prefix);
    }
    return reason;
}

/* How much of each kind a filter's block must hold. Text is counted in bytes. */
struct needs {
    size_t patterns, pairs, text;
};

static void count_needs(const struct selector *selectors, size_t count, struct needs *needs)
{
    for (size_t i = 0; i < count; i++) {
        const struct selector *selector = &selectors[i];
        needs->patterns += selector->key_count + selector->type_count;
        needs->pairs += selector->header_count + selector->label_count;
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

static struct bytes copy_text(struct arena *arena, struct bytes text)
{
    struct bytes copy = {arena->text, text.size};

    if (text.size > 0)
        memcpy(arena->text, text.data, text.size);
    arena->text += text.size;
    return copy;
}

static struct pattern compile_pattern(struct arena *arena, struct bytes text)
{
    struct pattern pattern = {.text = copy_text(arena, text), .kind = PATTERN_EXACT};
    size_t stars = 0;

    while (stars < text.size && text.data[text.size - 1 - stars] == '*')
        stars++;
    while (pattern.prefix < text.size && text.data[pattern.prefix] != '*' && text.data[pattern.prefix] != '?')
        pattern.prefix++;
    if (stars == text.size)
        pattern.kind = PATTERN_ANY;
    else if (pattern.prefix + stars == text.size && stars > 0)
        pattern.kind = PATTERN_PREFIX;
    else if (pattern.prefix < text.size)
        pattern.kind = PATTERN_GLOB;
    return pattern;
}

static struct patterns compile_patterns(struct arena *arena, const struct bytes *texts, uint32_t count)
{
    struct patterns patterns = {.list = arena->patterns, .count = count};

    arena->patterns += count;
    for (uint32_t i = 0; i < count; i++) {
        patterns.list[i] = compile_pattern(arena, texts[i]);
        if (patterns.list[i].kind == PATTERN_ANY)
            patterns.count = 0; /* one of them matches everything */
    }
    return patterns;
}

static struct pair_patterns compile_pairs(struct arena *arena, const struct pair *from, uint32_t count)
{
    struct pair_patterns pairs = {.list = arena->pairs, .count = count};

    arena->pairs += count;
    for (uint32_t i = 0; i < count; i++) {
        pairs.list[i].name = copy_text(arena, from[i].name);
        pairs.list[i].value = compile_pattern(arena, from[i].value);
    }
    return pairs;
}

static void compile_rules(const struct selector *selectors, size_t count, struct rule *rules,
                          struct arena *arena)
{
    for (size_t i = 0; i < count; i++) {
        const struct selector *selector = &selectors[i];
        struct rule *rule = &rules[i];
        rule->producer = compile_pattern(arena, selector->producer);
        rule->topic = compile_pattern(arena, selector->topic);
        rule->keys = compile_patterns(arena, selector->keys, selector->key_count);
        rule->types = compile_patterns(arena, selector->types, selector->type_count);
        rule->headers = compile_pairs(arena, selector->headers, selector->header_count);
        rule->labels = compile_pairs(arena, selector->labels, selector->label_count);
        rule->by_event = rule->topic.kind != PATTERN_ANY || rule->keys.count > 0 || rule->types.count > 0 ||
                         rule->headers.count > 0;
    }
}

enum fault_reason filter_new(const struct selector *selectors, size_t selector_count,
                             const struct selector *excludes, size_t exclude_count,
                             struct filter **filter_out, struct fault *fault)
{
    struct needs needs = {0};
    struct arena arena;

    if (selector_count == 0)
        return fault_set(fault, FAULT_EMPTY, "selectors", "at least one; producer: \"*\" for everything");
    enum fault_reason reason = check_all(selectors, selector_count, "selectors", fault);
    if (reason == FAULT_NONE)
        reason = check_all(excludes, exclude_count, "exclude", fault);
    if (reason != FAULT_NONE)
        return reason;

    count_needs(selectors, selector_count, &needs);
    count_needs(excludes, exclude_count, &needs);
    struct filter *filter =
        calloc(1, sizeof(*filter) + (selector_count + exclude_count) * sizeof(struct rule) +
                      needs.patterns * sizeof(struct pattern) + needs.pairs * sizeof(struct pair_pattern) +
                      needs.text);
    if (!filter)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    filter->selector_count = (uint32_t)selector_count;
    filter->exclude_count = (uint32_t)exclude_count;
    arena.patterns = (struct pattern *)&filter->rules[selector_count + exclude_count];
    arena.pairs = (struct pair_pattern *)&arena.patterns[needs.patterns];
    arena.text = (uint8_t *)&arena.pairs[needs.pairs];
    compile_rules(selectors, selector_count, filter->rules, &arena);
    compile_rules(excludes, exclude_count, filter->rules + selector_count, &arena);
    *filter_out = filter;
    return FAULT_NONE;
}

void filter_free(struct filter *filter)
{
    free(filter);
}
