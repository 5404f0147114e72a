/* wish.h - selectors out of the lists of a command line. */
#ifndef TRIBUTARY_TOOL_WISH_H
#define TRIBUTARY_TOOL_WISH_H

#include "client/lib/tributary.h"
#include "client/tool/cli.h"

#define WISH_SELECTORS_MOST 64u

struct wish_lists {
    struct text_list producers, topics, keys, types, headers, labels;
    struct text_list exclude_producers, exclude_topics, exclude_keys, exclude_types;
};

/* Rows for a verb's table; `at` is the offset of a struct wish_lists in its settings. */
#define WISH_ROW(at, letter, name, value, list, help)                                                                                      \
    {                                                                                                                                      \
        letter, name, OPTION_LIST, value, (at) + offsetof(struct wish_lists, list), help                                                   \
    }
#define WISH_OPTIONS(at)                                                                                                                   \
    WISH_ROW(at, 'p', "producer", "PATTERN", producers, "events of these producers; may be repeated, as may the next five"),               \
        WISH_ROW(at, 't', "topic", "PATTERN", topics, "events about these topics"),                                                        \
        WISH_ROW(at, 'k', "key", "PATTERN", keys, "events with one of these keys"),                                                        \
        WISH_ROW(at, 0, "type", "PATTERN", types, "events of one of these types"),                                                         \
        WISH_ROW(at, 'H', "header", "NAME=PATTERN", headers, "events that carry all of these headers"),                                    \
        WISH_ROW(at, 'l', "label", "NAME=PATTERN", labels, "events of sessions that carry all of these labels"),                           \
        WISH_ROW(at, 0, "exclude-producer", "PATTERN", exclude_producers, "but not these"),                                                \
        WISH_ROW(at, 0, "exclude-topic", "PATTERN", exclude_topics, "nor these"),                                                          \
        WISH_ROW(at, 0, "exclude-key", "PATTERN", exclude_keys, "nor these"),                                                              \
        WISH_ROW(at, 0, "exclude-type", "PATTERN", exclude_types, "nor these")

struct wish {
    struct tributary_selector selectors[WISH_SELECTORS_MOST];
    size_t selector_count; /* 0: everything */
    struct tributary_selector excludes[WISH_SELECTORS_MOST];
    size_t exclude_count;
    const char *headers[WISH_SELECTORS_MOST][2];
    const char *labels[WISH_SELECTORS_MOST][2];
    char *texts[2 * WISH_SELECTORS_MOST]; /* headers and labels, cut into name and value */
    size_t text_count;
};

/* One selector for each producer and topic, each with all keys, types, headers and labels; one exclude for each thing to leave out. It
 * points into `lists`. NULL, or what is wrong with them, as static text. Call wish_fini() in both cases. */
const char *wish_build(struct wish *wish, const struct wish_lists *lists);

/* The same for a verb that takes producers as arguments, too: one of both. Where neither names any, they are `usual`, which may be empty.
 */
const char *wish_build_with(struct wish *wish, const struct wish_lists *lists, struct text_list arguments, struct text_list usual);
void wish_fini(struct wish *wish);

#endif
