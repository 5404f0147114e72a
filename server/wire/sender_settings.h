/* sender_settings.h - what the sender of one consumer was asked for. */
#ifndef TRIBUTARY_SERVER_WIRE_SENDER_SETTINGS_H
#define TRIBUTARY_SERVER_WIRE_SENDER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct sender_settings {
    int64_t linger_ns;
    int64_t heartbeat_ns; /* 0: none */
    /* A write that takes longer ends the call: NOT_READING. A consumer that had shared producers
     * blocked, and then grants no credit for so long, is ended as by DISCONNECT. */
    int64_t write_timeout_ns;
    int64_t progress_ns;   /* the least time between two Progress notes */
    uint32_t batch_events; /* the most in one message */
    uint32_t batch_bytes;
    bool states;           /* report ProducerStatus */
    bool sorts;            /* the channel holds events to sort them: chan_due_at() says when some may go */
    uint64_t limit_events; /* end after so many events were delivered; 0: no limit */
};

#endif
