/* subscriptions.h - list and end the subscriptions of others. Part of <tributary/tributary.h>.
 *
 * The rules and the errors of admin.h apply to these functions, too. */
#ifndef TRIBUTARY_SUBSCRIPTIONS_H
#define TRIBUTARY_SUBSCRIPTIONS_H

#include "admin.h"
#include "export.h"

/* How much a subscription lost for one reason. */
struct tributary_loss_totals {
    int reason; /* LossReason of event.proto; tributary_loss_name() returns its name */
    struct tributary_totals lost;
};

/* What a subscription got of one source, since it was idle last. accepted = delivered + dropped +
 * queued. */
struct tributary_source_totals {
    const char *source;
    uint64_t epoch;
    struct tributary_totals accepted, delivered, dropped, queued;
};

/* accepted = delivered + dropped + queued. */
struct tributary_subscription {
    const char *id;
    const char *name;
    const char *peer;
    uint64_t started_unix_nano;
    struct tributary_settings settings;
    struct tributary_totals accepted, delivered, dropped, queued;
    const struct tributary_loss_totals *losses;
    size_t loss_count;
    /* Only if the query asks for them: the sources that are not idle, and everything else in
     * `others`, whose source is empty. */
    const struct tributary_source_totals *sources;
    size_t source_count;
    struct tributary_source_totals others;
    uint32_t producers_matched;
    bool blocked; /* a producer waits for this subscription at the moment */
    /* A producer waited for too long. The fallback policy applies until the queue is down at its
     * low watermark. */
    bool fallback_active;
    bool draining;
    uint64_t sorted_late; /* events that went after one with a later time, though they are sorted */
    uint64_t sort_full;   /* events that were not held for the whole window, because it was full */
};

struct tributary_subscriptions_query {
    bool sources;       /* fill in `sources` */
    int64_t timeout_ns; /* for each page */
    void (*each)(void *ctx, const struct tributary_subscription *subscription);
    void *ctx;
};

/* Calls `each` for every subscription, oldest first. The list comes page by page. */
TRIBUTARY_API enum tributary_code tributary_subscriptions(struct tributary *client,
                                                          const struct tributary_subscriptions_query *query,
                                                          struct tributary_status *status);

struct tributary_kick {
    const char *subscription_id;
    const char *reason; /* for the consumer and the log; at most 256 bytes; NULL: none */
    bool drain;         /* gently; otherwise at once */
    int64_t drain_ns;   /* how long a gentle end may take; 0: 5 s; TRIBUTARY_NONE: no time */
    int64_t timeout_ns;
};

/* Ends a subscription of somebody else.
 *   TRIBUTARY_NOT_FOUND  no such subscription; nothing changed */
TRIBUTARY_API enum tributary_code tributary_kick(struct tributary *client, const struct tributary_kick *kick,
                                                 struct tributary_status *status);

#endif
