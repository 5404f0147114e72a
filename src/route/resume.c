/* resume.c - finds and reports resume gaps: compares the positions of an earlier stream with what
 * the sources have published since.
 *
 * Events are not kept, so all that can be done is to report what is missing. It is a number where
 * the source went on in the same epoch. It is unknown where the epoch is another one, where the
 * source is gone, or where the route wants only some of the events. */
#include "route/resume.h"

#include <stdlib.h>

#include "base/budget.h"
#include "base/map.h"
#include "event/filter.h"
#include "flow/feed.h"
#include "flow/producer_state.h"
#include "flow/shared_feed.h"
#include "route/data_path.h"
#include "route/resume_point.h"

struct position {
    struct map_node node;
    const struct resume_point *point;
    bool settled; /* its gap was reported, or there is none */
};

struct resume {
    const struct resume_point *points;
    size_t point_count, sorted;
    struct map map; /* of `positions` */
    struct position *positions;
    size_t count;
    size_t looked_at; /* by resume_report_lost_sources() */
    enum resume_others others;
    uint64_t charged; /* of the budget */
};

/* What so many points need: themselves, their positions, and fewer than two slots of the map
 * each. */
static uint64_t bytes_of(size_t count)
{
    return sizeof(struct resume) +
           count * (sizeof(struct resume_point) + sizeof(struct position) + 2 * sizeof(struct map_node *));
}

/* A token may know several epochs of a source. Epochs rise, so the latest one says where the stream
 * stood. Of two positions in one epoch the later one counts: the source was selected again in
 * between. */
static bool counts_more(const struct resume_point *point, const struct resume_point *other)
{
    if (point->overrides != other->overrides)
        return point->overrides;
    if (point->epoch != other->epoch)
        return point->epoch > other->epoch;
    return point->sequence > other->sequence;
}

struct resume *resume_new(const struct resume_point *points, size_t count, enum resume_others others)
{
    OWNED(resume_free) struct resume *resume = calloc(1, sizeof(*resume));
    struct resume *created;

    if (!resume || !budget_take(COUNT_LIVE_POSITION_BYTES, bytes_of(count)))
        return NULL;
    resume->charged = bytes_of(count);
    map_init(&resume->map);
    resume->points = points;
    resume->point_count = count;
    resume->others = others;
    resume->positions = calloc(MAX_OF(count, 1u), sizeof(*resume->positions));
    if (!resume->positions)
        return NULL;
    if (map_reserve_many(&resume->map, count) != ERR_OK)
        return NULL;
    created = resume;
    resume = NULL;
    return created;
}

static void sort_in(struct resume *resume, const struct resume_point *point)
{
    struct position *position = &resume->positions[resume->count];
    struct map_node *known = map_find(&resume->map, point->source);

    if (known) {
        struct position *other = container_of(known, struct position, node);

        if (counts_more(point, other->point))
            other->point = point;
        return;
    }
    position->point = point;
    position->node.key = point->source;
    CHECK(map_add(&resume->map, &position->node) == ERR_OK);
    resume->count++;
}

bool resume_sort(struct resume *resume, uint32_t max)
{
    for (; max > 0 && resume->sorted < resume->point_count; max--)
        sort_in(resume, &resume->points[resume->sorted++]);
    return resume->sorted < resume->point_count;
}

void resume_free(struct resume *resume)
{
    if (!resume)
        return;
    map_fini(&resume->map);
    free(resume->positions);
    budget_give(COUNT_LIVE_POSITION_BYTES, resume->charged);
    free(resume);
}

const struct resume_point *resume_find(struct resume *resume, struct bytes name)
{
    struct map_node *node = map_find(&resume->map, name);
    struct position *position = node ? container_of(node, struct position, node) : NULL;

    if (!position || position->settled)
        return NULL;
    position->settled = true;
    return position->point;
}

enum resume_others resume_others(const struct resume *resume)
{
    return resume->others;
}

static void report_gap(const struct route *route, struct source *source, uint64_t first, uint64_t last,
                       bool count_unknown)
{
    if (route->feed)
        feed_gap(route->chan, route->feed, first, last, count_unknown);
    else
        shared_gap(route->chan, source, first, last, count_unknown);
}

void resume_gap_report(struct resume *resume, const struct route *route, struct source *source,
                       uint64_t last_sequence)
{
    struct map_node *node = map_find(&resume->map, source_name(source));
    struct position *position = node ? container_of(node, struct position, node) : NULL;
    const struct resume_point *point = position ? position->point : NULL;

    if (!point && resume->others == RESUME_OTHERS_LIVE)
        return;
    if (position && position->settled)
        return; /* it was removed and came back, after the stream had begun */
    if (position)
        position->settled = true;
    if (point && point->epoch != source->epoch) {
        report_gap(route, source, last_sequence > 0 ? 1 : 0, last_sequence, true);
    } else {
        /* RESUME_OTHERS_NEW: a source that is not named had published nothing then. It began later,
         * or was silent. */
        uint64_t sequence = point ? point->sequence : 0;
        bool unknown = route->part.answer == FILTER_BY_EVENT || route->inlet->uncounted ||
                       sequence < route->inlet->placed_at ||
                       (!point && resume->others == RESUME_OTHERS_UNKNOWN);

        if (sequence < last_sequence)
            report_gap(route, source, sequence + 1, last_sequence, unknown);
        else if (point && route->inlet->unplaced)
            report_gap(route, source, 0, 0, true); /* what this server has missed is not known yet */
    }
}

static enum err report_lost(struct chan *chan, const struct resume_point *point)
{
    OWNED(source_release) struct source *source = source_new(point->source, point->epoch);

    if (!source)
        return ERR_NO_MEMORY;
    shared_gap(chan, source, 0, 0, true);
    shared_end(chan, source, PRODUCER_REMOVED, 0, NULL);
    return ERR_OK;
}

enum err resume_report_lost_sources(struct resume *resume, struct chan *chan, const struct filter *filter,
                                    const struct map *known, uint32_t max, bool *more_out)
{
    for (; max > 0 && resume->looked_at < resume->count; max--) {
        struct position *position = &resume->positions[resume->looked_at++];
        struct bytes source = position->point->source;

        if (position->settled || map_find(known, source) ||
            filter_producer(filter, source, NULL, 0).answer == FILTER_NONE)
            continue;
        position->settled = true;
        if (report_lost(chan, position->point) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    *more_out = resume->looked_at < resume->count;
    return ERR_OK;
}
