/* resume.c - what a consumer that comes back has missed: its old positions against what the
 * producers have published since.
 *
 * Events are not kept, so all that can be done is to say honestly what is gone: how many of a
 * source that went on in the same epoch, an unknown number where the epoch is another, where the
 * source is gone, or where the subscription wants some events only. */
#include <stdlib.h>

#include "hub/hub_internal.h"

struct place {
    struct map_node node;
    const struct resume_point *point;
};

struct resume {
    struct map map;
    struct place *places;
    size_t count;
    bool whole; /* every source that had published is in it */
};

struct resume *resume_new(const struct resume_point *points, size_t count, bool whole)
{
    OWNED(resume_free) struct resume *resume = calloc(1, sizeof(*resume));
    struct resume *made;

    if (!resume)
        return NULL;
    map_init(&resume->map);
    resume->whole = whole;
    resume->places = calloc(MAX_OF(count, 1u), sizeof(*resume->places));
    if (!resume->places)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct place *place = &resume->places[resume->count];

        /* A token may know several epochs of a source. They rise, so the latest says where it
         * stood; and the later of two places in one epoch, where it was asked for again. */
        struct map_node *known = map_find(&resume->map, points[i].source);

        if (known) {
            struct place *other = container_of(known, struct place, node);

            if (points[i].epoch > other->point->epoch ||
                (points[i].epoch == other->point->epoch && points[i].sequence > other->point->sequence))
                other->point = &points[i];
            continue;
        }
        place->point = &points[i];
        place->node.key = points[i].source;
        if (map_add(&resume->map, &place->node) != ERR_OK)
            return NULL;
        resume->count++;
    }
    made = resume;
    resume = NULL;
    return made;
}

void resume_free(struct resume *resume)
{
    if (!resume)
        return;
    map_fini(&resume->map);
    free(resume->places);
    free(resume);
}

void resume_bound(const struct resume *resume, const struct route *route, struct source *source,
                  uint64_t last_sequence)
{
    struct map_node *node = map_find(&resume->map, source_name(source));
    const struct resume_point *point = node ? container_of(node, struct place, node)->point : NULL;

    if (point && point->epoch != source->epoch) {
        feed_gap(route->chan, route->feed, last_sequence > 0 ? 1 : 0, last_sequence, true);
    } else {
        /* A source that is not in a whole token had published nothing then: it began later, or was
         * silent. */
        uint64_t stood = point ? point->sequence : 0;
        bool unknown = route->part.answer == FILTER_BY_EVENT || (!point && !resume->whole);

        if (stood < last_sequence)
            feed_gap(route->chan, route->feed, stood + 1, last_sequence, unknown);
    }
}

enum err resume_gone(const struct resume *resume, const struct subscription *subscription)
{
    for (size_t i = 0; i < resume->count; i++) {
        const struct resume_point *point = resume->places[i].point;
        OWNED(source_release) struct source *source = NULL;
        struct feed *feed;

        if (map_find(&subscription->hub->producers, point->source) ||
            filter_producer(subscription->filter, point->source, NULL, 0).answer == FILTER_NONE)
            continue;
        source = source_new(point->source, point->epoch);
        if (!source)
            return ERR_NO_MEMORY;
        feed = feed_open(subscription->chan, source, PRODUCER_REMOVED, NULL);
        if (!feed)
            return ERR_NO_MEMORY;
        feed_gap(subscription->chan, feed, 0, 0, true);
        feed_close(subscription->chan, feed, PRODUCER_REMOVED, 0, NULL);
    }
    return ERR_OK;
}
