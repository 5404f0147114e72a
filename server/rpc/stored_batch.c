/* stored_batch.c - a batch with events of stored topics. */
#include "server/rpc/stored_batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "event/chunk_part.h"
#include "topic/topics.h"

/* ---- chunks ---- */

static struct chunk **chunk_at(struct stored_batch *batch, uint32_t place)
{
    return place == PLACE_LIVE ? &batch->live : &batch->groups[place].committed.chunk;
}

static bool begin_chunks(struct stored_batch *batch, const struct stored_sort *sort)
{
    bool is_whole = true;

    if (sort->live_events > 0) {
        batch->live = chunk_begin(sort->live_events, sort->live_bytes);
        is_whole = batch->live;
    }
    for (uint32_t i = 0; i < batch->group_count && is_whole; i++) {
        struct chunk **chunk = chunk_at(batch, i);

        *chunk = chunk_begin(sort->topics[i].events, sort->topics[i].bytes);
        is_whole = *chunk;
    }
    return is_whole;
}

/* Calls chunk_append() for each run of events in a row that have one place. */
static void copy_events(struct stored_batch *batch, const struct stored_sort *sort, const struct chunk *chunk)
{
    for (uint32_t first = 0, last; first < chunk->count; first = last) {
        const uint32_t place = sort->places[first];

        for (last = first + 1; last < chunk->count && sort->places[last] == place;)
            last++;
        chunk_append(*chunk_at(batch, place), chunk, first, last);
    }
    if (batch->live)
        batch->live = chunk_end(batch->live);
    for (uint32_t i = 0; i < batch->group_count; i++)
        *chunk_at(batch, i) = chunk_end(*chunk_at(batch, i));
}

static void release_chunks(struct stored_batch *batch)
{
    chunk_release(batch->live);
    for (uint32_t i = 0; i < batch->group_count; i++)
        chunk_release(batch->groups[i].committed.chunk);
}

/* ---- parts ---- */

/* The next `count` events of the group, as one part or as several where they are too large. */
static void add_parts(struct stored_batch *batch, struct stored_group *group, uint32_t count)
{
    const struct chunk *chunk = group->committed.chunk;
    const uint32_t end = group->next + count;

    while (group->next < end) {
        const uint32_t first = group->next;

        group->next++;
        while (group->next < end && chunk_bytes(chunk, first, group->next + 1) <= MAX_PIECE_BYTES)
            group->next++;
        batch->parts[batch->append.part_count++] =
            (struct topic_part){.topic = group->topic->id,
                                .run = {.origin = source_name(batch->origin),
                                        .count = group->next - first,
                                        .events = chunk_range(chunk, first, group->next)}};
    }
}

/* A batch with numbers has its parts in its own order, which says what a duplicate is. */
static void make_parts(struct stored_batch *batch, const struct stored_sort *sort, uint32_t events)
{
    const bool in_order = sort->places && batch->numbers.id_size > 0;

    for (uint32_t i = 0; i < batch->group_count && !in_order; i++)
        add_parts(batch, &batch->groups[i], batch->groups[i].committed.chunk->count);
    for (uint32_t first = 0, last; first < events && in_order; first = last) {
        const uint32_t place = sort->places[first];

        for (last = first + 1; last < events && sort->places[last] == place;)
            last++;
        add_parts(batch, &batch->groups[place], last - first);
    }
}

/* How many parts there are at most. */
static size_t max_parts(const struct stored_sort *sort, const struct chunk *chunk, bool in_order)
{
    const size_t pieces = chunk_bytes(chunk, 0, chunk->count) / (MAX_PIECE_BYTES / 2) + 1;

    return (in_order ? sort->runs : sort->topic_count) + 2 * pieces;
}

/* ---- the batch ---- */

static void committed_over(struct committed *committed)
{
    struct stored_batch *batch = container_of(committed, struct stored_group, committed)->batch;

    batch->delivered(batch);
}

static struct stored_batch *allocate(size_t parts, uint32_t groups)
{
    const uint64_t size = sizeof(struct stored_batch) + parts * sizeof(struct topic_part) +
                          groups * sizeof(struct stored_group);
    struct stored_batch *batch = budget_calloc(COUNT_LIVE_APPEND_BYTES, size);

    if (!batch)
        return NULL;
    batch->charged = size;
    batch->groups = (struct stored_group *)(void *)(batch->parts + parts);
    batch->group_count = groups;
    return batch;
}

static void begin_groups(struct stored_batch *batch, struct stored_sort *sort)
{
    for (uint32_t i = 0; i < batch->group_count; i++) {
        struct stored_group *group = &batch->groups[i];

        group->topic = sort->topics[i].topic;
        group->batch = batch;
        group->committed.over = committed_over;
        list_init(&group->committed.in_tail);
        batch->bytes += sort->topics[i].bytes;
    }
    batch->bytes += sort->live_bytes;
}

static void set_append(struct stored_batch *batch)
{
    struct topic_append *append = &batch->append;

    append->parts = batch->parts;
    append->producer = source_name(batch->origin);
    append->publisher = (struct bytes){batch->numbers.id, batch->numbers.id_size};
    append->life = batch->numbers.life;
    append->first_number = batch->numbers.first;
}

struct stored_batch *stored_batch_new(struct stored_sort *sort, struct chunk *chunk, struct source *origin,
                                      const struct publisher_numbers *numbers)
{
    const bool in_order = numbers->id_size > 0;
    struct stored_batch *batch = allocate(max_parts(sort, chunk, in_order), sort->topic_count);

    if (!batch)
        return NULL;
    batch->numbers = *numbers;
    begin_groups(batch, sort);
    if (sort->places && !begin_chunks(batch, sort)) {
        release_chunks(batch);
        budget_free(COUNT_LIVE_APPEND_BYTES, batch, batch->charged);
        return NULL;
    }
    const uint32_t events = chunk->count;
    batch->origin = source_retain(origin);
    if (sort->places) {
        copy_events(batch, sort, chunk);
        chunk_release(chunk);
    } else {
        batch->groups[0].committed.chunk = chunk;
    }
    for (uint32_t i = 0; i < batch->group_count; i++)
        batch->groups[i].committed.chunk->origin = source_retain(origin);
    set_append(batch);
    make_parts(batch, sort, events);
    sort->topic_count = 0; /* the references are the groups' */
    return batch;
}

void stored_batch_free(struct stored_batch *batch)
{
    release_chunks(batch);
    for (uint32_t i = 0; i < batch->group_count; i++)
        live_topic_release(batch->groups[i].topic);
    source_release(batch->origin);
    budget_free(COUNT_LIVE_APPEND_BYTES, batch, batch->charged);
}

/* ---- after the commit ---- */

static struct stored_group *group_of(struct stored_batch *batch, const struct topic_part *part)
{
    struct stored_group *group = batch->groups;

    while (group->topic->id != part->topic)
        group++;
    return group;
}

/* The stored events of a group are its last ones, unless the batch is split, and have sequences
 * in a row: nothing else of this topic comes into a commit between the parts of one append. */
static void note_part(struct stored_batch *batch, const struct topic_part *part)
{
    struct stored_group *group = group_of(batch, part);

    group->committed.first += part->run.count - part->stored;
    group->committed.expires |= part->expires;
    if (part->stored == 0)
        return;
    if (group->first_seq == 0)
        group->first_seq = part->first_seq;
    else
        CHECK(part->first_seq == group->last_seq + 1);
    group->last_seq = part->first_seq + part->stored - 1;
    group->incarnation = part->incarnation;
}

void stored_batch_committed(struct stored_batch *batch)
{
    /* all parts are, or none; then the store itself has brought the events to the tails */
    const bool is_split = batch->parts[0].is_split;
    uint32_t stored = 0;

    for (uint32_t i = 0; i < batch->append.part_count; i++)
        note_part(batch, &batch->parts[i]);
    for (uint32_t i = 0; i < batch->group_count && !is_split; i++)
        stored += batch->groups[i].first_seq > 0;
    atomic_fetch_add_explicit(&batch->undelivered, stored, memory_order_relaxed);
    for (uint32_t i = 0; i < batch->group_count && !is_split; i++) {
        struct stored_group *group = &batch->groups[i];

        group->committed.first_seq = group->first_seq;
        if (group->first_seq > 0)
            topic_tail_add(&group->topic->tail, &group->committed);
    }
}

uint32_t stored_batch_duplicates(const struct stored_batch *batch)
{
    uint32_t duplicates = batch->append.duplicates;

    for (uint32_t i = 0; i < batch->append.part_count; i++)
        duplicates += batch->parts[i].same_ids;
    return duplicates;
}

enum fault_reason stored_batch_fault(const struct stored_batch *batch, struct fault *fault)
{
    const struct source *source = batch->groups[0].topic->producer.inlet.source;
    const struct bytes topic = {(const uint8_t *)source->name + 1, source->name_size - 1};
    char bound[64];

    if (batch->is_given_up)
        return fault_set(fault, FAULT_STORE_LATE, "", "");
    switch (batch->append.outcome) {
    case TOPIC_GAP:
        snprintf(bound, sizeof(bound), "the next number is %" PRIu64, batch->append.expected);
        return fault_number(fault, FAULT_NUMBER_GAP, "publisher.first_number", batch->numbers.first, bound);
    case TOPIC_FENCED:
        return fault_number(fault, FAULT_PUBLISHER_FENCED, "publisher.life", batch->numbers.life, "");
    case TOPIC_PUBLISHER_FORGOTTEN:
        return fault_number(fault, FAULT_PUBLISHER_UNKNOWN, "publisher.first_number", batch->numbers.first,
                            "1, or a higher life");
    default:
        return topic_outcome_fault(batch->append.outcome, "events.topic", topic, fault);
    }
}
