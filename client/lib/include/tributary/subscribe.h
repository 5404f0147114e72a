/* subscribe.h - subscribe to many producers as one stream. Part of <tributary/tributary.h>.
 *
 * A subscriber keeps its stream. When the connection is lost, it connects again, with growing
 * pauses, and continues from the newest resume token. The server then reports through lost() which
 * events the subscriber missed. Of stored topics it misses none, and gets none twice. A stream that
 * is silent for three heartbeats counts as lost.
 *
 * A subscriber with the option `consume` can be steered while it runs. Credit bounds how many
 * events are on their way. tributary_subscriber_select() replaces the filter. */
#ifndef TRIBUTARY_SUBSCRIBE_H
#define TRIBUTARY_SUBSCRIBE_H

#include "export.h"
#include "filter.h"
#include "notice.h"
#include "start.h"

struct tributary;
struct tributary_subscriber;

/* Callbacks, on the client thread. Each may be NULL. What they are given is valid during the call.
 * For one message they are called in the order in which they stand here, down to `closing`. After a
 * callback has called tributary_subscriber_cancel(), only `applied` and `ended` follow. */
struct tributary_subscriber_callbacks {
    /* A stream has begun: the first one, or one after a reconnect. */
    void (*started)(void *ctx, const struct tributary_started *started);
    /* A new filter is in force for all events that follow. */
    void (*settings)(void *ctx, const struct tributary_settings *settings);
    void (*request_refused)(void *ctx, const struct tributary_request_refused *refused);
    void (*fell_behind)(void *ctx, const struct tributary_topic_notice *notice);
    void (*lost)(void *ctx, const struct tributary_lost *lost);
    void (*event)(void *ctx, const struct tributary_delivery *delivery);
    void (*caught_up)(void *ctx, const struct tributary_topic_notice *notice);
    void (*status)(void *ctx, const struct tributary_producer_status *status);
    void (*progress)(void *ctx, const struct tributary_progress *progress);
    void (*closing)(void *ctx, const struct tributary_closing *closing);
    /* Every callback for one message has returned: a good time to flush or to commit. A
     * heartbeat is a message, too. */
    void (*applied)(void *ctx);
    /* The stream was lost. The subscriber tries again after `retry_ns`. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    /* The subscriber has ended. This is called once, and last. OK: it finished. CANCELLED: it was
     * cancelled here, or by an operator. Other codes: an error ended it for good. */
    void (*ended)(void *ctx, const struct tributary_status *status);
    void *ctx;
};

/* Options of a subscriber. 0 is the server's default; a duration of TRIBUTARY_NONE is an explicit
 * zero. subscriber.proto has the bounds. */
struct tributary_subscriber_options {
    const char *name;                           /* for people, who see it in the list of subscriptions */
    const struct tributary_selector *selectors; /* these two lists are the filter: see filter.h */
    size_t selector_count;
    const struct tributary_selector *exclude;
    size_t exclude_count;
    uint32_t max_events; /* events that may wait at the server */
    uint64_t max_bytes;  /* bytes that may wait at the server */
    int64_t max_age_ns;  /* events that waited longer are dropped */
    enum tributary_overflow overflow;
    int64_t block_timeout_ns;         /* with BLOCK: how long producers may have to wait */
    enum tributary_overflow fallback; /* the policy that applies after `block_timeout_ns` */
    int64_t linger_ns;                /* how long the server gathers events before it sends */
    uint32_t max_batch_events;        /* in one message */
    uint32_t max_batch_bytes;
    /* 0: 10 s; TRIBUTARY_NONE: no heartbeats, so a silent stream never counts as lost */
    int64_t heartbeat_ns;
    struct tributary_bytes resume_token; /* where an earlier stream stood; empty: start with new events */
    bool no_statuses;                    /* the server does not report states of producers */
    /* for the PER_CONSUMER sessions, which get it unchanged; at most 64 KiB */
    struct tributary_bytes request;
    /* start with this many past events of each shared producer and each stored topic; at most 1024;
     * not with `resume_token` */
    uint32_t start_last;
    enum tributary_start start; /* not with `resume_token` or `start_last` */
    uint64_t start_value;       /* what SEQUENCE and TIME need */
    /* finite answers: the stream ends with OK when there was an activation and all have ended */
    bool end_when_all_ended;
    /* it ends with OK when it has caught up with every stored topic that matched at its start; not
     * with `end_when_all_ended` */
    bool end_when_caught_up;
    uint64_t limit_events;  /* the stream ends with OK after this many events in all; 0: no limit */
    bool consume;           /* allows credit and tributary_subscriber_select() */
    uint64_t credit_events; /* with `consume`: events that may be on their way; 0: no bound */
    uint64_t credit_bytes;  /* the same for bytes; a larger event is never sent */
    /* The two credits are granted once, and tributary_subscriber_credit() grants more. Without this
     * option, credit is granted again as events are handled. */
    bool credit_by_hand;
    /* Events in the order of their times, across producers: each is held at the server for so long;
     * 0: they go in the order in which they come */
    int64_t sort_window_ns;
    uint32_t sort_events;   /* held events; a full window lets its earliest go; 0: half of `max_events` */
    const char *sort_field; /* where the time stands inside the data, such as "1.3"; NULL: the event's own */
    bool no_reconnect;      /* the first loss of the connection ends the subscriber, with UNAVAILABLE */
};

/* Starts a subscriber. It copies everything in `options` and `callbacks`. The server checks what is
 * not checked here, and refuses it through ended().
 *   TRIBUTARY_INVALID_ARGUMENT    a duration is negative, a list has over 64 entries, or options
 *                                 exclude each other; `status` says which
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory */
TRIBUTARY_API enum tributary_code tributary_subscribe(struct tributary *client,
                                                      const struct tributary_subscriber_options *options,
                                                      const struct tributary_subscriber_callbacks *callbacks,
                                                      struct tributary_subscriber **subscriber_out,
                                                      struct tributary_status *status);

/* Allows the server to send this much more. Needs `consume` and `credit_by_hand`. Does not wait.
 * Unused credit is granted again after a reconnect.
 *   TRIBUTARY_FAILED_PRECONDITION  the subscriber has not both options; nothing changed */
TRIBUTARY_API enum tributary_code tributary_subscriber_credit(struct tributary_subscriber *subscriber,
                                                              uint64_t events, uint64_t bytes);

/* Replaces the filter. Needs `consume`. Does not wait. Events that wait at the server stay there;
 * settings() is called behind the last event of the old filter. If the server refuses the filter,
 * request_refused() is called instead. If several calls follow each other closely, only the last of
 * them may be reported.
 *   TRIBUTARY_FAILED_PRECONDITION  the subscriber has no `consume`; nothing changed
 *   TRIBUTARY_INVALID_ARGUMENT     a list has over 64 entries; nothing changed
 *   TRIBUTARY_RESOURCE_EXHAUSTED   no memory; nothing changed */
TRIBUTARY_API enum tributary_code tributary_subscriber_select(struct tributary_subscriber *subscriber,
                                                              const struct tributary_filter *filter);

/* Ends the subscriber gently. The server delivers what waits, for at most `drain_ns` (0: 5 s;
 * TRIBUTARY_NONE: it delivers nothing more). Then ended() is called with OK. If there is no stream
 * at the moment, ended() is called with CANCELLED at once. Does not wait. A second call changes
 * nothing. */
TRIBUTARY_API void tributary_subscriber_finish(struct tributary_subscriber *subscriber, int64_t drain_ns);

/* Ends the subscriber at once: ended() is called with CANCELLED. Does not wait. A second call
 * changes nothing. */
TRIBUTARY_API void tributary_subscriber_cancel(struct tributary_subscriber *subscriber);

/* Waits until ended() has returned. Returns its code and sets *status to its status. Never call
 * this from a callback.
 *   TRIBUTARY_DEADLINE_EXCEEDED, and "STILL_RUNNING" in status->reason: it has not ended in time */
TRIBUTARY_API enum tributary_code tributary_subscriber_wait(struct tributary_subscriber *subscriber,
                                                            int64_t timeout_ns,
                                                            struct tributary_status *status);

/* Cancels the subscriber if it has not ended, waits until its last callback has returned, and frees
 * it. Never call this from a callback. NULL is allowed. */
TRIBUTARY_API void tributary_subscriber_free(struct tributary_subscriber *subscriber);

#endif
