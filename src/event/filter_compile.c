/* filter_compile.c - compiles selectors into a filter. Each pattern is compiled once, so that
 * evaluation is cheap.
 *
 * A filter is one block of memory: the struct, its rules (selectors first, then excludes), the
 * patterns and pairs of their lists, the masks of their globs, and the text of all of them. */
#include "event/filter.h"

#include "base/budget.h"
#include "event/filter_check.h"
#include "event/filter_internal.h"
#include "event/text_hash.h"

/* The unused parts of a filter's block, one for each kind of content. */
struct arena {
    struct glob *patterns;
    struct pair_pattern *pairs;
    uint64_t *masks;
    uint8_t *text;
};

/* How much of each kind a filter's block must hold. Text is counted in bytes. */
struct needs {
    size_t patterns, pairs, masks, text;
};

static void count_pattern(struct bytes text, struct needs *needs)
{
    struct glob glob = glob_of(text);

    needs->text += text.size;
    needs->masks += glob_words(&glob) * GLOB_MASKS_PER_WORD;
}

static void count_pairs(const struct pair *pairs, uint32_t count, struct needs *needs)
{
    needs->pairs += count;
    for (uint32_t i = 0; i < count; i++) {
        needs->text += pairs[i].name.size;
        count_pattern(pairs[i].value, needs);
    }
}

static void count_needs(const struct selector *selectors, size_t count, struct needs *needs)
{
    for (size_t i = 0; i < count; i++) {
        const struct selector *selector = &selectors[i];

        count_pattern(selector->producer, needs);
        needs->text += selector->producer_name.size;
        count_pattern(selector->topic, needs);
        needs->patterns += selector->key_count + selector->type_count;
        for (uint32_t j = 0; j < selector->key_count; j++)
            count_pattern(selector->keys[j], needs);
        for (uint32_t j = 0; j < selector->type_count; j++)
            count_pattern(selector->types[j], needs);
        count_pairs(selector->headers, selector->header_count, needs);
        count_pairs(selector->labels, selector->label_count, needs);
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

static struct glob compile_pattern(struct arena *arena, struct bytes text)
{
    struct glob glob = glob_of(copy_text(arena, text));

    glob_set_masks(&glob, arena->masks);
    arena->masks += glob_words(&glob) * GLOB_MASKS_PER_WORD;
    return glob;
}

static struct patterns compile_patterns(struct arena *arena, const struct bytes *texts, uint32_t count)
{
    struct patterns patterns = {.list = arena->patterns, .count = count};

    arena->patterns += count;
    for (uint32_t i = 0; i < count; i++) {
        patterns.list[i] = compile_pattern(arena, texts[i]);
        if (patterns.list[i].kind == GLOB_ANY)
            patterns.count = 0; /* one of them matches everything */
    }
    return patterns;
}

static struct pair_patterns compile_pairs(struct arena *arena, const struct pair *from, uint32_t count)
{
    struct pair_patterns pairs = {.list = arena->pairs, .count = count};

    arena->pairs += count;
    for (uint32_t i = 0; i < count; i++) {
        pairs.list[i].name = pair_name_of(copy_text(arena, from[i].name));
        pairs.list[i].value = compile_pattern(arena, from[i].value);
    }
    return pairs;
}

/* The hash of what a rule asks of an event. */
static uint64_t rule_hash(const struct rule *rule)
{
    uint64_t secret = text_hash_secret();
    uint64_t hash = text_hash(secret, 0, rule->topic.text);

    for (uint32_t i = 0; i < rule->keys.count; i++)
        hash = text_hash(secret, hash + 1, rule->keys.list[i].text);
    for (uint32_t i = 0; i < rule->types.count; i++)
        hash = text_hash(secret, hash + 2, rule->types.list[i].text);
    for (uint32_t i = 0; i < rule->headers.count; i++) {
        hash = text_hash(secret, hash + 3, rule->headers.list[i].name.text);
        hash = text_hash(secret, hash, rule->headers.list[i].value.text);
    }
    return hash;
}

static void compile_rules(const struct selector *selectors, size_t count, struct rule *rules,
                          struct arena *arena)
{
    for (size_t i = 0; i < count; i++) {
        const struct selector *selector = &selectors[i];
        struct rule *rule = &rules[i];

        rule->producer = selector->producer_name.size > 0
                             ? glob_of_text(copy_text(arena, selector->producer_name))
                             : compile_pattern(arena, selector->producer);
        rule->topic = compile_pattern(arena, selector->topic);
        rule->keys = compile_patterns(arena, selector->keys, selector->key_count);
        rule->types = compile_patterns(arena, selector->types, selector->type_count);
        rule->headers = compile_pairs(arena, selector->headers, selector->header_count);
        rule->labels = compile_pairs(arena, selector->labels, selector->label_count);
        rule->by_event = rule->topic.kind != GLOB_ANY || rule->keys.count > 0 || rule->types.count > 0 ||
                         rule->headers.count > 0;
        rule->by_origin = rule->producer.kind != GLOB_ANY &&
                          (rule->producer.text.size == 0 || rule->producer.text.data[0] != '@');
        rule->hash = rule_hash(rule);
    }
}

static bool any_labels(const struct filter *filter)
{
    for (uint32_t i = 0; i < filter->selector_count + filter->exclude_count; i++) {
        if (filter->rules[i].labels.count > 0)
            return true;
    }
    return false;
}

enum fault_reason filter_new(const struct selector *selectors, size_t selector_count,
                             const struct selector *excludes, size_t exclude_count,
                             struct filter **filter_out, struct fault *fault)
{
    enum fault_reason reason = filter_check(selectors, selector_count, excludes, exclude_count, fault);
    struct needs needs = {0};
    struct arena arena;

    if (reason != FAULT_NONE)
        return reason;
    count_needs(selectors, selector_count, &needs);
    count_needs(excludes, exclude_count, &needs);
    size_t bytes = sizeof(struct filter) + (selector_count + exclude_count) * sizeof(struct rule) +
                   needs.patterns * sizeof(struct glob) + needs.pairs * sizeof(struct pair_pattern) +
                   needs.masks * sizeof(uint64_t) + needs.text;
    struct filter *filter = budget_calloc(COUNT_LIVE_FILTER_BYTES, bytes);
    if (!filter)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    filter->bytes = bytes;
    filter->selector_count = (uint32_t)selector_count;
    filter->exclude_count = (uint32_t)exclude_count;
    arena.patterns = (struct glob *)&filter->rules[selector_count + exclude_count];
    arena.pairs = (struct pair_pattern *)&arena.patterns[needs.patterns];
    arena.masks = (uint64_t *)&arena.pairs[needs.pairs];
    arena.text = (uint8_t *)&arena.masks[needs.masks];
    compile_rules(selectors, selector_count, filter->rules, &arena);
    compile_rules(excludes, exclude_count, filter->rules + selector_count, &arena);
    filter->has_labels = any_labels(filter);
    *filter_out = filter;
    return FAULT_NONE;
}

void filter_free(struct filter *filter)
{
    budget_free(COUNT_LIVE_FILTER_BYTES, filter, filter_bytes(filter));
}

size_t filter_bytes(const struct filter *filter)
{
    return filter ? filter->bytes : 0;
}
