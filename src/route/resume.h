/* resume.h - resume gaps: the events that a resumed stream missed.
 *
 * Threads: the control thread only. */
#ifndef TRIBUTARY_ROUTE_RESUME_H
#define TRIBUTARY_ROUTE_RESUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/status.h"

struct chan;
struct filter;
struct map;
struct resume;
struct resume_point;
struct route;
struct source;

/* What holds for a source that an earlier stream did not name. */
enum resume_others {
    RESUME_OTHERS_NEW,     /* it had published nothing then */
    RESUME_OTHERS_UNKNOWN, /* nobody knows where the stream stood */
    RESUME_OTHERS_LIVE     /* nothing of it is missed */
};

/* The positions of an earlier stream, which resume_sort() then sorts. It points into `points`. The
 * budget is charged for it and for `points` until resume_free(). NULL: out of memory, or the budget
 * is used up. */
struct resume *resume_new(const struct resume_point *points, size_t count, enum resume_others others);
void resume_free(struct resume *resume); /* NULL is allowed */
OWNED_BY(resume_free, struct resume);

/* Sorts the next `max` points by source: up to 0.3 us for each. Returns whether more are left. The
 * functions below need all of them sorted. */
bool resume_sort(struct resume *resume, uint32_t max);

/* Where the earlier stream stood in the source of this name, which has no gap from now on. NULL: it
 * did not name it, or the gap was reported before. */
const struct resume_point *resume_find(struct resume *resume, struct bytes name);
enum resume_others resume_others(const struct resume *resume);

/* Reports the resume gap of a source that a new route is for; once for each name. `last_sequence`
 * is the source's last event so far. Under the inlet's lock. */
void resume_gap_report(struct resume *resume, const struct route *route, struct source *source,
                       uint64_t last_sequence);

/* Looks at the next `max` positions, from the first one on. Reports to `chan` the sources that the
 * earlier stream knew, that `filter` would match, that no route was for (resume_gap_report()), and
 * whose name is not in `known`. What is reported here has no gap any more, should it come back.
 *   ERR_OK         *more_out says whether more positions are left
 *   ERR_NO_MEMORY  the source at hand was not reported; do not go on */
MUST_CHECK enum err resume_report_lost_sources(struct resume *resume, struct chan *chan,
                                               const struct filter *filter, const struct map *known,
                                               uint32_t max, bool *more_out);

#endif
