/* notice.h - what a stream says besides events, and the names of its numbers. Part of
 * <tributary/tributary.h>. */
#ifndef TRIBUTARY_NOTICE_H
#define TRIBUTARY_NOTICE_H

enum tributary_overflow {
    TRIBUTARY_OVERFLOW_DEFAULT = 0, /* DROP_OLDEST; BLOCK for producers that are asked per consumer */
    TRIBUTARY_OVERFLOW_BLOCK = 1,   /* hold producers back, for at most `block_timeout_ns` */
    TRIBUTARY_OVERFLOW_DROP_OLDEST = 2,
    TRIBUTARY_OVERFLOW_DROP_NEWEST = 3,
    TRIBUTARY_OVERFLOW_DISCONNECT = 4,
    TRIBUTARY_OVERFLOW_LATEST_PER_KEY = 5 /* keep the newest waiting event of each source, topic and key */
};

/* The settings in force, defaults filled in. Durations: 0 is none. */
struct tributary_settings {
    uint32_t max_events;
    uint64_t max_bytes;
    int64_t max_age_ns;
    enum tributary_overflow overflow;
    int64_t block_timeout_ns;
    enum tributary_overflow fallback;
    int64_t linger_ns;
    uint32_t max_batch_events;
    uint32_t max_batch_bytes;
    int64_t heartbeat_ns;
    /* rises with each tributary_subscriber_select() that was followed; 0 at the start of a stream */
    uint32_t revision;
};

struct tributary_started {
    struct tributary_bytes subscription_id;
    struct tributary_settings settings;
    uint32_t producers_matched;
    bool resumed; /* the stream continues an earlier one of this subscriber */
};

/* Events of one source that will not be delivered. */
struct tributary_lost {
    struct tributary_bytes source;
    uint64_t epoch, count, bytes;
    uint64_t first_sequence, last_sequence; /* the hull: events within it may have been delivered */
    int reason;                             /* LossReason of event.proto; tributary_loss_name() names it */
    bool count_unknown;                     /* the source began a new epoch meanwhile: `count` says nothing */
};

struct tributary_producer_status {
    struct tributary_bytes source;
    uint64_t epoch;
    int state;                /* ProducerState of event.proto; tributary_state_name() names it */
    enum tributary_code code; /* why, where it has a cause; OK: none */
    struct tributary_bytes message;
};

struct tributary_progress {
    uint64_t delivered, lost; /* events, since this stream began */
    struct tributary_bytes resume_token;
};

struct tributary_closing {
    int reason; /* ClosingReason of event.proto; tributary_closing_name() names it */
    uint64_t deadline_unix_nano;
};

/* "OVERFLOW_OLDEST", "ACTIVE", "SERVER_DRAINING"; static; "UNKNOWN" for a value this library does
 * not know. */
TRIBUTARY_API const char *tributary_loss_name(int reason);
TRIBUTARY_API const char *tributary_state_name(int state);
TRIBUTARY_API const char *tributary_closing_name(int reason);
TRIBUTARY_API const char *tributary_overflow_name(int overflow);

/* A step of a consuming subscriber that the server did not follow, such as bad selectors. The
 * stream goes on. */
struct tributary_answer {
    uint64_t request; /* the number of the message in the stream, counted from 1 */
    enum tributary_code code;
    struct tributary_bytes message;
    struct tributary_bytes reason; /* as in ErrorInfo.reason */
};

#endif
