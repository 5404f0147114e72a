/* selector.h - which events a consumer wants: selectors OR, their set fields AND, excludes win. One
 * glob everywhere: `*` any run of characters, `?` one character (not byte); everything else stands
 * for itself.
 *
 * Threads: a filter is built by one thread; afterwards it does not change and any thread may ask
 * it. */
#ifndef TRIBUTARY_EVENT_SELECTOR_H
#define TRIBUTARY_EVENT_SELECTOR_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"
#include "event/framing.h"

#define MAX_SELECTORS 64u /* of each kind in one filter; entries in each list of a selector */
#define MAX_PATTERN_BYTES 256u

bool glob_match(struct bytes pattern, struct bytes text);

struct pair {
    struct bytes name;
    struct bytes value; /* a pattern in selectors, a value in labels */
};

/* One selector as it was asked for. An unset field (size 0, count 0) matches everything. */
struct selector {
    struct bytes producer, topic;
    const struct bytes *keys, *types;
    const struct pair *headers, *labels;
    uint32_t key_count, type_count, header_count, label_count;
};

struct filter;

/* Copies everything. FAULT_NONE, or *fault names what is wrong (`selectors`: EMPTY, TOO_MANY;
 * `selectors[2].topic`: TOO_LONG, BAD_UTF8; an empty pattern in a list: EMPTY; a selector with no
 * field set: EMPTY, "set producer: \"*\" for everything"); then *filter_out is untouched. */
MUST_CHECK enum fault_reason filter_new(const struct selector *selectors, size_t selector_count,
                                        const struct selector *excludes, size_t exclude_count,
                                        struct filter **filter_out, struct fault *fault);
void filter_free(struct filter *filter); /* NULL allowed */
OWNED_BY(filter_free, struct filter);

/* What is left to ask of a producer's events once its name and labels are known. */
struct filter_part {
    uint64_t selectors; /* which of them can still match */
    uint64_t excludes;
    enum filter_answer { FILTER_NONE, FILTER_ALL, FILTER_BY_EVENT } answer;
};

struct filter_part filter_producer(const struct filter *filter, struct bytes name, const struct pair *labels,
                                   size_t label_count);

/* Whether one event matches, for a producer whose part answered FILTER_BY_EVENT. */
bool filter_event(const struct filter *filter, const struct filter_part *part, const struct event_view *view);

#endif
