/* topics.h - the stored topics of the server, by name; their making, their changes and their end.
 *
 * Threads: the loop, except what says otherwise. */
#ifndef TRIBUTARY_TOPIC_TOPICS_H
#define TRIBUTARY_TOPIC_TOPICS_H

#include <stdbool.h>

#include "base/fault.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/peer.h"
#include "base/status.h"
#include "topic/live_topic.h"
#include "topic/topic_port.h"

struct hub;
struct loop;
struct topics;

struct topics_params {
    struct hub *hub;
    struct topic_port port; /* copied */
    /* A topic of which something is published is made with `settings`, if its name matches one of
     * these globs, which are copied. */
    const struct bytes *on_publish;
    size_t on_publish_count;
    struct topic_settings settings;
};

/* Makes a producer of the hub for each topic of the backend. It blocks for all of them: about 10 us
 * each.
 *   ERR_NO_MEMORY, ERR_FULL (as many producers as there may be)  there is nothing */
MUST_CHECK enum err topics_new(struct loop *loop, const struct topics_params *params,
                               struct topics **topics_out);
/* No append and no change is under way, and no call is open. The hub may have been freed. NULL is
 * allowed. */
void topics_free(struct topics *topics);

/* ---- finding: any thread ---- */

/* Whether an event may be of a stored topic at all. NULL is allowed: none may. */
bool topics_may_have(const struct topics *topics);

/* A reference; live_topic_release() must follow. NULL: no topic has this name. */
struct live_topic *topics_find(struct topics *topics, struct bytes name);

/* Whether a topic of this name is made when something is published to it. */
bool topics_makes(const struct topics *topics, struct bytes name);

/* The settings of a topic that is made so. Any thread. */
struct topic_settings topics_made_settings(const struct topics *topics);

/* Its port: append() and read(). */
const struct topic_port *topics_port(const struct topics *topics);

/* ---- looking ---- */

struct topic_view {
    struct topic_info info; /* its name is valid for as long as the topic */
    struct live_topic_readers readers;
};

/* False: no topic has this name. */
MUST_CHECK bool topics_view(const struct topics *topics, struct bytes name, struct topic_view *view_out);

/* The first topic whose name comes after `name` (empty: the first of all). False: there is none. */
MUST_CHECK bool topics_view_after(const struct topics *topics, struct bytes name,
                                  struct topic_view *view_out);

/* How many there are. Any thread. */
uint32_t topics_count(const struct topics *topics);

/* ---- changes ---- */

/* A change of one topic. Everything here is the owner's until topics_change(), and again from
 * done() on. */
struct topics_change {
    enum topic_verb verb;
    struct bytes name; /* must stay until done() */
    struct topic_settings settings;
    uint64_t incarnation; /* of DELETE: only the topic with this one; 0: any */
    /* Of CREATE: whom the topic is counted to, until it is deleted or the server ends. Each peer
     * may have its share of MAX_TOPICS. A zeroed key is the server itself. */
    struct peer_key peer;
    /* Loop, later or at once. FAULT_NONE: it is on the disk and in effect, and `info` is the topic
     * as it is then; as it was, with DELETE. `info.name` is `name`. CREATE of a topic that is there
     * with these settings is FAULT_NONE. */
    void (*done)(struct topics_change *change, enum fault_reason reason);
    struct topic_info info;
    struct fault fault;
    /* Topics' own. */
    struct topic_change port_change;
    struct topics *topics;
    struct named_topic *topic;
    struct peer_count *count;
    struct task task;
    struct list link;
};

/* Checks name and settings, carries the change out on the disk and then in the hub. Changes of one
 * name are carried out one after the other. A topic that the hub has no space for is deleted from
 * the disk again, before done(). The caller bounds how many changes are under way. */
void topics_change(struct topics *topics, struct topics_change *change);

/* The faults that an outcome of the port is. TOPIC_DONE is FAULT_NONE. Any thread. `field` and
 * `value` name what was asked for; see fault_bytes(). Those of the disk have no field. */
enum fault_reason topic_outcome_fault(enum topic_outcome outcome, const char *field, struct bytes value,
                                      struct fault *fault);

#endif
