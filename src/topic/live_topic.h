/* live_topic.h - a stored topic in the hub: a producer named "@" and the topic's name, whose epoch
 * is the topic's incarnation, and whose sequences are those of its log.
 *
 *   publisher ──append──▶ store ──done()──▶ topic_tail ──▶ inlet ──▶ consumers that keep up
 *                           └────────read()───────────────────────▶ consumers that are behind
 *
 * Threads: the loop, except what says otherwise. */
#ifndef TRIBUTARY_TOPIC_LIVE_TOPIC_H
#define TRIBUTARY_TOPIC_LIVE_TOPIC_H

#include <stdatomic.h>

#include "base/status.h"
#include "hub/producer_internal.h"
#include "topic/topic_port.h"
#include "topic/topic_tail.h"

struct hub;
struct read_turns;

struct live_topic {
    struct producer producer;               /* its inlet has the name, the incarnation, and the sequences */
    const struct topic_port *port;          /* constant; it outlives the topic */
    struct read_turns *turns;               /* constant; a reference */
    uint64_t id;                            /* constant: the backend's */
    const struct topic_ancestor *ancestors; /* constant: as in struct topic_info */
    uint32_t ancestor_count;
    _Atomic uint32_t refs;
    _Atomic int32_t behind; /* of its readers: those that read from the store now */
    struct topic_tail tail;

    /* Loop only. */
    bool is_removed;
    uint64_t last_seq;   /* with `is_removed`: of its log */
    struct slice ending; /* closes its readers */
};

/* Makes the topic a producer of the hub, and binds it to the subscriptions that want it. One
 * reference is the caller's, who gives it up with live_topic_remove().
 *   ERR_NO_MEMORY, ERR_FULL (as many producers as there may be)  there is nothing */
MUST_CHECK enum err live_topic_add(struct hub *hub, const struct topic_port *port, struct read_turns *turns,
                                   const struct topic_info *info, struct live_topic **topic_out);

/* The topic was deleted; `next_seq` is where its log ended. Its consumers get what waits for them,
 * TRIMMED for what they had not read, and REMOVED. What still waits in the tail reaches nobody, and
 * is TRIMMED for all of them. Gives up the caller's reference. */
void live_topic_remove(struct live_topic *topic, uint64_t next_seq);

/* Any thread. */
struct live_topic *live_topic_retain(struct live_topic *topic);
void live_topic_release(struct live_topic *topic);

static inline uint64_t live_topic_incarnation(const struct live_topic *topic)
{
    return topic->producer.inlet.source->epoch;
}

/* topic_tail_deliver(). Any thread, with a reference. */
MUST_CHECK static inline bool live_topic_deliver(struct live_topic *topic)
{
    return topic_tail_deliver(&topic->tail, &topic->producer.inlet);
}

/* How many consumers it has, and how many of them read from the store now. */
struct live_topic_readers {
    uint32_t all, behind;
};
struct live_topic_readers live_topic_readers(const struct live_topic *topic);

#endif
