/* topics.h - stored topics: make, change, delete and list them; copy what the server keeps. Part of
 * <tributary/tributary.h>.
 *
 * The rules and the errors of admin.h apply to these functions, too. A server without --state-dir
 * has no topics: TRIBUTARY_FAILED_PRECONDITION, reason NO_STATE_DIR. */
#ifndef TRIBUTARY_TOPICS_H
#define TRIBUTARY_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"
#include "status.h"

struct tributary;

/* How long a topic keeps its events. Each bound holds for itself; 0: there is none. */
struct tributary_topic_settings {
    int64_t max_age_ns; /* at least 1 s */
    uint64_t max_bytes;
    uint64_t max_events;
    /* Events whose ids came within this time, or among the latest max_ids, are duplicates. At most
     * 7 days. 0: ids are not looked at. */
    int64_t id_window_ns;
    uint32_t max_ids; /* 0: 100 000; at most 1 000 000 */
};

struct tributary_topic {
    const char *name;
    uint64_t epoch; /* a topic that was deleted and made again has a higher one */
    struct tributary_topic_settings settings;
    uint64_t first_sequence, next_sequence; /* equal: it keeps no event */
    uint64_t bytes;                         /* on the disk */
    uint64_t created_unix_nano;
    uint32_t subscriptions;
    uint32_t subscriptions_behind; /* of these: they read from the disk now */
    uint64_t delayed_events;       /* that wait for their time */
    uint64_t ids_forgotten_early;  /* before `id_window_ns` had passed, because of max_ids */
};

/* Shows the topic as it is after the call; as it was, when it is deleted. */
struct tributary_topic_answer {
    int64_t timeout_ns;
    void (*each)(void *ctx, const struct tributary_topic *topic); /* NULL is allowed */
    void *ctx;
};

/* Makes a topic. One that is there with these settings is as good. `settings` NULL: no bounds.
 *   TRIBUTARY_ALREADY_EXISTS  it is there with other settings */
TRIBUTARY_API enum tributary_code tributary_topic_create(struct tributary *client, const char *name,
                                                         const struct tributary_topic_settings *settings,
                                                         const struct tributary_topic_answer *answer,
                                                         struct tributary_status *status);

/* Gives a topic other settings, all of them.
 *   TRIBUTARY_NOT_FOUND  no such topic */
TRIBUTARY_API enum tributary_code tributary_topic_update(struct tributary *client, const char *name,
                                                         const struct tributary_topic_settings *settings,
                                                         const struct tributary_topic_answer *answer,
                                                         struct tributary_status *status);

/* Deletes a topic and all that it keeps. `epoch` not 0: only if it is this one.
 *   TRIBUTARY_NOT_FOUND  no such topic
 *   TRIBUTARY_ABORTED    it has another epoch */
TRIBUTARY_API enum tributary_code tributary_topic_delete(struct tributary *client, const char *name,
                                                         uint64_t epoch,
                                                         const struct tributary_topic_answer *answer,
                                                         struct tributary_status *status);

/*   TRIBUTARY_NOT_FOUND  no such topic */
TRIBUTARY_API enum tributary_code tributary_topic_get(struct tributary *client, const char *name,
                                                      const struct tributary_topic_answer *answer,
                                                      struct tributary_status *status);

struct tributary_topics_query {
    const char *pattern; /* a glob for the names; NULL: all */
    int64_t timeout_ns;  /* for each page */
    void (*each)(void *ctx, const struct tributary_topic *topic);
    void *ctx;
};

/* Calls `each` for every topic, by name. The list comes page by page. */
TRIBUTARY_API enum tributary_code tributary_topics(struct tributary *client,
                                                   const struct tributary_topics_query *query,
                                                   struct tributary_status *status);

#endif
