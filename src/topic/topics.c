/* topics.c - the stored topics by name: how they begin, are found and end. See topics.h. */
#include "topic/topics.h"

#include <stdlib.h>
#include <string.h>

#include "hub/hub.h"
#include "loop/loop.h"
#include "topic/read_turns.h"
#include "topic/topic_appear.h"
#include "topic/topics_internal.h"

/* ---- names ---- */

static struct named_topic *named(const struct map_node *node)
{
    return node ? container_of(node, struct named_topic, node) : NULL;
}

static struct bytes sorted_key(const struct sorted_node *node)
{
    return topics_name_of(container_of(node, struct named_topic, by_name));
}

struct named_topic *topics_named(const struct topics *topics, struct bytes name)
{
    return named(map_find(&topics->names, name));
}

struct named_topic *topics_name(struct topics *topics, struct bytes name)
{
    struct named_topic *topic = topics_named(topics, name);
    enum err err;

    if (topic)
        return topic;
    topic = calloc(1, sizeof(*topic) + name.size);
    if (!topic)
        return NULL;
    memcpy(topic->name, name.data, name.size);
    topic->name_size = name.size;
    topic->node.key = topics_name_of(topic);
    list_init(&topic->changes);
    pthread_rwlock_wrlock(&topics->lock);
    err = map_add(&topics->names, &topic->node);
    pthread_rwlock_unlock(&topics->lock);
    if (err == ERR_OK)
        return topic;
    free(topic);
    return NULL;
}

void topics_rest(struct topics *topics, struct named_topic *topic)
{
    if (topic->live || topic->is_running || !list_empty(&topic->changes))
        return;
    pthread_rwlock_wrlock(&topics->lock);
    map_remove(&topics->names, &topic->node);
    pthread_rwlock_unlock(&topics->lock);
    free(topic);
}

enum err topics_begin(struct topics *topics, struct named_topic *topic, const struct topic_info *info)
{
    struct live_topic *live;
    enum err err;

    pthread_rwlock_wrlock(&topics->lock);
    err = map_reserve(&topics->by_id);
    pthread_rwlock_unlock(&topics->lock);
    if (err == ERR_OK)
        err = live_topic_add(topics->hub, &topics->port, topics->turns, info, &live);
    if (err != ERR_OK)
        return err;
    topic->by_id.key = topics_id_key(&live->id);
    pthread_rwlock_wrlock(&topics->lock);
    topic->live = live;
    CHECK(map_add(&topics->by_id, &topic->by_id) == ERR_OK);
    pthread_rwlock_unlock(&topics->lock);
    sorted_add(&topics->by_name, &topic->by_name);
    atomic_fetch_add_explicit(&topics->count, 1, memory_order_relaxed);
    return ERR_OK;
}

void topics_end(struct topics *topics, struct named_topic *topic, uint64_t next_seq)
{
    struct live_topic *live = topic->live;

    pthread_rwlock_wrlock(&topics->lock);
    map_remove(&topics->by_id, &topic->by_id);
    topic->live = NULL;
    pthread_rwlock_unlock(&topics->lock);
    sorted_remove(&topics->by_name, &topic->by_name);
    atomic_fetch_sub_explicit(&topics->count, 1, memory_order_relaxed);
    peer_counts_remove(&topics->peers, topic->count);
    topic->count = NULL;
    live_topic_remove(live, next_seq);
}

/* ---- the beginning ---- */

/* What the backend shows, while it does. */
struct opening {
    struct topics *topics;
    struct topic_info *infos;
    size_t count, capacity;
    enum err err;
};

/* The backend's lock is held. */
static void note(void *arg, const struct topic_info *info)
{
    struct opening *opening = arg;
    struct named_topic *topic;

    if (opening->count == opening->capacity) {
        const size_t capacity = opening->capacity * 2 + 64;
        struct topic_info *infos = reallocarray(opening->infos, capacity, sizeof(*infos));

        if (!infos) {
            opening->err = ERR_NO_MEMORY;
            return;
        }
        opening->infos = infos;
        opening->capacity = capacity;
    }
    topic = topics_name(opening->topics, info->name);
    if (!topic) {
        opening->err = ERR_NO_MEMORY;
        return;
    }
    topic->settings = info->settings;
    opening->infos[opening->count] = *info;
    opening->infos[opening->count++].name = topics_name_of(topic);
}

static enum err open_all(struct topics *topics)
{
    struct opening opening = {.topics = topics, .err = ERR_OK};

    topics->port.list(topics->port.ctx, note, &opening);
    for (size_t i = 0; i < opening.count && opening.err == ERR_OK; i++) {
        const struct topic_info *info = &opening.infos[i];

        opening.err = topics_begin(topics, topics_named(topics, info->name), info);
    }
    free(opening.infos);
    return opening.err;
}

enum err topics_new(struct loop *loop, const struct topics_params *params, struct topics **topics_out)
{
    struct topics *topics = calloc(1, sizeof(*topics));
    enum err err;

    if (!topics)
        return ERR_NO_MEMORY;
    topics->loop = loop;
    topics->hub = params->hub;
    topics->port = params->port;
    topics->turns = read_turns_new(loop, &params->port);
    topics->settings = params->settings;
    CHECK(pthread_rwlock_init(&topics->lock, NULL) == 0);
    map_init(&topics->names);
    map_init(&topics->by_id);
    sorted_init(&topics->by_name, sorted_key);
    err = topics->turns ? topic_globs_init(&topics->on_publish, params->on_publish, params->on_publish_count)
                        : ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = open_all(topics);
    if (err == ERR_OK && topics->port.listen)
        topics->port.listen(topics->port.ctx, topics_appeared, topics);
    if (err == ERR_OK)
        *topics_out = topics;
    else
        topics_free(topics);
    return err;
}

void topics_free(struct topics *topics)
{
    if (!topics)
        return;
    map_each(node, following, &topics->names)
    {
        struct named_topic *topic = named(node);

        CHECK(list_empty(&topic->changes));
        peer_counts_remove(&topics->peers, topic->count);
        if (topic->live)
            live_topic_remove(topic->live, 1); /* the hub has ended: nobody reads it */
        free(topic);
    }
    map_fini(&topics->names);
    map_fini(&topics->by_id);
    peer_counts_fini(&topics->peers);
    topic_globs_fini(&topics->on_publish);
    read_turns_release(topics->turns);
    pthread_rwlock_destroy(&topics->lock);
    free(topics);
}

/* ---- finding: any thread ---- */

bool topics_may_have(const struct topics *topics)
{
    return topics && (topics->on_publish.count > 0 || topics_count(topics) > 0);
}

struct live_topic *topics_find(struct topics *topics, struct bytes name)
{
    struct named_topic *topic;
    struct live_topic *live = NULL;

    pthread_rwlock_rdlock(&topics->lock);
    topic = named(map_find(&topics->names, name));
    if (topic && topic->live)
        live = live_topic_retain(topic->live);
    pthread_rwlock_unlock(&topics->lock);
    return live;
}

bool topics_makes(const struct topics *topics, struct bytes name)
{
    return topic_globs_match(&topics->on_publish, name);
}

struct topic_settings topics_made_settings(const struct topics *topics)
{
    return topics->settings;
}

const struct topic_port *topics_port(const struct topics *topics)
{
    return &topics->port;
}

uint32_t topics_count(const struct topics *topics)
{
    return atomic_load_explicit(&topics->count, memory_order_relaxed);
}

/* ---- looking ---- */

static bool view(const struct topics *topics, const struct named_topic *topic, struct topic_view *view_out)
{
    struct topic_info info = {.name = topics_name_of(topic)};

    if (!topics->port.info(topics->port.ctx, topic->live->id, &info))
        return false;
    *view_out = (struct topic_view){.info = info, .readers = live_topic_readers(topic->live)};
    return true;
}

bool topics_view(const struct topics *topics, struct bytes name, struct topic_view *view_out)
{
    const struct named_topic *topic = topics_named(topics, name);

    return topic && topic->live && view(topics, topic, view_out);
}

/* One that is being deleted is left out. */
bool topics_view_after(const struct topics *topics, struct bytes name, struct topic_view *view_out)
{
    for (struct sorted_node *node = sorted_after(&topics->by_name, name); node; node = sorted_next(node)) {
        if (view(topics, container_of(node, struct named_topic, by_name), view_out))
            return true;
    }
    return false;
}
