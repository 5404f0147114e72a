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

/* Whether the rule may match events of the stored topic. */
static bool rule_admits_topic(const struct rule *rule, struct bytes source_name)
{
    const struct bytes topic = {source_name.data + 1, source_name.size - 1};

    return rule->labels.count == 0 && glob_matches(&rule->topic, topic) &&
           (rule->by_origin || glob_matches(&rule->producer, source_name));
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

    if (name.size > 0 && name.data[0] == '@')
        return filter_stored(filter, name);
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

struct filter_part filter_stored(const struct filter *filter, struct bytes source_name)
{
    const struct filter_part none = {.answer = FILTER_NONE, .is_stored = true};
    const struct rule *excludes = filter->rules + filter->selector_count;
    struct filter_part part = none;
    bool all = false;

    CHECK(source_name.size > 0);
    for (uint32_t i = 0; i < filter->exclude_count; i++) {
        if (!rule_admits_topic(&excludes[i], source_name))
            continue;
        if (!rule_by_stored_event(&excludes[i]))
            return none;
        part.excludes |= UINT64_C(1) << i;
    }
    for (uint32_t i = 0; i < filter->selector_count; i++) {
        if (!rule_admits_topic(&filter->rules[i], source_name))
            continue;
        part.selectors |= UINT64_C(1) << i;
        all = all || !rule_by_stored_event(&filter->rules[i]);
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

/* Whether the rule matches the event. What the producer decides is decided already. */
static INLINE bool rule_wants(const struct rule *rule, const struct event_view *view, bool is_stored)
{
    struct bytes value;

    COUNT_WORK(1);
    if (is_stored ? rule->by_origin && !glob_matches(&rule->producer, view->origin)
                  : !glob_matches(&rule->topic, view->topic))
        return false;
    if (!any_matches(&rule->keys, view->key) || !any_matches(&rule->types, view->type))
        return false;
    for (uint32_t i = 0; i < rule->headers.count; i++) {
        if (!event_header(view->headers, &rule->headers.list[i].name, &value) ||
            !glob_matches(&rule->headers.list[i].value, value))
            return false;
    }
    return true;
}

/* Whether one of the rules in `mask` matches the event. */
static INLINE bool any_rule_wants(const struct rule *rules, uint64_t mask, const struct event_view *view,
                                  bool is_stored)
{
    for (; mask != 0; mask &= mask - 1) {
        if (rule_wants(&rules[__builtin_ctzll(mask)], view, is_stored))
            return true;
    }
    return false;
}

static INLINE bool event_wanted(const struct filter *filter, const struct filter_part *part,
                                const struct event_view *view, bool is_stored)
{
    return any_rule_wants(filter->rules, part->selectors, view, is_stored) &&
           !any_rule_wants(filter->rules + filter->selector_count, part->excludes, view, is_stored);
}

static NOINLINE bool stored_event_wanted(const struct filter *filter, const struct filter_part *part,
                                         const struct event_view *view)
{
    return event_wanted(filter, part, view, true);
}

bool filter_event(const struct filter *filter, const struct filter_part *part, const struct event_view *view)
{
    return part->is_stored ? stored_event_wanted(filter, part, view)
                           : event_wanted(filter, part, view, false);
}
