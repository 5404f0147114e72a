/* filter_cost.h - what a filter may cost: how many bytes of one event its patterns may make the
 * server look at.
 *
 * PATTERN_COST for each text of a selector, plus the bytes of the text. A pattern that must be
 * searched for (GLOB_SEARCH) also costs the longest text that it may meet, MAX_NAME_TEXT or
 * MAX_HEADER_TEXT bytes, for each started 64 bytes between its wildcards.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_FILTER_COST_H
#define TRIBUTARY_EVENT_FILTER_COST_H

#include "event/glob.h"

#define MAX_FILTER_COST (512u * 1024u) /* of all selectors and excludes together */
#define PATTERN_COST 8u
#define MAX_NAME_TEXT 256u    /* a topic, key, type, name of a producer, value of a label */
#define MAX_HEADER_TEXT 8192u /* the value of a header */

/* What a pattern may cost for a text of up to `max_text` bytes. `max_text` 0: it is a name. */
static inline uint64_t pattern_cost(const struct glob *glob, uint32_t max_text)
{
    return PATTERN_COST + glob->text.size + (uint64_t)glob_words(glob) * max_text;
}

#endif
