/* glob_match.h - a pattern that is used once. */
#ifndef TRIBUTARY_TESTS_LIB_GLOB_MATCH_H
#define TRIBUTARY_TESTS_LIB_GLOB_MATCH_H

#include "event/glob.h"

/* Whether the whole text matches a pattern of at most MAX_PATTERN_BYTES. An empty one matches only
 * an empty text. */
static inline bool glob_match(struct bytes pattern, struct bytes text)
{
    uint64_t masks[MAX_GLOB_MASKS];

    if (pattern.size == 0)
        return text.size == 0;
    const struct glob glob = glob_compile(pattern, masks);
    return glob_matches(&glob, text);
}

#endif
