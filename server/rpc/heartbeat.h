/* heartbeat.h - a message with no news where a stream would be silent for too long, so that the
 * peer, and what is in between, see that the stream lives. For the files of this room.
 *
 * Threads: the wire thread of the call; the two functions that read, any. */
#ifndef TRIBUTARY_SERVER_RPC_HEARTBEAT_H
#define TRIBUTARY_SERVER_RPC_HEARTBEAT_H

#include <protobuf-c/protobuf-c.h>

#include "base/fault.h"
#include "event/framing.h"
#include "server/wire/thread.h"

/* Embedded in what the call owns. */
struct heartbeat {
    struct cq_timer timer;
    struct cq_thread *thread;
    int64_t interval_ns; /* 0: none */
    int64_t sent_at_ns;  /* clock_mono_ns(); the owner sets it with each message that it sends */
    /* Nothing was sent for the interval. Sends a message, unless one is in flight. */
    void (*beat)(struct heartbeat *heartbeat);
};

void heartbeat_init(struct heartbeat *heartbeat, struct cq_thread *thread,
                    void (*beat)(struct heartbeat *heartbeat));
/* From now on with this interval. 0: none. The first beat comes after one interval at the
 * earliest. */
void heartbeat_begin(struct heartbeat *heartbeat, int64_t interval_ns);
/* No beat() follows. Also for one that never began. */
void heartbeat_stop(struct heartbeat *heartbeat);

/* Reads an interval: a google.protobuf.Duration of 100 ms to 1 h, or 0. NULL: 0.
 *   BAD_DURATION, OUT_OF_BOUNDS  as decode_duration(); the fault names `heartbeat_interval` */
MUST_CHECK enum fault_reason heartbeat_read(const ProtobufCMessage *duration, int64_t *interval_ns_out,
                                            struct fault *fault);
/* The same for a field of a scanned message that is present. Also what decode() refuses, and
 * WRONG_WIRE_TYPE. */
MUST_CHECK enum fault_reason heartbeat_read_field(const struct framing_field *field, int64_t *interval_ns_out,
                                                  struct fault *fault);

#endif
