/* filter_internal.h - how a filter is laid out: for the files that make it (compile.c), ask it
 * (filter.c), and ask many at once (sift.c). */
#ifndef TRIBUTARY_EVENT_FILTER_INTERNAL_H
#define TRIBUTARY_EVENT_FILTER_INTERNAL_H

#include "base/base.h"

enum pattern_kind {
    PATTERN_ANY,    /* unset, or stars only */
    PATTERN_EXACT,  /* no star, no question mark */
    PATTERN_PREFIX, /* stars at its end, and nothing special before them */
    PATTERN_GLOB
};

struct pattern {
    struct bytes text;
    size_t prefix; /* bytes before the first star or question mark: what matches begins with them */
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

#endif
