/* filter_internal.h - how a filter is laid out: for filter_compile.c, which makes it, for filter.c,
 * which evaluates it, and for the matcher, which evaluates many at once. */
#ifndef TRIBUTARY_EVENT_FILTER_INTERNAL_H
#define TRIBUTARY_EVENT_FILTER_INTERNAL_H

#include "base/base.h"

enum pattern_kind {
    PATTERN_ANY,    /* unset, or only stars: matches everything */
    PATTERN_EXACT,  /* no star, no question mark: matches one value */
    PATTERN_PREFIX, /* only stars at its end: matches what begins with `prefix` */
    PATTERN_GLOB    /* anything else */
};

struct pattern {
    struct bytes text;
    size_t prefix; /* bytes before the first star or question mark: every match begins with them */
    enum pattern_kind kind;
};

/* A header or a label that must be there, with a value that matches. */
struct pair_pattern {
    struct bytes name;
    struct pattern value;
};

struct patterns {
    struct pattern *list;
    uint32_t count; /* 0: everything matches */
};

struct pair_patterns {
    struct pair_pattern *list;
    uint32_t count;
};

/* A compiled selector or exclude. */
struct rule {
    struct pattern producer, topic;
    struct patterns keys, types;
    struct pair_patterns headers, labels;
    bool by_event; /* false: producer and labels alone decide */
};

struct filter {
    uint32_t selector_count;
    uint32_t exclude_count;
    struct rule rules[]; /* the selectors, then the excludes */
};

#endif
