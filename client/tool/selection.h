/* wish.h - selectors out of the lists of a command line. */
#ifndef TRIBUTARY_TOOL_SELECTION_H
#define TRIBUTARY_TOOL_SELECTION_H

#include "tributary/tributary.h"
#include "client/tool/cli.h"

#define MAX_SELECTION_SELECTORS 64u

struct selection_lists {
    struct text_list producers, topics, keys, types, headers, labels;
    struct text_list exclude_producers, exclude_topics, exclude_keys, exclude_types;
};

/* Rows for a verb's table; `at` is the offset of a struct selection_lists in its settings. */
#define SELECTION_ROW(at, letter, name, value, list, help)                                                   \
    {                                                                                                        \
        letter, name, OPTION_LIST, value, (at) + offsetof(struct selection_lists, list), help                \
    }
#define SELECTION_OPTIONS(at)                                                                                \
    SELECTION_ROW(at, 'p', "producer", "PATTERN", producers,                                                 \
                  "events of these producers; may be repeated, as may the next five"),                       \
        SELECTION_ROW(at, 't', "topic", "PATTERN", topics, "events about these topics"),                     \
        SELECTION_ROW(at, 'k', "key", "PATTERN", keys, "events with one of these keys"),                     \
        SELECTION_ROW(at, 0, "type", "PATTERN", types, "events of one of these types"),                      \
        SELECTION_ROW(at, 'H', "header", "NAME=PATTERN", headers, "events that carry all of these headers"), \
        SELECTION_ROW(at, 'l', "label", "NAME=PATTERN", labels,                                              \
                      "events of sessions that carry all of these labels"),                                  \
        SELECTION_ROW(at, 0, "exclude-producer", "PATTERN", exclude_producers, "but not these"),             \
        SELECTION_ROW(at, 0, "exclude-topic", "PATTERN", exclude_topics, "nor these"),                       \
        SELECTION_ROW(at, 0, "exclude-key", "PATTERN", exclude_keys, "nor these"),                           \
        SELECTION_ROW(at, 0, "exclude-type", "PATTERN", exclude_types, "nor these")

struct selection {
    struct tributary_selector selectors[MAX_SELECTION_SELECTORS];
    size_t selector_count; /* 0: everything */
    struct tributary_selector excludes[MAX_SELECTION_SELECTORS];
    size_t exclude_count;
    const char *headers[MAX_SELECTION_SELECTORS][2];
    const char *labels[MAX_SELECTION_SELECTORS][2];
    char *texts[2 * MAX_SELECTION_SELECTORS]; /* headers and labels, cut into name and value */
    size_t text_count;
};

/* One selector for each producer and topic, each with all keys, types, headers and labels; one
 * exclude for each thing to leave out. It points into `lists`. NULL, or what is wrong with them, as
 * static text. Call selection_fini() in both cases. */
const char *selection_build(struct selection *selection, const struct selection_lists *lists);

/* The same for a verb that takes producers as arguments, too: one of both. Where neither names any,
 * they are `usual`, which may be empty. */
const char *selection_build_with(struct selection *selection, const struct selection_lists *lists,
                                 struct text_list arguments, struct text_list usual);
void selection_fini(struct selection *selection);

#endif
