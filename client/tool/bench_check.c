/* bench_check.c - keeps the next sequence of each source, and the next number of each origin: a
 * producer in one run. Events of one source follow each other, so a name is compared with the
 * latest one before the map is searched. */
#include "client/tool/bench_check.h"

#include <stdlib.h>
#include <string.h>

#include "client/tool/bench_mark.h"

#define MAX_GAPS 16u /* kept for one origin; an event that fills an older gap counts as a duplicate */

struct gap {
    uint64_t first, end; /* the missing numbers: `first` and on, up to and without `end` */
};

struct origin {
    struct map_node node;
    struct origin_key {
        uint64_t run;
        uint64_t producer;
    } key;
    uint64_t next;
    struct gap gaps[MAX_GAPS];
    size_t gap_count;
};

struct check_source {
    struct map_node node;
    struct origin *origin; /* that of the latest mark; NULL: none */
    uint64_t epoch;
    uint64_t next; /* the next sequence; 0: any */
    char name[];
};

void check_init(struct check *check)
{
    check->host = mark_host();
    map_init(&check->sources);
    map_init(&check->origins);
}

void check_fini(struct check *check)
{
    map_each(node, next, &check->sources)
    {
        free(container_of(node, struct check_source, node));
    }
    map_each(node, next, &check->origins)
    {
        free(container_of(node, struct origin, node));
    }
    map_fini(&check->sources);
    map_fini(&check->origins);
}

static bool is_named(const struct check_source *source, struct tributary_bytes name)
{
    return source && source->node.key.size == name.size &&
           (name.size == 0 || memcmp(source->name, name.data, name.size) == 0);
}

/* Finds a source, or adds it. NULL: out of memory, or MAX_CHECK_NAMES reached. */
static struct check_source *find_source(struct check *check, struct tributary_bytes name)
{
    struct map_node *node = map_find(&check->sources, (struct bytes){name.data, name.size});
    struct check_source *source = NULL;

    if (node)
        return container_of(node, struct check_source, node);
    if (check->sources.count >= MAX_CHECK_NAMES || !(source = calloc(1, sizeof(*source) + name.size)))
        return NULL;
    if (name.size > 0)
        memcpy(source->name, name.data, name.size);
    source->node.key = (struct bytes){(const uint8_t *)source->name, name.size};
    if (map_add(&check->sources, &source->node) == ERR_OK)
        return source;
    free(source);
    return NULL;
}

/* Sets where a new origin begins. Where its run is older than the subscription, the numbers before
 * the first one received are not expected. */
static void expect(struct check *check, struct origin *origin, const struct mark *mark)
{
    check->stats.producers++;
    if ((int64_t)mark->run < check->since_wall_ns) {
        check->stats.before += mark->number;
        origin->next = mark->number;
    }
}

/* Finds an origin, or adds it. NULL: out of memory, or MAX_CHECK_NAMES reached. */
static struct origin *find_origin(struct check *check, const struct mark *mark)
{
    const struct origin_key key = {mark->run, mark->producer};
    struct map_node *node = map_find(&check->origins, (struct bytes){(const uint8_t *)&key, sizeof(key)});
    struct origin *origin = NULL;

    if (node)
        return container_of(node, struct origin, node);
    if (check->origins.count >= MAX_CHECK_NAMES || !(origin = calloc(1, sizeof(*origin))))
        return NULL;
    origin->key = key;
    origin->node.key = (struct bytes){(const uint8_t *)&origin->key, sizeof(origin->key)};
    if (map_add(&check->origins, &origin->node) == ERR_OK) {
        expect(check, origin, mark);
        return origin;
    }
    free(origin);
    return NULL;
}

static void check_sequence(struct check *check, struct check_source *source,
                           const struct tributary_delivery *delivery)
{
    const uint64_t sequence = delivery->sequence;

    if (delivery->epoch > source->epoch) {
        source->epoch = delivery->epoch;
        source->next = 0;
    }
    if (delivery->epoch < source->epoch || sequence < source->next) {
        check->stats.disorder++;
        return;
    }
    if (sequence > source->next && source->next > 0) {
        check->stats.sequence_holes++;
        check->stats.sequence_missing += sequence - source->next;
    }
    source->next = sequence + 1;
}

static void open_gap(struct check *check, struct origin *origin, uint64_t end)
{
    check->stats.holes++;
    check->stats.missing += end - origin->next;
    if (origin->gap_count == MAX_GAPS)
        memmove(origin->gaps, origin->gaps + 1, --origin->gap_count * sizeof(origin->gaps[0]));
    origin->gaps[origin->gap_count++] = (struct gap){origin->next, end};
}

/* Handles a number that is lower than expected: it fills a gap, or was received before. */
static void check_late(struct check *check, struct origin *origin, uint64_t number)
{
    for (size_t i = 0; i < origin->gap_count; i++) {
        struct gap *gap = &origin->gaps[i];
        const struct gap rest = {number + 1, gap->end};

        if (number < gap->first || number >= gap->end)
            continue;
        gap->end = number;
        if (rest.first < rest.end && gap->first == gap->end)
            *gap = rest;
        else if (rest.first < rest.end && origin->gap_count < MAX_GAPS)
            origin->gaps[origin->gap_count++] = rest;
        check->stats.missing--;
        check->stats.disorder++;
        return;
    }
    check->stats.duplicates++;
}

static void check_number(struct check *check, struct origin *origin, uint64_t number)
{
    if (number == origin->next) {
        origin->next++;
        return;
    }
    if (number < origin->next) {
        check_late(check, origin, number);
        return;
    }
    open_gap(check, origin, number);
    origin->next = number + 1;
}

void check_event(struct check *check, const struct tributary_delivery *delivery, int64_t now_ns)
{
    struct mark mark;

    check->stats.events++;
    check->stats.bytes += delivery->event.data.size;
    if (!is_named(check->source, delivery->source))
        check->source = find_source(check, delivery->source);

    struct check_source *source = check->source;

    if (source && !check->no_sequences)
        check_sequence(check, source, delivery);
    if (!source || !mark_read(delivery->event.data, &mark)) {
        check->stats.unchecked++;
        return;
    }
    if (!source->origin || source->origin->key.run != mark.run ||
        source->origin->key.producer != mark.producer)
        source->origin = find_origin(check, &mark);
    if (!source->origin) {
        check->stats.unchecked++;
        return;
    }
    check_number(check, source->origin, mark.number);
    if (mark.host == check->host && mark.time_ns >= check->latency_from_ns)
        histogram_add(&check->latency, now_ns - mark.time_ns);
}

void check_lost(struct check *check, const struct tributary_lost *lost)
{
    check->stats.lost += lost->count;
    check->stats.lost_bytes += lost->bytes;
    check->stats.lost_unknown |= lost->count_unknown;
}

void check_stats_add(struct check_stats *into, const struct check_stats *other)
{
    into->events += other->events;
    into->bytes += other->bytes;
    into->unchecked += other->unchecked;
    into->producers = MAX_OF(into->producers, other->producers);
    into->before += other->before;
    into->holes += other->holes;
    into->missing += other->missing;
    into->disorder += other->disorder;
    into->duplicates += other->duplicates;
    into->sequence_holes += other->sequence_holes;
    into->sequence_missing += other->sequence_missing;
    into->lost += other->lost;
    into->lost_bytes += other->lost_bytes;
    into->lost_unknown |= other->lost_unknown;
}

bool check_failed_by(const struct check_stats *stats)
{
    return stats->holes + stats->disorder + stats->sequence_holes + stats->lost > 0 || stats->lost_unknown;
}
