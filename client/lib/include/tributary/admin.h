/* admin.h - asking the server and steering it. Part of <tributary/tributary.h>.
 *
 * Every function here waits for its answer, for at most `timeout_ns` (0: 10 s), and must not be
 * called from a callback of the same client (FAILED_PRECONDITION). Errors: those of admin.proto, as
 * they come from the server, and
 *   TRIBUTARY_UNAVAILABLE        the server cannot be reached; the message says why
 *   TRIBUTARY_DEADLINE_EXCEEDED  no answer in time
 * `each` is called on the caller's thread; what it is given is valid during the call. */
#ifndef TRIBUTARY_ADMIN_H
#define TRIBUTARY_ADMIN_H

#include "notice.h"

struct tributary_totals {
    uint64_t events;
    uint64_t bytes;
};

struct tributary_label {
    const char *name;
    const char *value;
};

struct tributary_producer {
    const char *name;
    const char *peer; /* the address of the last caller */
    /* it registered; otherwise it only publishes, and is forgotten 60 s after its last call */
    bool is_session;
    int state; /* tributary_state_name() names it */
    uint64_t epoch;
    uint64_t last_sequence;
    struct tributary_totals published;
    uint32_t open_calls;           /* calls that publish under this name at the moment */
    uint32_t blocked_calls;        /* those of them that a blocking channel holds back */
    uint32_t subscriptions;        /* that match */
    uint64_t last_event_unix_nano; /* 0: never */
    /* Of a session. */
    const struct tributary_label *labels;
    size_t label_count;
    const char *const *topics;
    size_t topic_count;
    bool per_consumer;            /* it is asked for each consumer apart */
    uint32_t activations;         /* that have not ended */
    uint32_t paused_activations;  /* those of them that a channel holds back */
    uint64_t expired_activations; /* that had to be cut at a drain's deadline */
};

/* What a subscription lost, by reason; and its sums by source. accepted = delivered + dropped +
 * queued. */
struct tributary_loss {
    int reason;
    struct tributary_totals lost;
};
struct tributary_share {
    const char *source;
    uint64_t epoch;
    struct tributary_totals accepted, delivered, dropped, queued;
};

struct tributary_subscription {
    const char *id;
    const char *name;
    const char *peer;
    uint64_t started_unix_nano;
    struct tributary_settings settings;
    struct tributary_totals accepted, delivered, dropped, queued;
    const struct tributary_loss *losses;
    size_t loss_count;
    const struct tributary_share *sources; /* where they were asked for */
    size_t source_count;
    uint32_t producers_matched;
    bool blocked;         /* holds a producer back at the moment */
    bool fallback_active; /* held one back for too long: its fallback applies until it is half empty */
    bool draining;
};

struct tributary_counter {
    const char *name;
    int64_t value;
};

struct tributary_info {
    const char *version;
    const char *grpc_version;
    uint64_t started_unix_nano;
    const char *const *listening;
    size_t listening_count;
    uint32_t pid;
    uint32_t max_event_bytes, max_batch_bytes, max_batch_events;
    uint32_t max_calls_per_connection, max_connections;
    uint64_t memory_limit_bytes, memory_used_bytes;
    bool draining;
    const struct tributary_counter *counters;
    size_t counter_count;
};

/* Is the server there and serving? `service` NULL: the server as a whole.
 *   TRIBUTARY_OK           *serving_out is set: false while it drains
 *   TRIBUTARY_UNAVAILABLE  it cannot be reached: the first attempt to connect failed */
TRIBUTARY_API enum tributary_code tributary_check(struct tributary *client, const char *service,
                                                  int64_t timeout_ns, bool *serving_out,
                                                  struct tributary_status *status);

/* Producers in the order of their names, page by page. `pattern` is a glob for the name; NULL:
 * all. */
struct tributary_producers_query {
    const char *pattern;
    int64_t timeout_ns; /* for each page */
    void (*each)(void *ctx, const struct tributary_producer *producer);
    void *ctx;
};
TRIBUTARY_API enum tributary_code tributary_producers(struct tributary *client,
                                                      const struct tributary_producers_query *query,
                                                      struct tributary_status *status);

/* One producer: `each` is called once, or not at all where the answer is an error, such as
 * NOT_FOUND. `pattern` is its name. */
TRIBUTARY_API enum tributary_code tributary_producer_get(struct tributary *client,
                                                         const struct tributary_producers_query *query,
                                                         struct tributary_status *status);

/* Removes a producer: gently, for at most `drain_ns` (0: 5 s), or with `cancel` at once. Its name
 * is free; a session's program is told, and does not come back by itself. `each` (NULL allowed) is
 * given the producer as it was.
 *   TRIBUTARY_NOT_FOUND  no such producer; nothing changed */
struct tributary_removal {
    const char *name;
    bool cancel;
    int64_t drain_ns;
    int64_t timeout_ns;
    void (*each)(void *ctx, const struct tributary_producer *producer);
    void *ctx;
};
TRIBUTARY_API enum tributary_code tributary_producer_remove(struct tributary *client,
                                                            const struct tributary_removal *removal,
                                                            struct tributary_status *status);

/* Subscriptions in the order of their beginning, page by page. */
struct tributary_subscriptions_query {
    bool sources; /* fill in `sources` */
    int64_t timeout_ns;
    void (*each)(void *ctx, const struct tributary_subscription *subscription);
    void *ctx;
};
TRIBUTARY_API enum tributary_code tributary_subscriptions(struct tributary *client,
                                                          const struct tributary_subscriptions_query *query,
                                                          struct tributary_status *status);

/* Ends somebody's subscription: at once, or with `drain` gently, for at most `drain_ns` (0: 5 s;
 * TRIBUTARY_NONE: nothing more). */
struct tributary_kick {
    const char *subscription_id;
    const char *reason; /* for its consumer and the log; at most 256 bytes; NULL: none */
    bool drain;
    int64_t drain_ns;
    int64_t timeout_ns;
};
TRIBUTARY_API enum tributary_code tributary_kick(struct tributary *client, const struct tributary_kick *kick,
                                                 struct tributary_status *status);

TRIBUTARY_API enum tributary_code tributary_info(struct tributary *client, int64_t timeout_ns,
                                                 void (*each)(void *ctx, const struct tributary_info *info),
                                                 void *ctx, struct tributary_status *status);

#endif
