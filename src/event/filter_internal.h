/* filter_internal.h - how a filter is laid out: for filter_compile.c, which makes it, for filter.c,
 * which evaluates it, and for the matcher, which evaluates many at once. */
#ifndef TRIBUTARY_EVENT_FILTER_INTERNAL_H
#define TRIBUTARY_EVENT_FILTER_INTERNAL_H

#include "event/glob.h"
#include "event/pair_index.h"

/* A header or a label that must be there, with a value that matches. */
struct pair_pattern {
    struct pair_name name;
    struct glob value;
};

struct patterns {
    struct glob *list;
    uint32_t count; /* 0: everything matches */
};

struct pair_patterns {
    struct pair_pattern *list;
    uint32_t count;
};

/* A compiled selector or exclude. */
struct rule {
    struct glob producer, topic;
    struct patterns keys, types;
    struct pair_patterns headers, labels;
    uint64_t hash;  /* of what it asks of an event */
    bool by_event;  /* false: producer and labels alone decide */
    bool by_origin; /* for a stored topic: `producer` is for the origin, and not everything matches it */
};

/* For a stored topic: what the rule asks of an event. The topic's name is decided already. */
static inline bool rule_by_stored_event(const struct rule *rule)
{
    return rule->by_origin || rule->keys.count > 0 || rule->types.count > 0 || rule->headers.count > 0;
}

struct filter {
    size_t bytes; /* of its block of memory */
    uint32_t selector_count;
    uint32_t exclude_count;
    bool has_labels;     /* a rule asks for a label */
    struct rule rules[]; /* the selectors, then the excludes */
};

#endif
