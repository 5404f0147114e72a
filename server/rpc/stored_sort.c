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

/* The topic's place. Takes over the reference. PLACE_LIVE: there are too many. */
static uint32_t place_of(struct stored_sort *sort, struct live_topic *topic)
{
    for (uint32_t i = 0; i < sort->topic_count; i++) {
        if (sort->topics[i].topic == topic) {
            live_topic_release(topic);
            return i;
        }
    }
    if (sort->topic_count == MAX_BATCH_TOPICS) {
        live_topic_release(topic);
        return PLACE_LIVE;
    }
    sort->topics[sort->topic_count] = (struct sorted_topic){.topic = topic};
    return sort->topic_count++;
}

static bool can_be_made(struct topics *topics, struct bytes name)
{
    struct fault unused;

    return topics_makes(topics, name) && topic_name_check(name, "topic", &unused) == FAULT_NONE;
}

static enum sort_result find(struct stored_sort *sort, struct topics *topics, struct bytes name,
                             struct last_found *last, struct fault *fault)
{
    struct live_topic *topic = name.size > 0 && topics ? topics_find(topics, name) : NULL;

    last->name = name;
    last->place = PLACE_LIVE;
    if (!topic)
        return name.size > 0 && topics && can_be_made(topics, name) ? SORT_MISSING : SORT_DONE;
    last->place = place_of(sort, topic);
    if (last->place < PLACE_LIVE)
        return SORT_DONE;
    fault_bytes(fault, FAULT_OUT_OF_BOUNDS, "events.topic", name, "at most 64 stored topics in one batch");
    return SORT_REFUSED;
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
                                 const struct sorted_events *events, struct bytes *missing_out,
                                 struct fault *fault)
{
    struct last_found last = {.place = PLACE_LIVE};
    uint32_t before = 0;

    for (uint32_t i = 0; i < events->count; i++) {
        const struct bytes event = event_at(events, i);
        const struct bytes name = event_peek_field(event, WIRE_TAG(PB_EVENT_TOPIC, WIRE_LEN));
        enum sort_result result = SORT_DONE;

        if (i == 0 || !same_bytes(name, last.name))
            result = find(sort, topics, name, &last, fault);
        if (result == SORT_MISSING)
            *missing_out = name;
        if (result != SORT_DONE)
            return result;
        if (i > 0 && last.place != before && !note_places(sort, i, events->count, before)) {
            fault_number(fault, FAULT_MEMORY_BUDGET, "events", events->count, "");
            return SORT_REFUSED;
        }
        if (last.place == PLACE_LIVE && sort->live_events == 0)
            sort->live_topic = name;
        count_event(sort, i, last.place, event);
        before = last.place;
    }
    return SORT_DONE;
}

enum sort_result stored_sort(struct stored_sort *sort, struct topics *topics,
                             const struct sorted_events *events, struct bytes *missing_out,
                             struct fault *fault)
{
    sort->topic_count = 0;
    sort->live_events = 0;
    sort->live_bytes = 0;
    sort->runs = 1;
    sort->places = NULL;
    sort->live_topic = (struct bytes){NULL, 0};
    const enum sort_result result = sort_all(sort, topics, events, missing_out, fault);
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
