/* subscribe_request.h - a SubscribeRequest, checked against every bound, with every default filled
 * in. For the files of this room.
 *
 * Any thread. */
#ifndef TRIBUTARY_SERVER_RPC_SUBSCRIBE_REQUEST_H
#define TRIBUTARY_SERVER_RPC_SUBSCRIBE_REQUEST_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/settings.h"
#include "hub/subscription.h"

struct subscribe_request {
    /* What the hub needs. This struct owns `params.filter` until hub_subscribe() takes it over;
     * then the caller sets it to NULL. */
    struct subscription_params params;
    int64_t linger_ns, heartbeat_ns; /* 0: none */
    uint32_t max_batch_events, max_batch_bytes;
    bool states;                 /* send ProducerStatus */
    uint64_t limit_events;       /* 0: no limit */
    struct resume_point *resume; /* what `params.resume` points at */
};

/* Checks a decoded SubscribeRequest against `ranges`, which the settings have, and the fixed bounds
 * of the API. FAULT_NONE: subscribe_request_fini() must follow. The result
 * points into `unpacked` (names, the request's bytes, the sources of resume points), which must
 * outlive it. Otherwise nothing is kept. */
MUST_CHECK enum fault_reason subscribe_request_read(const ProtobufCMessage *unpacked,
                                                    const struct subscription_ranges *ranges,
                                                    struct subscribe_request *request_out,
                                                    struct fault *fault);

/* Checks what only a server with stored topics has: END_WHEN_CAUGHT_UP. */
MUST_CHECK enum fault_reason subscribe_request_check_topics(const struct subscribe_request *request,
                                                            bool has_topics, struct fault *fault);

/* Lowers what was asked for to the upper bounds that the operator has set: the block timeout, and
 * the bytes of the channel. */
void subscribe_request_lower(struct subscribe_request *request, const struct settings *settings);

void subscribe_request_fini(struct subscribe_request *request);

/* Appends a serialized Settings message. `revision` is the number of the last `select`; 0: none. */
void settings_write(const struct subscribe_request *request, uint32_t revision, struct buf *block);

/* Compiles the selectors of a decoded ConsumeRequest.Select into a filter. The filter does not
 * point into `message`. */
MUST_CHECK enum fault_reason select_read(const ProtobufCMessage *message, struct filter **filter_out,
                                         struct fault *fault);

#endif
