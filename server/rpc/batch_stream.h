/* batch_stream.h - a RunStream call and its operations. For batch_run_stream.c, which has the call
 * and sends, batch_stream_operation.c and batch_stream_request.c.
 *
 * Threads: the wire thread of the call, but for what a member says. */
#ifndef TRIBUTARY_SERVER_RPC_BATCH_STREAM_H
#define TRIBUTARY_SERVER_RPC_BATCH_STREAM_H

#include <pthread.h>

#include "base/heap.h"
#include "base/map.h"
#include "base/peer_charge.h"
#include "batch/processor.h"
#include "server/rpc/batch_read.h"
#include "server/wire/call.h"
#include "server/wire/message.h"

struct rpc;
struct run_stream;

struct stream_operation {
    struct processor_operation base;
    struct run_stream *stream;
    struct batch_processor *processor;
    struct map_node node;   /* in stream->requests */
    struct list link;       /* in stream->operations, until it has ended */
    struct heap_node timer; /* in stream->timers */
    uint64_t request;
    uint64_t bytes; /* that it counts in the bounds */
    struct peer_charge charge;
    uint8_t data[];
};

struct run_stream {
    struct rpc *rpc;
    struct call *call;
    struct batch_processor *processor; /* of the last operation; NULL: none yet */
    struct map requests;
    struct list operations; /* in processors, in this order */
    struct list answers;    /* ended, to be sent */
    struct heap timers;
    uint64_t bytes;
    bool packed, reading, sending, half_closed, draining;
    struct message message; /* what `more` of it asks for is done in parts; zeroed: none */
    const uint8_t *more_at; /* how far that has come */
    struct post_poll_hook send_hook;
    struct cq_timer timeout_timer, write_timer;

    pthread_mutex_t lock; /* within that of a processor */
    struct list ended;    /* within `lock` */
    struct cq_wake wake;
};

static inline struct stream_operation *stream_operation_of(struct processor_operation *base)
{
    return container_of(base, struct stream_operation, base);
}

/* Whether no operation is in a processor, or has to be answered. */
static inline bool stream_is_idle(const struct run_stream *stream)
{
    return stream->requests.count == 0;
}

/* ---- batch_stream_operation.c ---- */

/* Adds an operation to the stream, which is held while it has any. `request` and its bytes are
 * copied.
 *   REQUEST_IN_USE, MEMORY_BUDGET  nothing has changed */
MUST_CHECK enum fault_reason stream_operation_add(struct run_stream *stream,
                                                  const struct stream_request *request,
                                                  const struct run_request *run,
                                                  struct stream_operation **operation_out,
                                                  struct fault *fault);
/* It is in no processor any more, and has been answered or needs no answer. Whoever frees the last
 * one ends the stream's hold. */
void stream_operation_free(struct stream_operation *operation);
/* It ends with DEADLINE, unless it has started by then. */
void stream_operation_expire_at(struct stream_operation *operation, int64_t due_ns);
/* It ends with `reason`, if it has not started. */
void stream_operation_end(struct stream_operation *operation, enum fault_reason reason);
/* For cq_timer `timeout_timer`. */
void stream_on_timeout(struct cq_timer *timer, int64_t now_ns);
/* Ended operations become answers, a part of them in each turn. */
void stream_collect(struct run_stream *stream);
/* The stream is lost: takes back what has not started, and drops the answers, a part in each turn.
 * It may end the stream's hold, so it is the caller's last line. */
void stream_take_back(struct run_stream *stream);

/* ---- batch_stream_request.c ---- */

/* Does what stream->message asks for, or the next part of it: as much as one turn should do. The
 * message is freed when all is done. A fault ends the call. */
MUST_CHECK enum fault_reason stream_handle(struct run_stream *stream, struct fault *fault);

#endif
