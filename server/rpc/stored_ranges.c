/* stored_ranges.c - what was stored since the last answer. */
#include "server/rpc/stored_ranges.h"

#include <stdlib.h>

#include "event/field_write.h"
#include "proto/field_numbers.h"
#include "server/rpc/stored_batch.h"

struct stored_range {
    struct source *source; /* the topic's: its name behind '@', and its incarnation; a reference */
    uint64_t first, last;
};

static void clear(struct stored_ranges *ranges)
{
    for (uint32_t i = 0; i < ranges->count; i++)
        source_release(ranges->ranges[i].source);
    ranges->count = 0;
}

void stored_ranges_fini(struct stored_ranges *ranges)
{
    clear(ranges);
    free(ranges->ranges);
    *ranges = (struct stored_ranges){.count = 0};
}

static struct stored_range *range_of(struct stored_ranges *ranges, struct source *source)
{
    for (uint32_t i = 0; i < ranges->count; i++) {
        if (ranges->ranges[i].source == source)
            return &ranges->ranges[i];
    }
    if (ranges->count == MAX_STORED_RANGES)
        return NULL;
    if (ranges->count == ranges->capacity) {
        const uint32_t capacity = ranges->capacity * 2 + 2;
        struct stored_range *larger = reallocarray(ranges->ranges, capacity, sizeof(*larger));

        if (!larger)
            return NULL;
        ranges->ranges = larger;
        ranges->capacity = capacity;
    }
    ranges->ranges[ranges->count] = (struct stored_range){.source = source_retain(source)};
    return &ranges->ranges[ranges->count++];
}

void stored_ranges_note(struct stored_ranges *ranges, const struct stored_batch *batch)
{
    for (uint32_t i = 0; i < batch->group_count; i++) {
        const struct stored_group *group = &batch->groups[i];

        if (group->first_seq == 0)
            continue;
        struct stored_range *range = range_of(ranges, group->topic->producer.inlet.source);
        if (!range)
            continue;
        if (range->first == 0 || range->last + 1 != group->first_seq)
            range->first = group->first_seq;
        range->last = group->last_seq;
    }
}

void stored_ranges_write(struct stored_ranges *ranges, uint32_t field, struct buf *message)
{
    for (uint32_t i = 0; i < ranges->count; i++) {
        const struct stored_range *range = &ranges->ranges[i];
        const struct bytes name = {(const uint8_t *)range->source->name + 1, range->source->name_size - 1};
        struct buf body = {0};

        field_bytes(&body, PB_STORED_RANGE_TOPIC, name);
        field_fixed64(&body, PB_STORED_RANGE_EPOCH, range->source->epoch);
        field_fixed64(&body, PB_STORED_RANGE_FIRST_SEQUENCE, range->first);
        field_fixed64(&body, PB_STORED_RANGE_LAST_SEQUENCE, range->last);
        field_message(message, field, &body);
    }
    clear(ranges);
}
