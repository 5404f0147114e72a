/* subscribe.h - one merged stream of many producers. Part of <tributary/tributary.h>.
 *
 * A subscriber keeps its stream: when the connection is lost, it connects again, with growing
 * pauses, from the newest resume token. The server then says through lost() what passed meanwhile.
 * A stream that is silent for three heartbeats counts as lost.
 *
 * With `consume` the same stream can be steered: credit bounds what is on its way, new selectors
 * replace the old ones. */
#ifndef TRIBUTARY_SUBSCRIBE_H
#define TRIBUTARY_SUBSCRIBE_H

#include "notice.h"

struct tributary_subscriber;

/* The fields that are set must all match; an unset field matches everything. Patterns are globs:
 * `*` any run of characters, `?` one. */
struct tributary_selector {
    const char *producer;
    const char *topic;
    const char *const *keys; /* one of them must match; at most 64, as in each list */
    size_t key_count;
    const char *const *types; /* one of them must match */
    size_t type_count;
    const char *const (*headers)[2]; /* { name, pattern for the value }: all of them must match */
    size_t header_count;
    const char *const (*labels)[2]; /* of the producer, likewise */
    size_t label_count;
};

/* Client thread; each may be NULL. Views are valid during the call. Within a message the order is
 * the one here, down to `closing`. After tributary_subscriber_cancel() from one of them, only
 * `applied` and `ended` follow. */
struct tributary_subscriber_callbacks {
    /* once per stream: again after a reconnect */
    void (*started)(void *ctx, const struct tributary_started *started);
    /* new selectors: in force from here on */
    void (*settings)(void *ctx, const struct tributary_settings *settings);
    void (*answered)(void *ctx, const struct tributary_answer *answer);
    void (*lost)(void *ctx, const struct tributary_lost *lost);
    void (*event)(void *ctx, const struct tributary_delivery *delivery);
    void (*status)(void *ctx, const struct tributary_producer_status *status);
    void (*progress)(void *ctx, const struct tributary_progress *progress);
    void (*closing)(void *ctx, const struct tributary_closing *closing);
    /* Everything in one message was applied: a good moment to flush or to commit. A heartbeat
     * applies nothing, and says so too. */
    void (*applied)(void *ctx);
    /* The stream was lost; it is tried again after `retry_ns`. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    /* Once, and last. OK: finished. CANCELLED: cancelled here, or by an operator. Otherwise the
     * error that ended it for good. */
    void (*ended)(void *ctx, const struct tributary_status *status);
    void *ctx;
};

/* Zeroes are the server's defaults. A duration of TRIBUTARY_NONE is an explicit 0. Bounds: see
 * subscriber.proto. */
struct tributary_subscriber_options {
    const char *name;                           /* for people: shown among the subscriptions */
    const struct tributary_selector *selectors; /* at most 64; none: everything */
    size_t selector_count;
    const struct tributary_selector *exclude; /* wins over `selectors` */
    size_t exclude_count;
    uint32_t max_events; /* events that may wait at the server */
    uint64_t max_bytes;  /* bytes, likewise */
    int64_t max_age_ns;
    enum tributary_overflow overflow;
    int64_t block_timeout_ns;
    enum tributary_overflow fallback;
    int64_t linger_ns;
    uint32_t max_batch_events;
    uint32_t max_batch_bytes;
    /* 0: 10 s. TRIBUTARY_NONE: no heartbeats, so a silent stream is never given up */
    int64_t heartbeat_ns;
    /* where an earlier stream stood; empty: with what is published from now on */
    struct tributary_bytes resume_token;
    bool no_statuses; /* no status() for producers */
    /* handed unchanged to each producer that is asked per consumer; at most 64 KiB */
    struct tributary_bytes request;
    /* begin with the last so many events of each shared producer; at most 1024; not with a resume
       token */
    uint32_t start_last;
    /* OK when at least one producer was asked and all have ended: for finite answers */
    bool end_when_all_ended;
    uint64_t limit_events;  /* OK after so many events, over reconnects; 0: no limit */
    bool consume;           /* may be steered: credit and tributary_subscriber_select() */
    uint64_t credit_events; /* with `consume`: events that may be on their way; 0: no bound */
    uint64_t credit_bytes;  /* bytes, likewise: an event larger than this is never sent */
    /* both are granted once, and then by tributary_subscriber_credit(); otherwise as events are
       handled */
    bool credit_by_hand;
    bool no_reconnect; /* the first loss of the connection ends it, with UNAVAILABLE */
};

/* Begins. Everything in `options` and `callbacks` is copied.
 *   TRIBUTARY_INVALID_ARGUMENT    a duration is negative, or a list has over 64 entries; the server checks the rest and answers by ended()
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory */
TRIBUTARY_API enum tributary_code tributary_subscribe(struct tributary *client,
                                                      const struct tributary_subscriber_options *options,
                                                      const struct tributary_subscriber_callbacks *callbacks,
                                                      struct tributary_subscriber **subscriber_out,
                                                      struct tributary_status *status);

/* With `consume` and `credit_by_hand`: so much more may be sent; 0 adds nothing. What was granted
 * and not used is granted again after a reconnect. Does not wait.
 *   TRIBUTARY_FAILED_PRECONDITION  the subscriber does not take credit by hand; nothing changed */
TRIBUTARY_API enum tributary_code tributary_subscriber_credit(struct tributary_subscriber *subscriber,
                                                              uint64_t events, uint64_t bytes);

/* With `consume`: these replace the old ones; none: everything. What waits at the server stays;
 * settings() follows the last event of the old ones, or answered() says what is wrong with these.
 * Does not wait; of several in a row only the last may be told.
 *   TRIBUTARY_FAILED_PRECONDITION  the subscriber does not consume; nothing changed
 *   TRIBUTARY_INVALID_ARGUMENT     a list has over 64 entries; nothing changed
 *   TRIBUTARY_RESOURCE_EXHAUSTED   no memory; nothing changed */
struct tributary_selection {
    const struct tributary_selector *selectors;
    size_t selector_count;
    const struct tributary_selector *exclude;
    size_t exclude_count;
};
TRIBUTARY_API enum tributary_code tributary_subscriber_select(struct tributary_subscriber *subscriber,
                                                              const struct tributary_selection *selection);

/* Ends gently: the server delivers what waits, for at most `drain_ns` (0: 5 s; TRIBUTARY_NONE:
 * nothing more), then ended() says OK. With no stream at the moment, ended() says CANCELLED at
 * once. Does not wait; a second call changes nothing. */
TRIBUTARY_API void tributary_subscriber_finish(struct tributary_subscriber *subscriber, int64_t drain_ns);

/* Ends at once: ended() says CANCELLED. Does not wait; a second call changes nothing. */
TRIBUTARY_API void tributary_subscriber_cancel(struct tributary_subscriber *subscriber);

/* Waits until ended() has returned, and says what it said. Never from a callback.
 *   TRIBUTARY_DEADLINE_EXCEEDED with status->reason "STILL_RUNNING": it has not ended, `status` says only that
 */
TRIBUTARY_API enum tributary_code tributary_subscriber_wait(struct tributary_subscriber *subscriber,
                                                            int64_t timeout_ns,
                                                            struct tributary_status *status);

/* Cancels where it has not ended, and waits until its last callback has returned. Never from a
 * callback. NULL is allowed. */
TRIBUTARY_API void tributary_subscriber_free(struct tributary_subscriber *subscriber);

#endif
