/* topics_internal.h - the stored topics, as the files of this room see them. */
#ifndef TRIBUTARY_TOPIC_TOPICS_INTERNAL_H
#define TRIBUTARY_TOPIC_TOPICS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/peer_share.h"
#include "base/sorted.h"
#include "base/status.h"
#include "topic/topic_globs.h"
#include "topic/topic_port.h"

struct hub;
struct live_topic;
struct loop;

/* A topic, or a name for which changes are under way. */
struct named_topic {
    struct map_node node; /* of topics->names */
    /* They change on the loop, under `lock`. */
    struct live_topic *live; /* NULL: there is no topic */
    struct map_node by_id;   /* of topics->by_id, while there is a topic */
    /* Loop only. */
    struct sorted_node by_name; /* while there is a topic */
    struct topic_settings settings;
    struct peer_count *count; /* of who made it; NULL: nobody is charged */
    struct list changes;      /* of struct topics_change; the first one is under way */
    bool is_running;          /* run_changes() */
    size_t name_size;
    uint8_t name[];
};

struct read_turns;

struct topics {
    struct loop *loop;
    struct hub *hub;
    struct topic_port port;
    struct read_turns *turns;       /* of its readers */
    struct topic_settings settings; /* of topics that are made on publish */
    struct topic_globs on_publish;
    /* The loop changes it under `lock` and may read it without. Other threads read it under
     * `lock`. */
    pthread_rwlock_t lock;
    struct map names, by_id;
    _Atomic uint32_t count; /* topics */
    /* Loop only. */
    struct sorted by_name; /* the topics */
    struct peer_counts peers;
};

/* The name as it is in the map; made where it is not there. NULL: out of memory. */
struct named_topic *topics_name(struct topics *topics, struct bytes name);
/* NULL: nobody has the name. Loop. */
struct named_topic *topics_named(const struct topics *topics, struct bytes name);
/* Frees it, where there is neither a topic nor a change. */
void topics_rest(struct topics *topics, struct named_topic *topic);

/* The backend has a topic of this name now: it begins in the hub, too. Errors are those of
 * live_topic_add(). */
MUST_CHECK enum err topics_begin(struct topics *topics, struct named_topic *topic,
                                 const struct topic_info *info);
/* The topic is gone, and its log ended at `next_seq`: it ends in the hub, too. */
void topics_end(struct topics *topics, struct named_topic *topic, uint64_t next_seq);

/* The key of topics->by_id. */
static inline struct bytes topics_id_key(const uint64_t *id)
{
    return (struct bytes){(const uint8_t *)id, sizeof(*id)};
}

static inline struct bytes topics_name_of(const struct named_topic *topic)
{
    return (struct bytes){topic->name, topic->name_size};
}

#endif
