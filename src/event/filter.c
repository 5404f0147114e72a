/* filter.c - evaluates a filter: for a producer, and for an event. */
#include "event/filter.h"

#include "event/event_headers.h"
#include "event/filter_internal.h"
#include "event/work.h"

/* Whether every pair that is wanted is in the index. */
static bool labels_match(const struct pair_patterns *wanted, const struct pair_index *labels)
{
    struct bytes value;

    for (uint32_t i = 0; i < wanted->count; i++) {
        if (!pair_index_find(labels, &wanted->list[i].name, &value) ||
            !glob_matches(&wanted->list[i].value, value))
            return false;
    }
    return true;
}

/* Whether the rule matches the producer itself: its name and labels. */
static bool rule_admits(const struct rule *rule, struct bytes name, const struct pair_index *labels)
{
    return glob_matches(&rule->producer, name) && labels_match(&rule->labels, labels);
}

bool filter_wants_everything(const struct filter *filter)
{
    bool everything = false;

    for (uint32_t i = 0; i < filter->selector_count; i++) {
        const struct rule *rule = &filter->rules[i];

        if (!rule->by_event && rule->producer.kind == GLOB_ANY && rule->labels.count == 0)
            everything = true;
    }
    return everything && filter->exclude_count == 0;
}

struct filter_part filter_producer(const struct filter *filter, struct bytes name, const struct pair *labels,
                                   size_t label_count)
{
    struct filter_part part = {.answer = FILTER_NONE};
    const struct rule *excludes = filter->rules + filter->selector_count;
    SCRATCH struct pair_index index;
    bool all = false;

    if (filter->has_labels) {
        pair_index_init(&index);
        for (size_t i = 0; i < label_count; i++)
            pair_index_add(&index, labels[i].name, labels[i].value);
    }
    for (uint32_t i = 0; i < filter->exclude_count; i++) {
        if (!rule_admits(&excludes[i], name, &index))
            continue;
        if (!excludes[i].by_event)
            return (struct filter_part){.answer = FILTER_NONE};
        part.excludes |= UINT64_C(1) << i;
    }
    for (uint32_t i = 0; i < filter->selector_count; i++) {
        if (!rule_admits(&filter->rules[i], name, &index))
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
        COUNT_WORK(1);
        if (glob_matches(&patterns->list[i], text))
            return true;
    }
    return patterns->count == 0;
}

/* Whether the rule matches the event. Producer and labels are decided already. */
static bool rule_wants(const struct rule *rule, const struct event_view *view)
{
    struct bytes value;

    COUNT_WORK(1);
    if (!glob_matches(&rule->topic, view->topic) || !any_matches(&rule->keys, view->key) ||
        !any_matches(&rule->types, view->type))
        return false;
    for (uint32_t i = 0; i < rule->headers.count; i++) {
        if (!event_header(view->headers, &rule->headers.list[i].name, &value) ||
            !glob_matches(&rule->headers.list[i].value, value))
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
