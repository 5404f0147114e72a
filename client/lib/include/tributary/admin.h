/* admin.h - ask the server about itself and about producers. Part of <tributary/tributary.h>.
 *
 * Every function here waits for the server's answer, for at most `timeout_ns` (0: 10 s). `each` is
 * called on the thread of the caller. What it is given is valid during the call.
 * Errors, beside those that the server returns (see admin.proto):
 *   TRIBUTARY_UNAVAILABLE          no connection to the server; the message says why
 *   TRIBUTARY_DEADLINE_EXCEEDED    no answer in time
 *   TRIBUTARY_RESOURCE_EXHAUSTED   no memory
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback of the same client, which must not wait */
#ifndef TRIBUTARY_ADMIN_H
#define TRIBUTARY_ADMIN_H

#include "endpoint.h"
#include "export.h"
#include "notice.h"
#include "store.h"

struct tributary;

struct tributary_totals {
    uint64_t events;
    uint64_t bytes;
};

enum tributary_producer_kind {
    TRIBUTARY_PRODUCER_TRANSIENT = 1, /* it publishes; the server forgets it 60 s after its last call */
    TRIBUTARY_PRODUCER_SESSION = 2,   /* it registered; it lives as long as its call */
    TRIBUTARY_PRODUCER_ENDPOINT = 3,  /* the server dials it; it lives until it is removed */
    TRIBUTARY_PRODUCER_RELAYED = 4,   /* an inner source of an endpoint that is another tributary */
    TRIBUTARY_PRODUCER_TOPIC = 5      /* a stored topic: "@" and its name */
};

enum tributary_origin {
    TRIBUTARY_ORIGIN_OPERATOR = 1, /* tributary_producer_add() and the like */
    TRIBUTARY_ORIGIN_FILE = 2,     /* a file in a folder of --endpoints-dir */
    TRIBUTARY_ORIGIN_DNS = 3       /* an endpoint with each_address */
};

struct tributary_producer {
    const char *name;
    const char *peer; /* the address of the last caller */
    enum tributary_producer_kind kind;
    int state; /* ProducerState of event.proto; tributary_state_name() returns its name */
    uint64_t epoch;
    uint64_t last_sequence;
    struct tributary_totals published;
    uint32_t open_calls;           /* calls that publish under this name at the moment */
    uint32_t blocked_calls;        /* open calls that wait for a full BLOCK queue */
    uint32_t subscriptions;        /* subscriptions that match this producer */
    uint64_t last_event_unix_nano; /* 0: no event yet */
    /* The following are for sessions; an endpoint may have labels, too. */
    const struct tributary_label *labels;
    size_t label_count;
    const char *const *topics;
    size_t topic_count;
    bool per_consumer;            /* its mode is PER_CONSUMER */
    uint32_t activations;         /* activations that have not ended */
    uint32_t paused_activations;  /* activations that a full queue has paused */
    uint64_t expired_activations; /* activations that did not end before the deadline of a drain */
    /* The following are for endpoints only. */
    const struct tributary_endpoint *endpoint; /* as it was added; NULL for every other kind */
    uint32_t upstream_calls;                   /* upstream calls that are open or being opened */
    /* of the last upstream call that failed; NULL: none since the last one that was accepted */
    const struct tributary_failure *failure;
    enum tributary_origin origin; /* who defines it */
    const char *origin_text;      /* the file, or the endpoint with each_address; else empty */
    /* with each_address: the names of the producers that its addresses have now */
    const char *const *children;
    size_t child_count;
    bool kept; /* it survives a restart of the server */
    enum tributary_not_kept not_kept_reason;
    /* The following are in the answer of tributary_producer_remove() with `wait` only. */
    uint64_t ended_calls;                     /* that ended by themselves */
    uint64_t aborted_calls;                   /* that had to be ended */
    const char *const *aborted_subscriptions; /* ids, of the first 100 of these */
    size_t aborted_subscription_count;
    uint32_t inner_sources;                /* of an endpoint that is another tributary: so many */
    struct tributary_totals lost_upstream; /* of these and of endpoints: what the upstream has lost */
};

/* One counter of the server's metrics. */
struct tributary_counter {
    const char *name;
    int64_t value;
};

struct tributary_info {
    const char *version;
    const char *grpc_version;
    uint64_t started_unix_nano;
    const char *const *listening; /* addresses */
    size_t listening_count;
    uint32_t pid;
    uint32_t max_event_bytes, max_batch_bytes, max_batch_events;
    uint32_t max_calls_per_connection, max_connections;
    uint64_t memory_limit_bytes, memory_used_bytes;
    bool draining;
    const struct tributary_counter *counters;
    size_t counter_count;
    const struct tributary_store *store; /* NULL: there is no --state-dir */
};

/* Asks whether the server is serving. `service` NULL means the server as a whole.
 *   TRIBUTARY_OK           *serving_out is set; it is false while the server drains
 *   TRIBUTARY_UNAVAILABLE  the first attempt to connect failed */
TRIBUTARY_API enum tributary_code tributary_check(struct tributary *client, const char *service,
                                                  int64_t timeout_ns, bool *serving_out,
                                                  struct tributary_status *status);

struct tributary_producers_query {
    const char *pattern; /* a glob for the name; NULL: all producers */
    int64_t timeout_ns;  /* for each page */
    void (*each)(void *ctx, const struct tributary_producer *producer);
    void *ctx;
};

/* Calls `each` for every producer that matches, in the order of the names. The list comes page by
 * page. */
TRIBUTARY_API enum tributary_code tributary_producers(struct tributary *client,
                                                      const struct tributary_producers_query *query,
                                                      struct tributary_status *status);

/* Calls `each` for one producer. `pattern` is its name. After an error `each` was not called. */
TRIBUTARY_API enum tributary_code tributary_producer_get(struct tributary *client,
                                                         const struct tributary_producers_query *query,
                                                         struct tributary_status *status);

struct tributary_removal {
    const char *name;
    bool cancel;        /* at once; otherwise gently */
    int64_t drain_ns;   /* how long a gentle end may take; 0: 5 s */
    bool wait;          /* until it is gone, and report what became of its calls */
    int64_t timeout_ns; /* with `wait` it must be longer than `drain_ns` */
    void (*each)(void *ctx, const struct tributary_producer *producer); /* as it was; may be NULL */
    void *ctx;
};

/* Removes a producer. Its name is free afterwards. The server reports the removal to the program of
 * a session, which does not register again by itself.
 *   TRIBUTARY_NOT_FOUND  no such producer; nothing changed */
TRIBUTARY_API enum tributary_code tributary_producer_remove(struct tributary *client,
                                                            const struct tributary_removal *removal,
                                                            struct tributary_status *status);

/* Calls `each` once with what the server says about itself. */
TRIBUTARY_API enum tributary_code tributary_info(struct tributary *client, int64_t timeout_ns,
                                                 void (*each)(void *ctx, const struct tributary_info *info),
                                                 void *ctx, struct tributary_status *status);

#endif
