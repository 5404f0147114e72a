/* stored_sort.c - which events of a message are of stored topics. */
#include "server/rpc/stored_sort.h"

#include <stdlib.h>
#include <string.h>

#include "event/peek.h"
#include "topic/topics.h"

/* The last topic that was found, so events in a row of one topic are found once. */
struct last_found {
    struct bytes name;
    uint32_t place;
    bool is_missing;
};

/* The names of topics that must be made. They count as topics of the batch, so that a batch with
 * too many makes none. */
struct missing {
    struct bytes names[MAX_BATCH_TOPICS];
    uint32_t count;
};

static struct bytes event_at(const struct sorted_events *events, uint32_t i)
{
    const uint32_t end = events->ends ? events->ends[i] : events->offsets[i + 1];

    return (struct bytes){events->data + events->offsets[i], end - events->offsets[i]};
}

static bool same_bytes(struct bytes one, struct bytes other)
{
    return one.size == other.size && (one.size == 0 || memcmp(one.data, other.data, one.size) == 0);
}

/* The topic's place. Takes over the reference. `capacity`: there are too many. */
static uint32_t place_of(struct stored_sort *sort, struct live_topic *topic, uint32_t capacity)
{
    for (uint32_t i = 0; i < sort->topic_count; i++) {
        if (sort->topics[i].topic == topic) {
            live_topic_release(topic);
            return i;
        }
    }
    if (sort->topic_count == capacity) {
        live_topic_release(topic);
        return capacity;
    }
    sort->topics[sort->topic_count] = (struct sorted_topic){.topic = topic};
    return sort->topic_count++;
}

static bool can_be_made(struct topics *topics, struct bytes name)
{
    struct fault unused;

    return topics_makes(topics, name) && topic_name_check(name, "topic", &unused) == FAULT_NONE;
}

/* False: there are too many. */
static bool note_missing(struct missing *missing, struct bytes name, uint32_t capacity)
{
    for (uint32_t i = 0; i < missing->count; i++)
        if (same_bytes(missing->names[i], name))
            return true;
    if (missing->count == capacity)
        return false;
    missing->names[missing->count++] = name;
    return true;
}

/* False: there are too many topics. */
static bool find(struct stored_sort *sort, struct topics *topics, struct bytes name, struct missing *missing,
                 struct last_found *last)
{
    struct live_topic *topic = name.size > 0 && topics ? topics_find(topics, name) : NULL;

    last->name = name;
    last->place = PLACE_LIVE;
    last->is_missing = !topic && name.size > 0 && topics && can_be_made(topics, name);
    if (last->is_missing)
        return note_missing(missing, name, MAX_BATCH_TOPICS - sort->topic_count);
    if (!topic)
        return true;
    last->place = place_of(sort, topic, MAX_BATCH_TOPICS - missing->count);
    return last->place < MAX_BATCH_TOPICS - missing->count;
}

/* Event i has another place than the one before it. */
static bool note_places(struct stored_sort *sort, uint32_t i, uint32_t count, uint32_t before)
{
    sort->runs++;
    if (sort->places)
        return true;
    sort->places = malloc(count);
    if (sort->places)
        memset(sort->places, (int)before, i);
    return sort->places;
}

static void count_event(struct stored_sort *sort, uint32_t i, uint32_t place, struct bytes event)
{
    if (sort->places)
        sort->places[i] = (uint8_t)place;
    if (place == PLACE_LIVE) {
        sort->live_events++;
        sort->live_bytes += (uint32_t)event.size;
    } else {
        sort->topics[place].events++;
        sort->topics[place].bytes += (uint32_t)event.size;
    }
}

static enum sort_result sort_all(struct stored_sort *sort, struct topics *topics,
                                 const struct sorted_events *events, struct missing *missing,
                                 struct fault *fault)
{
    struct last_found last = {.place = PLACE_LIVE};
    uint32_t before = 0;

    for (uint32_t i = 0; i < events->count; i++) {
        const struct bytes event = event_at(events, i);
        const struct bytes name = event_peek_field(event, WIRE_TAG(PB_EVENT_TOPIC, WIRE_LEN));

        if ((i == 0 || !same_bytes(name, last.name)) && !find(sort, topics, name, missing, &last)) {
            fault_bytes(fault, FAULT_OUT_OF_BOUNDS, "events.topic", name,
                        "at most 64 stored topics in one batch");
            return SORT_REFUSED;
        }
        if (last.is_missing)
            continue;
        if (i > 0 && missing->count == 0 && last.place != before &&
            !note_places(sort, i, events->count, before)) {
            fault_number(fault, FAULT_MEMORY_BUDGET, "events", events->count, "");
            return SORT_REFUSED;
        }
        if (last.place == PLACE_LIVE && sort->live_events == 0)
            sort->live_topic = name;
        count_event(sort, i, last.place, event);
        before = last.place;
    }
    return missing->count > 0 ? SORT_MISSING : SORT_DONE;
}

enum sort_result stored_sort(struct stored_sort *sort, struct topics *topics,
                             const struct sorted_events *events, struct bytes *missing_out,
                             struct fault *fault)
{
    struct missing missing;

    sort->topic_count = 0;
    sort->live_events = 0;
    sort->live_bytes = 0;
    sort->runs = 1;
    sort->places = NULL;
    sort->live_topic = (struct bytes){NULL, 0};
    missing.count = 0;
    const enum sort_result result = sort_all(sort, topics, events, &missing, fault);
    if (result == SORT_MISSING)
        *missing_out = missing.names[0];
    if (result != SORT_DONE)
        stored_sort_fini(sort);
    return result;
}

void stored_sort_fini(struct stored_sort *sort)
{
    for (uint32_t i = 0; i < sort->topic_count; i++)
        live_topic_release(sort->topics[i].topic);
    free(sort->places);
    sort->topic_count = 0;
    sort->places = NULL;
}
