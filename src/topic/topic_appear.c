/* topic_appear.c - events that the backend notifies of. */
#include "topic/topic_appear.h"

#include <stdlib.h>

#include "base/log.h"
#include "event/chunk.h"
#include "event/chunk_origin.h"
#include "loop/loop.h"
#include "topic/live_topic.h"
#include "topic/run_chunk.h"
#include "topic/topics_internal.h"

/* Events on their way. */
struct appearance {
    struct committed committed;
    struct task task;
    struct loop *loop;
    struct live_topic *topic; /* a reference */
    _Atomic uint32_t refs;    /* the tail's, and the task's */
};

static void release(struct appearance *appearance)
{
    if (atomic_fetch_sub_explicit(&appearance->refs, 1, memory_order_acq_rel) != 1)
        return;
    live_topic_release(appearance->topic);
    free(appearance);
}

static void on_over(struct committed *committed)
{
    release(container_of(committed, struct appearance, committed));
}

/* The loop. */
static void deliver(struct task *task)
{
    struct appearance *appearance = container_of(task, struct appearance, task);

    if (live_topic_deliver(appearance->topic))
        loop_post(appearance->loop, task);
    else
        release(appearance);
}

/* A reference. NULL: the topic is gone. */
static struct live_topic *find(struct topics *topics, uint64_t id)
{
    struct live_topic *live = NULL;
    struct map_node *node;

    pthread_rwlock_rdlock(&topics->lock);
    node = map_find(&topics->by_id, topics_id_key(&id));
    if (node)
        live = live_topic_retain(container_of(node, struct named_topic, by_id)->live);
    pthread_rwlock_unlock(&topics->lock);
    return live;
}

/* Copies the events. NULL: there is no memory. */
static struct chunk *make_chunk(const struct topic_appeared *appeared)
{
    struct framing_scan scan = {.count = 0};
    struct topic_run run = appeared->run;
    struct source *origin = source_new(appeared->run.origin, 0);
    struct chunk *chunk = NULL;

    if (origin && run_chunk(&run, 0, SIZE_MAX, &scan, &chunk) == ERR_OK && !chunk_set_origin(chunk, origin)) {
        chunk_release(chunk);
        chunk = NULL;
    }
    source_release(origin);
    framing_fini(&scan);
    return chunk;
}

void topics_appeared(void *arg, const struct topic_appeared *appeared)
{
    struct topics *topics = arg;
    struct live_topic *topic = find(topics, appeared->topic);
    struct appearance *appearance = topic ? calloc(1, sizeof(*appearance)) : NULL;
    struct chunk *chunk = appearance ? make_chunk(appeared) : NULL;

    if (!chunk) {
        if (topic)
            log_write(LOG_ERROR, "topic.not_delivered",
                      LOG_BYTES("topic", source_name(topic->producer.inlet.source)),
                      LOG_NUMBER("sequence", appeared->first_seq),
                      LOG_TEXT("reason", "no memory; who reads from the log gets it"));
        live_topic_release(topic);
        free(appearance);
        return;
    }
    *appearance = (struct appearance){.committed = {.chunk = chunk,
                                                    .first_seq = appeared->first_seq,
                                                    .expires = appeared->run.expires,
                                                    .over = on_over},
                                      .task = {.run = deliver},
                                      .loop = topics->loop,
                                      .topic = topic,
                                      .refs = 2};
    topic_tail_add(&topic->tail, &appearance->committed);
    loop_post(topics->loop, &appearance->task);
}
