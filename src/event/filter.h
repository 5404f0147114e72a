/* filter.h - which events a consumer wants.
 *
 * A filter is made of selectors and excludes. It wants an event that at least one selector matches
 * and that no exclude matches. A selector matches if all of its set fields match. Every text of a
 * selector is a glob (glob.h), but for the names. Of two headers, or labels, with one name the last
 * one counts.
 *
 * A producer whose name begins with '@' is a *stored topic*, named by what follows. What selectors
 * ask of its events is explained at filter_stored().
 *
 * The work for one event is bounded, because the cost of a filter is (filter_cost.h).
 *
 * Threads: one thread makes a filter. It never changes afterwards, so any thread may use it. */
#ifndef TRIBUTARY_EVENT_FILTER_H
#define TRIBUTARY_EVENT_FILTER_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"
#include "event/event_view.h"
#include "event/filter_cost.h"
#include "event/glob.h"
#include "event/pair_index.h"

#define MAX_SELECTORS 64u /* selectors, and excludes, of a filter; entries of each list of a selector */

/* One selector, as a consumer gave it. An unset field (size 0, count 0) matches everything. Of
 * `keys` and `types` one entry must match, of `headers` and `labels` every entry. */
struct selector {
    struct bytes producer, topic;
    const struct bytes *keys, *types;
    const struct pair *headers, *labels;
    uint32_t key_count, type_count, header_count, label_count;
    struct bytes producer_name; /* in place of `producer`: no glob, but the name itself */
};

struct filter;

/* Makes a filter, which copies everything and is the caller's. On a fault *filter_out is unchanged,
 * and *fault names what is wrong:
 *   FAULT_EMPTY          there is no selector, a selector has no field set (the bound then says
 *                        `set producer: "*" for everything`), or a text of a list is empty
 *   FAULT_OUT_OF_BOUNDS  a selector has both `producer` and `producer_name`
 *   FAULT_TOO_MANY       more than MAX_SELECTORS selectors, excludes, or entries of a list
 *   FAULT_TOO_LONG       a text of more than MAX_PATTERN_BYTES
 *   FAULT_BAD_UTF8       a text is not valid UTF-8
 *   FAULT_FILTER_COST    with this text the cost is above MAX_FILTER_COST
 *   FAULT_MEMORY_BUDGET  memory or budget is used up */
MUST_CHECK enum fault_reason filter_new(const struct selector *selectors, size_t selector_count,
                                        const struct selector *excludes, size_t exclude_count,
                                        struct filter **filter_out, struct fault *fault);
void filter_free(struct filter *filter); /* NULL allowed */
OWNED_BY(filter_free, struct filter);

/* The memory that the filter keeps; it is in the budget. NULL: 0. */
size_t filter_bytes(const struct filter *filter);

/* The part of a filter that concerns one producer: its name and labels are decided, and what is
 * left depends on the event. */
struct filter_part {
    uint64_t selectors; /* a bit for each selector that can still match */
    uint64_t excludes;  /* a bit for each exclude that can still match */
    enum filter_answer {
        FILTER_NONE,    /* no event of this producer is wanted */
        FILTER_ALL,     /* every event of this producer is wanted */
        FILTER_BY_EVENT /* filter_event() decides */
    } answer;
    bool is_stored; /* of a stored topic: the event's origin may count, and its own topic does not */
};

/* Whether the filter wants every event of every producer, whatever its name and labels. */
bool filter_wants_everything(const struct filter *filter);

/* Decides what can be decided for a producer, which has at most MAX_PAIRS labels. For a stored
 * topic it is filter_stored(). */
struct filter_part filter_producer(const struct filter *filter, struct bytes name, const struct pair *labels,
                                   size_t label_count);

/* Decides what can be decided for a stored topic, by the name of its source, "@" and its own:
 * selectors with labels do not match, `topic` is for the topic's own name, and a `producer` or
 * `producer_name` that begins with '@' is for the name of the source. Another one is for the
 * origin, which each event has (event_view.origin). */
struct filter_part filter_stored(const struct filter *filter, struct bytes source_name);

/* Whether the filter wants an event of a producer whose part answered FILTER_BY_EVENT. A view
 * without headers stands for an event without headers: see event_peek(). */
bool filter_event(const struct filter *filter, const struct filter_part *part, const struct event_view *view);

#endif
