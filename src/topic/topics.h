/* topics.h - the stored topics of the server, by name; their making, their changes and their end.
 *
 * Threads: the loop, except what says otherwise. */
#ifndef TRIBUTARY_TOPIC_TOPICS_H
#define TRIBUTARY_TOPIC_TOPICS_H

#include <stdbool.h>

#include "base/fault.h"
#include "base/status.h"
#include "topic/topic_port.h"

struct hub;
struct live_topic;
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

/* Makes a producer of the hub for each topic of the backend.
 *   ERR_NO_MEMORY, ERR_FULL (as many producers as there may be)  there is nothing */
MUST_CHECK enum err topics_new(struct loop *loop, const struct topics_params *params,
                               struct topics **topics_out);
/* No append and no change is under way, and no call is open. NULL is allowed. */
void topics_free(struct topics *topics);

/* ---- finding: any thread ---- */

/* Whether an event may be of a stored topic at all. NULL is allowed: none may. */
bool topics_may_have(const struct topics *topics);

/* A reference; live_topic_release() must follow. NULL: no topic has this name. */
struct live_topic *topics_find(struct topics *topics, struct bytes name);

/* Whether a topic of this name is made when something is published to it. */
bool topics_makes(const struct topics *topics, struct bytes name);

/* Its port: append() and read(). */
const struct topic_port *topics_port(const struct topics *topics);

/* ---- changes ---- */

/* A change of one topic. Everything here is the owner's until topics_change(), and again from
 * done() on. */
struct topics_change {
    enum topic_verb verb;
    struct bytes name; /* must stay until done() */
    struct topic_settings settings;
    uint64_t incarnation; /* of DELETE: only the topic with this one; 0: any */
    /* Loop, later or at once. FAULT_NONE: it is on the disk and in effect, and `info` is the topic
     * as it is then; as it was, with DELETE. `info.name` is `name`. CREATE of a topic that is there
     * with these settings is FAULT_NONE. */
    void (*done)(struct topics_change *change, enum fault_reason reason);
    struct topic_info info;
    struct fault fault;
    /* Topics' own. */
    struct topic_change port_change;
    struct topics *topics;
};

/* Checks name and settings, carries the change out on the disk and then in the hub. */
void topics_change(struct topics *topics, struct topics_change *change);

/* The faults that an outcome of the port is. TOPIC_DONE is FAULT_NONE. Any thread. `field` and
 * `value` name what was asked for; see fault_set(). */
enum fault_reason topic_outcome_fault(enum topic_outcome outcome, const char *field, struct bytes value,
                                      struct fault *fault);

#endif
