/* filter.c - evaluates a filter: for a producer, and for an event. */
#include "event/filter.h"

#include <string.h>

#include "event/filter_internal.h"

/* The size of the character at `at`: a lead byte and its continuation bytes. A stray byte is a
 * character of its own. */
static size_t character(const uint8_t *at, size_t left)
{
    size_t max = at[0] < 0xc0 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    size_t size = 1;

    while (size < max && size < left && (at[size] & 0xc0) == 0x80)
        size++;
    return size;
}

/* After a mismatch only the last star is tried again, with one more character. An earlier star has
 * nothing to gain: the text between the two stars was found as early as it can be. So the cost is
 * at most the product of the sizes. */
bool glob_match(struct bytes pattern, struct bytes text)
{
    size_t p = 0;
    size_t t = 0;
    size_t after_star = 0; /* 0: there was no star yet */
    size_t retry = 0;

    while (t < text.size) {
        uint8_t wanted = p < pattern.size ? pattern.data[p] : 0;
        if (p < pattern.size && wanted == '*') {
            after_star = ++p;
            retry = t;
            if (p == pattern.size)
                return true;
        } else if (p < pattern.size && wanted == '?') {
            p++;
            t += character(text.data + t, text.size - t);
        } else if (p < pattern.size && wanted == text.data[t]) {
            p++;
            t++;
        } else if (after_star > 0) {
            p = after_star;
            retry += character(text.data + retry, text.size - retry);
            t = retry;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}

/* The text without its first `size` bytes. An unset text has no address, and `size` is 0. */
static inline struct bytes skip(struct bytes text, size_t size)
{
    return size > 0 ? (struct bytes){text.data + size, text.size - size} : text;
}

static inline bool has_prefix(const struct pattern *pattern, struct bytes text)
{
    return text.size >= pattern->prefix && bytes_same((struct bytes){text.data, pattern->prefix},
                                                      (struct bytes){pattern->text.data, pattern->prefix});
}

static inline bool pattern_matches(const struct pattern *pattern, struct bytes text)
{
    switch (pattern->kind) {
    case PATTERN_ANY:
        return true;
    case PATTERN_EXACT:
        return bytes_same(pattern->text, text);
    case PATTERN_PREFIX:
        return has_prefix(pattern, text);
    case PATTERN_GLOB:
        return has_prefix(pattern, text) &&
               glob_match(skip(pattern->text, pattern->prefix), skip(text, pattern->prefix));
    }
    return false;
}

/* Whether the labels have this one. Of two labels with one name the last one counts. */
static bool label_matches(const struct pair_pattern *wanted, const struct pair *labels, size_t label_count)
{
    for (size_t i = label_count; i > 0; i--) {
        if (bytes_same(wanted->name, labels[i - 1].name))
            return pattern_matches(&wanted->value, labels[i - 1].value);
    }
    return false;
}

/* Whether the rule matches the producer itself: its name and labels. */
static bool rule_admits(const struct rule *rule, struct bytes name, const struct pair *labels,
                        size_t label_count)
{
    if (!pattern_matches(&rule->producer, name))
        return false;
    for (uint32_t i = 0; i < rule->labels.count; i++) {
        if (!label_matches(&rule->labels.list[i], labels, label_count))
            return false;
    }
    return true;
}

struct filter_part filter_producer(const struct filter *filter, struct bytes name, const struct pair *labels,
                                   size_t label_count)
{
    struct filter_part part = {.answer = FILTER_NONE};
    const struct rule *excludes = filter->rules + filter->selector_count;
    bool all = false;

    for (uint32_t i = 0; i < filter->exclude_count; i++) {
        if (!rule_admits(&excludes[i], name, labels, label_count))
            continue;
        if (!excludes[i].by_event)
            return (struct filter_part){.answer = FILTER_NONE};
        part.excludes |= UINT64_C(1) << i;
    }
    for (uint32_t i = 0; i < filter->selector_count; i++) {
        if (!rule_admits(&filter->rules[i], name, labels, label_count))
            continue;
        part.selectors |= UINT64_C(1) << i;
        all = all || !filter->rules[i].by_event;
    }
    if (part.selectors != 0)
        part.answer = all && part.excludes == 0 ? FILTER_ALL : FILTER_BY_EVENT;
    return part;
}

/* Whether one of the patterns matches. An empty list matches everything. */
static bool any_matches(const struct patterns *patterns, struct bytes text)
{
    for (uint32_t i = 0; i < patterns->count; i++) {
        if (pattern_matches(&patterns->list[i], text))
            return true;
    }
    return patterns->count == 0;
}

/* Whether the rule matches the event. Producer and labels are decided already. */
static bool rule_wants(const struct rule *rule, const struct event_view *view)
{
    struct bytes value;

    if (!pattern_matches(&rule->topic, view->topic) || !any_matches(&rule->keys, view->key) ||
        !any_matches(&rule->types, view->type))
        return false;
    for (uint32_t i = 0; i < rule->headers.count; i++) {
        if (!event_header(view, rule->headers.list[i].name, &value) ||
            !pattern_matches(&rule->headers.list[i].value, value))
            return false;
    }
    return true;
}

/* Whether one of the rules in `mask` matches the event. */
static bool any_rule_wants(const struct rule *rules, uint64_t mask, const struct event_view *view)
{
    for (; mask != 0; mask &= mask - 1) {
        if (rule_wants(&rules[__builtin_ctzll(mask)], view))
            return true;
    }
    return false;
}

bool filter_event(const struct filter *filter, const struct filter_part *part, const struct event_view *view)
{
    return any_rule_wants(filter->rules, part->selectors, view) &&
           !any_rule_wants(filter->rules + filter->selector_count, part->excludes, view);
}
