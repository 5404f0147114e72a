/* selection.h - makes selectors from the lists of a command line. Main thread. */
#ifndef TRIBUTARY_TOOL_SELECTION_H
#define TRIBUTARY_TOOL_SELECTION_H

#include "tributary/tributary.h"
#include "client/tool/option.h"

#define MAX_SELECTION_SELECTORS 64u

/* The values of the options. */
struct selection_lists {
    struct text_list producers, topics, keys, types, headers, labels;
    struct text_list exclude_producers, exclude_topics, exclude_keys, exclude_types;
    bool exact; /* producers are names, no patterns */
};

/* Rows for a verb's table of options. `base` is the offset of a struct selection_lists in its
 * settings. */
#define SELECTION_ROW(base, letter, name, value, list, help)                                                 \
    {                                                                                                        \
        letter, name, OPTION_LIST, value, (base) + offsetof(struct selection_lists, list), help              \
    }
#define SELECTION_OPTIONS(base)                                                                              \
    SELECTION_ROW(base, 'p', "producer", "PATTERN", producers,                                               \
                  "events of these producers; may be repeated, as may the next five"),                       \
        SELECTION_ROW(base, 't', "topic", "PATTERN", topics, "events about these topics"),                   \
        SELECTION_ROW(base, 'k', "key", "PATTERN", keys, "events with one of these keys"),                   \
        SELECTION_ROW(base, 0, "type", "PATTERN", types, "events of one of these types"),                    \
        SELECTION_ROW(base, 'H', "header", "NAME=PATTERN", headers,                                          \
                      "events that carry all of these headers"),                                             \
        SELECTION_ROW(base, 'l', "label", "NAME=PATTERN", labels,                                            \
                      "events of sessions that carry all of these labels"),                                  \
        {0,                                                                                                  \
         "exact",                                                                                            \
         OPTION_FLAG,                                                                                        \
         "",                                                                                                 \
         (base) + offsetof(struct selection_lists, exact),                                                   \
         "the producers are names: '*' and '?' are letters"},                                                \
        SELECTION_ROW(base, 0, "exclude-producer", "PATTERN", exclude_producers, "but not these"),           \
        SELECTION_ROW(base, 0, "exclude-topic", "PATTERN", exclude_topics, "nor these"),                     \
        SELECTION_ROW(base, 0, "exclude-key", "PATTERN", exclude_keys, "nor these"),                         \
        SELECTION_ROW(base, 0, "exclude-type", "PATTERN", exclude_types, "nor these")

struct selection {
    struct tributary_selector selectors[MAX_SELECTION_SELECTORS];
    size_t selector_count; /* 0: everything */
    struct tributary_selector excludes[MAX_SELECTION_SELECTORS];
    size_t exclude_count;
    const char *headers[MAX_SELECTION_SELECTORS][2];
    const char *labels[MAX_SELECTION_SELECTORS][2];
    char *texts[2 * MAX_SELECTION_SELECTORS]; /* owned: headers and labels, split into name and value */
    size_t text_count;
};

/* Makes one selector for each pair of producer and topic, each with all keys, types, headers and
 * labels; and the excludes. `selection` points into `lists`. Returns NULL, or static text that says
 * what is wrong. Call selection_fini() in both cases. */
const char *selection_build(struct selection *selection, const struct selection_lists *lists);

/* The same for a verb that also accepts producers as arguments. Producers may be given as arguments
 * or by --producer, not both. Where neither is given they are `defaults`, which may be empty. */
const char *selection_build_with(struct selection *selection, const struct selection_lists *lists,
                                 struct text_list arguments, struct text_list defaults);
void selection_fini(struct selection *selection);

#endif
