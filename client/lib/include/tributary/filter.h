/* filter.h - which events a subscriber wants. Part of <tributary/tributary.h>. */
#ifndef TRIBUTARY_FILTER_H
#define TRIBUTARY_FILTER_H

#include <stddef.h>

/* One set of patterns. An event matches if it matches every field that is set. A field that is not
 * set matches everything. Patterns are globs: `*` stands for any number of characters, `?` for one.
 * Each list has at most 64 entries. All selectors of a filter together have a bound on their cost
 * (message Selector in subscriber.proto). */
struct tributary_selector {
    const char *producer;
    const char *producer_name; /* in place of `producer`: the name itself, no pattern */
    const char *topic;
    const char *const *keys; /* one of them must match */
    size_t key_count;
    const char *const *types; /* one of them must match */
    size_t type_count;
    const char *const (*headers)[2]; /* { name, pattern for the value }: all of them must match */
    size_t header_count;
    const char *const (*labels)[2]; /* labels of the producer, likewise */
    size_t label_count;
};

/* A filter selects an event if one of its selectors matches and none of its excludes does. Without
 * selectors it selects everything but the excludes. */
struct tributary_filter {
    const struct tributary_selector *selectors; /* at most 64 */
    size_t selector_count;
    const struct tributary_selector *exclude; /* at most 64 */
    size_t exclude_count;
};

#endif
