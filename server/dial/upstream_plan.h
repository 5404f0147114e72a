/* upstream_plan.h - what the upstream calls of one endpoint have in common. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_PLAN_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_PLAN_H

#include "base/base.h"
#include "base/buf.h"
#include "event/field_path.h"
#include "event/framing.h"
#include "grpc/cq_thread.h"
#include "server/dial/connection.h"
#include "server/dial/inflate_turns.h"

struct loop;
struct shared_bytes;

/* A thread that calls live on. `scan` and `scratch` are its memory for one message. */
struct upstream_thread {
    struct cq_thread *cq;
    struct framing_scan scan;
    struct buf scratch;
    struct tls_turns turns;
    struct dial_slots slots;
    struct inflate_turns inflate_turns;
};

/* What the calls of one endpoint have in common. Constant, but for `connections`, which are the
 * wire thread's. It must live until the last call has ended. */
struct upstream_plan {
    struct upstream_thread *thread;
    struct loop *loop;               /* for the limits of messages */
    struct upstream_costs *costs;    /* of all endpoints */
    struct connections *connections; /* the thread's */
    const char *method;
    struct shared_bytes *const *requests;
    size_t request_count; /* 0: the consumer's request */
    grpc_metadata *metadata;
    size_t metadata_count;
    /* Of calls that answer a client's (upstream_served.c): which of its metadata goes on, and which
     * of the upstream's comes back (metadata_names.h). */
    const struct bytes *request_names, *answer_names;
    size_t request_name_count, answer_name_count;
    const char *name; /* of the endpoint */
    bool keep_open;   /* this side does not close */
    bool is_native;   /* the method is Upstream.Produce: `start` and `stop` */
    bool event_batch; /* messages are EventBatches; false: any bytes, or those of a cascade */
    /* Of the events that are any bytes. */
    struct bytes content_type;
    struct field_path key_field, time_field;
    int64_t connect_timeout_ns;
    int64_t first_message_timeout_ns, idle_timeout_ns; /* 0: none */
};

#endif
