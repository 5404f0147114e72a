/* notice.h - what the server reports in a stream besides events. Part of <tributary/tributary.h>.
 *
 * All texts and bytes in these structs are valid during the callback only. */
#ifndef TRIBUTARY_NOTICE_H
#define TRIBUTARY_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "export.h"
#include "status.h"

/* What happens when the queue of a subscription is full. */
enum tributary_overflow {
    /* DROP_OLDEST; BLOCK for the activations of PER_CONSUMER sessions */
    TRIBUTARY_OVERFLOW_DEFAULT = 0,
    TRIBUTARY_OVERFLOW_BLOCK = 1, /* producers must wait, for at most `block_timeout_ns` */
    TRIBUTARY_OVERFLOW_DROP_OLDEST = 2,
    TRIBUTARY_OVERFLOW_DROP_NEWEST = 3,
    TRIBUTARY_OVERFLOW_DISCONNECT = 4, /* the stream ends */
    /* only the newest waiting event of each source, topic and key stays */
    TRIBUTARY_OVERFLOW_LATEST_PER_KEY = 5
};

/* The settings in force, with all defaults filled in. A duration of 0 means none. The options of
 * the same names are described in subscribe.h. */
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
    /* 0 at the start of a stream; rises by 1 with each filter that the server put into force */
    uint32_t revision;
    int64_t sort_window_ns; /* 0: events are not sorted */
    uint32_t sort_events;
};

/* A stream has begun. */
struct tributary_started {
    struct tributary_bytes subscription_id;
    struct tributary_settings settings;
    uint32_t producers_matched;
    bool resumed; /* the stream continues an earlier one of this subscriber */
};

/* The server refused a request of a consuming subscriber, such as a bad filter. The stream goes
 * on. */
struct tributary_request_refused {
    uint64_t request; /* the number of the request in its stream, counted from 1 */
    enum tributary_code code;
    struct tributary_bytes message;
    struct tributary_bytes reason; /* ErrorInfo.reason */
};

/* The subscriber will not get some events of one source. */
struct tributary_lost {
    struct tributary_bytes source;
    uint64_t epoch, count, bytes;
    /* All lost events lie in this range. Other events in it may have been delivered. */
    uint64_t first_sequence, last_sequence;
    int reason; /* LossReason of event.proto; tributary_loss_name() returns its name */
    /* Nobody can say how many, so `count` means nothing: the source began a new epoch meanwhile. Or
     * there is no source: a later stream could not continue where the one before it stood, for
     * example because the server did not take its resume token any more. */
    bool count_unknown;
    /* Another server lost them, of which this server is a consumer: this one never had them. */
    bool upstream;
};

/* The state of a producer has changed. */
struct tributary_producer_status {
    struct tributary_bytes source;
    uint64_t epoch;
    int state;                /* ProducerState of event.proto; tributary_state_name() returns its name */
    enum tributary_code code; /* the cause of the state; OK: none is known */
    struct tributary_bytes message;
};

/* Of a stored topic. The stream has caught up: it has everything up to `sequence` (0: the topic
 * never had an event), and gets what follows when it is published. Or it has fallen behind: from
 * `sequence` on it comes from the disk of the server, and loses nothing. */
struct tributary_topic_notice {
    struct tributary_bytes source; /* "@" and the topic's name */
    uint64_t epoch;
    uint64_t sequence;
};

/* How far the stream has come. */
struct tributary_progress {
    uint64_t delivered, lost; /* events since this stream began */
    /* Where the stream stands. Empty: none came. Then the one before holds; a stream that starts
     * with it reports as lost what was delivered since. While there are few producers every
     * progress has one; otherwise one comes each minute, and when the server ends the stream. */
    struct tributary_bytes resume_token;
};

/* The server is about to end the stream. */
struct tributary_closing {
    int reason; /* ClosingReason of event.proto; tributary_closing_name() returns its name */
    uint64_t deadline_unix_nano;
};

/* Names of these numbers, such as "OVERFLOW_OLDEST", "ACTIVE" and "SERVER_DRAINING". A number that
 * this library does not know is "UNKNOWN". The texts are static. */
TRIBUTARY_API const char *tributary_loss_name(int reason);
TRIBUTARY_API const char *tributary_state_name(int state);
TRIBUTARY_API const char *tributary_closing_name(int reason);
TRIBUTARY_API const char *tributary_overflow_name(int overflow);

#endif
