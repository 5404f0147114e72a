/* topic_producer.c - stored topics as producers of the hub: the kind, and how they come and go. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flow/producer_state.h"
#include "hub/bind_rest.h"
#include "hub/hub_parts.h"
#include "hub/hub_query.h"
#include "hub/producer_change.h"
#include "hub/reader.h"
#include "hub/ready.h"
#include "hub/registry.h"
#include "route/inlet.h"
#include "topic/live_topic.h"
#include "topic/read_turns.h"
#include "topic/stored_reader.h"

static struct live_topic *topic_of(const struct producer *producer)
{
    return container_of(producer, struct live_topic, producer);
}

/* ---- the kind ---- */

static bool joinable(const struct producer *producer)
{
    return producer->inlet.state == INLET_OPEN;
}

static bool close_one(struct live_topic *topic)
{
    struct list *node = list_first(&topic->producer.readers);

    if (node)
        reader_close(container_of(node, struct reader, in_producer), PRODUCER_REMOVED);
    return !list_empty(&topic->producer.readers);
}

/* Subscriptions that wait for their last reader move on. */
static bool end_step(struct slice *slice)
{
    struct live_topic *topic = container_of(slice, struct live_topic, ending);
    struct ready_list *ready = hub_ready(topic->producer.hub);

    if (close_one(topic))
        return true;
    live_topic_release(topic);
    ready_run(ready);
    return false;
}

/* Nobody can find it any more. Consumers that are many leave in slices; until then this holds the
 * caller's reference. */
static void remove_now(struct producer *producer, enum fault_reason reason, int64_t drain_ns)
{
    struct live_topic *topic = topic_of(producer);

    (void)drain_ns; /* nothing waits for its end */
    registry_remove(producer);
    inlet_set_state(&producer->inlet, INLET_REMOVED);
    log_write(LOG_INFO, "topic.removed", LOG_BYTES("topic", source_name(producer->inlet.source)),
              LOG_NUMBER("epoch", producer->inlet.source->epoch),
              LOG_NUMBER("events", producer->inlet.published.events),
              LOG_NUMBER("subscriptions", inlet_subscriptions(&producer->inlet)));
    producer_removed(producer, fault_reason_name(reason));
    topic->is_removed = true;
    slice_init(&topic->ending, end_step);
    loop_slice(hub_loop(producer->hub), &topic->ending);
}

static void query(struct producer *producer, struct producer_view *view)
{
    (void)producer;
    view->is_topic = true;
}

static unsigned state(const struct producer *producer, const struct producer_view *view)
{
    (void)producer;
    (void)view;
    return PRODUCER_ACTIVE;
}

/* The caller's reference stays. */
static void leave_hub(struct producer *producer)
{
    registry_remove(producer);
    inlet_set_state(&producer->inlet, INLET_REMOVED);
    while (close_one(topic_of(producer)))
        continue;
}

static const struct producer_kind topic_kind = {
    .name = "TOPIC",
    .name_rule = NAME_KEPT,
    .taken = "a stored topic has it",
    .stays = true,
    .joinable = joinable,
    .bind = stored_reader_bind,
    .reselect = stored_reader_reselect,
    .remove = remove_now,
    .query = query,
    .state = state,
    .free = leave_hub,
};

/* ---- making ---- */

static struct live_topic *topic_new(struct hub *hub, const struct topic_port *port, struct read_turns *turns,
                                    const struct topic_info *info)
{
    char name[1 + MAX_TOPIC_NAME_BYTES] = "@";
    const size_t size = MIN_OF(info->name.size, MAX_TOPIC_NAME_BYTES);
    struct live_topic *topic = calloc(1, sizeof(*topic));
    struct inlet_start start = {.name = {(const uint8_t *)name, size + 1},
                                .epoch = info->incarnation,
                                .last_sequence = info->next_seq - 1,
                                .state = INLET_OPEN};

    if (!topic)
        return NULL;
    memcpy(name + 1, info->name.data, size);
    if (producer_init(&topic->producer, &topic_kind, hub, hub_registry(hub), &start, NULL) != ERR_OK) {
        free(topic);
        return NULL;
    }
    topic_tail_init(&topic->tail);
    topic->port = port;
    topic->turns = read_turns_retain(turns);
    topic->ancestors = info->ancestors;
    topic->ancestor_count = info->ancestor_count;
    topic->producer.inlet.on_hole = stored_readers_hole;
    topic->id = info->id;
    atomic_init(&topic->refs, 1);
    return topic;
}

/* The routes come first, then the name, as with other producers. */
static enum err join(struct live_topic *topic)
{
    struct list none;

    list_init(&none);
    bind_subscriptions(&topic->producer, &none, false);
    if (registry_add(&topic->producer) == ERR_OK)
        return ERR_OK;
    while (close_one(topic))
        continue;
    return ERR_NO_MEMORY;
}

enum err live_topic_add(struct hub *hub, const struct topic_port *port, struct read_turns *turns,
                        const struct topic_info *info, struct live_topic **topic_out)
{
    struct live_topic *topic;
    struct fault fault;
    enum err err;

    if (registry_reserve_name(hub_registry(hub), &fault) != FAULT_NONE)
        return fault.reason == FAULT_MEMORY_BUDGET ? ERR_NO_MEMORY : ERR_FULL;
    topic = topic_new(hub, port, turns, info);
    if (!topic)
        return ERR_NO_MEMORY;
    err = join(topic);
    ready_run(hub_ready(hub)); /* subscriptions may have ended for want of memory */
    if (err != ERR_OK) {
        live_topic_release(topic);
        return err;
    }
    producer_added(&topic->producer);
    *topic_out = topic;
    return ERR_OK;
}

void live_topic_remove(struct live_topic *topic, uint64_t next_seq)
{
    struct ready_list *ready;

    if (!topic->producer.named) { /* the hub has ended */
        live_topic_release(topic);
        return;
    }
    ready = hub_ready(topic->producer.hub);
    topic->last_seq = next_seq - 1;
    remove_now(&topic->producer, FAULT_REMOVED, 0);
    ready_run(ready);
}
