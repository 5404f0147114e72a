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
void wish_fini(struct wish *wish);

#endif
