/* live_topic.c - see live_topic.h. topic_producer.c has the rest of it. */
#include "topic/live_topic.h"

#include <stdlib.h>

#include "topic/read_turns.h"

static void topic_free(struct live_topic *topic)
{
    topic_tail_fini(&topic->tail);
    producer_fini(&topic->producer);
    read_turns_release(topic->turns);
    free(topic);
}

struct live_topic *live_topic_retain(struct live_topic *topic)
{
    (void)atomic_fetch_add_explicit(&topic->refs, 1, memory_order_relaxed);
    return topic;
}

void live_topic_release(struct live_topic *topic)
{
    if (topic && atomic_fetch_sub_explicit(&topic->refs, 1, memory_order_acq_rel) == 1)
        topic_free(topic);
}

struct live_topic_readers live_topic_readers(const struct live_topic *topic)
{
    return (struct live_topic_readers){
        .all = inlet_subscriptions(&topic->producer.inlet),
        .behind = (uint32_t)atomic_load_explicit(&topic->behind, memory_order_relaxed)};
}
