/* ask.h - how a service answers: decode strictly, carry to the loop, answer on the call's own
 * thread. For the files of this room.
 *
 * Threads: each function says. */
#ifndef TRIBUTARY_SERVER_RPC_UNARY_H
#define TRIBUTARY_SERVER_RPC_UNARY_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/fault.h"
#include "hub/subscription.h"
#include "loop/loop.h"
#include "server/rpc/rpc.h"
#include "server/wire/call.h"

/* A method that is a unary question: its port is unary_port, its ctx one of these. */
struct unary_call;
struct unary_method {
    struct rpc *rpc;
    const ProtobufCMessageDescriptor *type;
    void (*on_loop)(struct unary_call *unary);
};
extern const struct call_port unary_port;

/* The room's own view of its state; services keep theirs in their own files. */
struct rpc {
    struct loop *loop;
    struct hub *hub;
    struct rpc_settings settings;
    int64_t started_wall_ns;
    struct method *methods;
    size_t method_count;
    struct kept *kept; /* what rpc_add_unary() made */
    struct health *health;
    struct reflection *reflection;
    struct unary_method finish; /* Subscriber.Finish */
};

/* Unpacks a request: first a scan of its form by the message's descriptor (groups, field numbers,
 * wire types, lengths, UTF-8, NUL, depth: the rules of framing.h), then protobuf-c with an
 * allocator that stops at 8 times the input + 64 KiB. FAULT_NONE: *message_out is to be freed with
 * decoded_free(). Any thread. */
MUST_CHECK enum fault_reason decode(struct bytes bytes, const ProtobufCMessageDescriptor *type,
                                    ProtobufCMessage **message_out, struct fault *fault);
void decoded_free(ProtobufCMessage *message); /* NULL allowed */

/* Packs any message, appended. Any thread. */
void encode(const ProtobufCMessage *message, struct buf *bytes);

/* A Duration to nanoseconds. Absent (NULL): `default_value`. FAULT_NONE, or BAD_DURATION /
 * OUT_OF_BOUNDS naming field, value and bound: `min` and `max` bound what is not 0; 0 is allowed
 * where `zero` is. */
struct duration_rule {
    const char *field;
    int64_t default_ns, min_ns, max_ns;
    bool zero;
};
MUST_CHECK enum fault_reason decode_duration(const ProtobufCMessage *duration,
                                             const struct duration_rule *rule, int64_t *ns_out,
                                             struct fault *fault);

/* A unary question on its way: decoded on the wire thread, answered on the loop, sent on the wire
 * thread. */
struct unary_call {
    struct rpc *rpc;
    struct call *call;
    struct task task;
    ProtobufCMessage *request;
    struct buf answer;
    struct fault fault;                        /* reason NONE: `answer` is sent */
    void (*on_loop)(struct unary_call *unary); /* sets `answer` or `fault` */
};

/* Adds a unary method; the room keeps its question. */
MUST_CHECK enum err rpc_add_unary(struct rpc *rpc, const char *path, const ProtobufCMessageDescriptor *type,
                                  void (*on_loop)(struct unary_call *unary));

/* google.rpc.Status for a fault, with ErrorInfo and what else says more; at most 2 KiB. Any
 * thread. */
void fault_details(const struct fault *fault, struct buf *details);

/* Each service's rows, appended to rpc->methods (rpc_new makes the room). ERR_NO_MEMORY
 * otherwise. */
MUST_CHECK enum err publisher_serve(struct rpc *rpc);
MUST_CHECK enum err subscriber_serve(struct rpc *rpc);
MUST_CHECK enum err consume_serve(struct rpc *rpc);
MUST_CHECK enum err register_serve(struct rpc *rpc);
MUST_CHECK enum err admin_serve(struct rpc *rpc);
MUST_CHECK enum err health_serve(struct rpc *rpc);
MUST_CHECK enum err reflection_serve(struct rpc *rpc);
void health_free(struct rpc *rpc);
void reflection_free(struct rpc *rpc);
/* Adds one row. `path` must be static. */
MUST_CHECK enum err rpc_method(struct rpc *rpc, const char *path, const struct call_port *port, void *ctx);
/* The names of the services that have rows, each once: start with *at 0; false ends. Any thread,
 * once the room is made. */
bool rpc_service_next(const struct rpc *rpc, size_t *at, struct bytes *name_out);
bool rpc_serves(const struct rpc *rpc, struct bytes service);

/* What a SubscribeRequest means, checked against every bound. */
struct subscribe_request {
    struct subscription_params hub; /* filter is owned by the wish until it is taken */
    int64_t linger_ns, heartbeat_ns;
    uint32_t batch_events, batch_bytes;
    bool states;
    uint64_t limit_events;       /* 0: no limit */
    struct resume_point *resume; /* what hub.resume points at; sources point into the request */
};
/* `request` must outlive the wish (names and resume points point into it). */
MUST_CHECK enum fault_reason subscribe_request_read(const ProtobufCMessage *request,
                                                    struct subscribe_request *checked_out,
                                                    struct fault *fault);
void subscribe_request_fini(struct subscribe_request *checked);
/* a serialized Settings message */
void settings_write(const struct subscribe_request *checked, uint32_t revision, struct buf *block);
/* The selectors of a ConsumeRequest.Select as a filter. */
MUST_CHECK enum fault_reason select_read(const ProtobufCMessage *select, struct filter **filter_out,
                                         struct fault *fault);

/* The serialized Settings of a subscription, by the `ctx` of its subscription_view. Loop. */
void subscriber_settings(void *ctx, struct buf *settings);

/* Resume tokens: opaque to consumers, checked with a checksum when they come back. token_write
 * walks the channel's positions (at most 64 KiB). */
void token_write(struct chan *chan, struct buf *token);
/* FAULT_NONE: *points_out is to be freed; it is not NULL, and its sources point into the token.
 * Otherwise BAD_TOKEN. */
MUST_CHECK enum fault_reason token_read(struct bytes token, struct resume_point **points_out,
                                        size_t *count_out, uint64_t *left_out_out, struct fault *fault);

/* Page tokens: the name after which the next page begins, as text. `list` tells one list's tokens
 * from another's. */
#define MAX_PAGE_NAME 256u
void page_write(char list, struct bytes name, struct buf *token);
/* `name` has room for MAX_PAGE_NAME bytes. An empty token is the first page: size 0. Otherwise
 * BAD_TOKEN, with field `page_token`. */
MUST_CHECK enum fault_reason page_read(char list, const char *token, uint8_t *name, size_t *size_out,
                                       struct fault *fault);

#endif
