/* subscriber.h - one consumer's stream: what Subscribe and Consume share. For the files of this
 * room.
 *
 * Threads: the call's wire thread. */
#ifndef TRIBUTARY_SERVER_RPC_SUBSCRIBER_H
#define TRIBUTARY_SERVER_RPC_SUBSCRIBER_H

#include "server/rpc/rpc_internal.h"
#include "server/wire/sender.h"

/* Fields of EventBatch that this room writes. */
enum { BATCH_PROGRESS = 4, BATCH_CLOSING = 5, BATCH_STARTED = 6, BATCH_ACK_RESULTS = 7, BATCH_SETTINGS = 8 };

/* Where no deadline is given. */
#define DRAIN_DEFAULT_NS (5 * NS_PER_S)
#define MAX_DRAIN_NS (3600 * NS_PER_S)

struct subscriber {
    struct rpc *rpc;
    struct call *call;
    enum subscriber_state { SUBSCRIBER_OPENING, SUBSCRIBER_LIVE, SUBSCRIBER_LEAVING, SUBSCRIBER_GONE } state;
    bool ending; /* leave as soon as nothing is in flight */
    enum fault_reason reason;
    ProtobufCMessage *request; /* until it is subscribed */
    struct subscribe_request checked;
    struct sender *sender;
    struct subscription *subscription;
    struct subscription_result result;
    /* why it was refused; of one that was not: why the loop cut it, for the notice below */
    struct fault fault;
    struct task task;
    /* it is LIVE, its Started is on the way; NULL: nobody asks */
    void (*begun)(struct subscriber *subscriber);
    /* where the request lies in its message, such as "init."; NULL: it is the message */
    const char *within;
    /* Notices of the loop, each posted at most once. */
    struct task closing_notice, abort_notice;
    enum closing closing; /* the loop's until its notice has landed; so are those below */
    int64_t closing_deadline_ns;
    bool reported_reason; /* the closing notice has landed */
    uint64_t reported_delivered, reported_lost;
};

/* Begins with a decoded SubscribeRequest, which lies within `owner` (or is it); takes over `owner`.
 * A request that is not valid finishes the call. */
void subscriber_begin(struct subscriber *subscriber, const ProtobufCMessage *request,
                      ProtobufCMessage *owner);
/* Finishes the call with a fault, in whatever state it is. */
void subscriber_refuse(struct subscriber *subscriber, const struct fault *fault);
void subscriber_sent(struct subscriber *subscriber, bool ok);
void subscriber_lost(struct subscriber *subscriber);
void subscriber_fini(struct subscriber *subscriber); /* when the call is closed */

#endif
