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

/* Sorts the positions of an earlier stream by source. It points into `points`. NULL: out of
 * memory. */
struct resume *resume_new(const struct resume_point *points, size_t count, enum resume_others others);
void resume_free(struct resume *resume); /* NULL is allowed */
OWNED_BY(resume_free, struct resume);

/* Reports the resume gap of a source that a new route is for; once for each name. `last_sequence`
 * is the source's last event so far. Under the inlet's lock. */
void resume_gap_report(struct resume *resume, const struct route *route, struct source *source,
                       uint64_t last_sequence);

/* Reports to `chan` the sources that the earlier stream knew, that `filter` would match, that no
 * route was for (resume_gap_report()), and whose name is not in `known`.
 *   ERR_NO_MEMORY  some of them were not reported */
MUST_CHECK enum err resume_report_lost_sources(const struct resume *resume, struct chan *chan,
                                               const struct filter *filter, const struct map *known);

#endif
