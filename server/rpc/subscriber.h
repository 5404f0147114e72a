/* subscriber.h - the server's side of one consumer's stream: what Subscribe and Consume share. For
 * the files of this room.
 *
 * Threads: the call's wire thread. */
#ifndef TRIBUTARY_SERVER_RPC_SUBSCRIBER_H
#define TRIBUTARY_SERVER_RPC_SUBSCRIBER_H

#include "hub/subscription_port.h"
#include "hub/subscription.h"
#include "server/rpc/progress.h"
#include "server/rpc/subscribe_request.h"
#include "server/wire/sender.h"

struct rpc;
struct subscription_view;

/* The deadline of a drain where the request gives none, and the latest one that it may give. */
#define DEFAULT_DRAIN_NS (5 * NS_PER_S)
#define MAX_DRAIN_NS (3600 * NS_PER_S)

/* Zero-initialised, with `rpc` and `call` set, it is ready for subscriber_begin(). Embedded in, or
 * itself, what the call owns. */
struct subscriber {
    struct rpc *rpc;
    struct call *call;
    enum subscriber_state { SUBSCRIBER_OPENING, SUBSCRIBER_LIVE, SUBSCRIBER_LEAVING, SUBSCRIBER_GONE } state;
    bool ending; /* leave LIVE as soon as no write is in flight */
    enum fault_reason reason;
    ProtobufCMessage *message; /* what `request` points into; NULL once subscribed */
    struct subscribe_request request;
    struct sender *sender;
    struct subscription *subscription;
    struct subscription_result result;
    /* Why the subscription was refused. Later: why the loop aborts the call, for `abort_notice`. */
    struct fault fault;
    struct task task; /* goes to the loop and comes back */
    /* The state is LIVE, and Started is on its way. NULL: nobody needs to know. */
    void (*on_live)(struct subscriber *subscriber);
    /* Loop. A select is over (struct subscription_port). NULL: hub_select() is not called. */
    void (*on_selected)(struct subscriber *subscriber, enum fault_reason reason);
    /* The path of the request within its message, such as "init."; NULL: it is the message. */
    const char *field_prefix;
    /* Notices of the loop. Each is posted at most once. */
    struct task closing_notice, abort_notice;
    struct task lost_notice;     /* to the loop, and back: the call was lost while OPENING */
    enum closing closing;        /* the loop's until `closing_notice` has run */
    int64_t closing_deadline_ns; /* likewise */
    bool closing_known;          /* `closing_notice` has run */
    struct progress progress;
};

/* Loop. The subscriber whose subscription this is. A task that is posted to its thread now finds it
 * there. NULL: the subscription belongs to no call. */
struct subscriber *subscriber_of(const struct subscription_view *view);
/* Begins with a decoded SubscribeRequest. It is `owner`, or lies within it; this takes over
 * `owner`. A request that is not valid finishes the call. */
void subscriber_begin(struct subscriber *subscriber, const ProtobufCMessage *request,
                      ProtobufCMessage *owner);
/* Finishes the call with a fault, in any state. */
void subscriber_refuse(struct subscriber *subscriber, const struct fault *fault);
void subscriber_sent(struct subscriber *subscriber, bool ok); /* from the call's sent() */
void subscriber_lost(struct subscriber *subscriber);          /* from the call's lost() */
void subscriber_fini(struct subscriber *subscriber);          /* from the call's closed() */

#endif
