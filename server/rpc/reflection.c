/* reflection.c - server reflection, v1 and v1alpha. Their messages are the same, so one port serves
 * both.
 *
 * All answers are known when the program is built, so the wire thread answers without the loop. One
 * request is handled at a time: the next one is read when the answer was sent. */
#include <stdlib.h>
#include <string.h>

#include "reflection/v1/reflection.pb-c.h"
#include "reflect/answer.h"
#include "server/rpc/decode.h"
#include "server/rpc/embedded_descriptors.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"

struct reflection {
    const struct rpc *rpc;
    struct descriptors *descriptors;
};

/* One call. */
struct reflection_stream {
    const struct reflection *reflection;
    bool sending;
    bool draining;
};

static void reply_services(const struct reflection *reflection, struct buf *answer)
{
    struct buf services = {0};
    struct bytes name;

    for (size_t position = 0; rpc_service_next(reflection->rpc, &position, &name);)
        reflection_add_service(name, &services);
    reflection_write_services(&services, answer);
}

static void reply(const struct reflection *reflection, const struct reflection_request *request,
                  struct buf *answer)
{
    if (request->want == REFLECTION_SERVICES)
        reply_services(reflection, answer);
    else if (!reflection_write_found(reflection->descriptors, request, answer))
        reflection_write_missing(request, answer);
}

static void finish(struct call *call, enum fault_reason reason)
{
    struct fault fault;

    fault_set(&fault, reason, "", "");
    call_finish(call, &fault);
}

static void opened(struct call *call, void *ctx)
{
    struct reflection_stream *stream = calloc(1, sizeof(*stream));

    if (!stream) {
        finish(call, FAULT_MEMORY_BUDGET);
        return;
    }
    stream->reflection = ctx;
    call_own(call, stream);
    call_read(call);
}

static void message(struct call *call, struct message *message)
{
    struct reflection_stream *stream = call_owned(call);
    ProtobufCMessage *decoded = NULL;
    struct reflection_request request;
    struct buf answer = {0};
    struct fault fault;

    if (message_check(message, UINT64_MAX, &fault)) {
        call_finish(call, &fault);
        return;
    }
    struct bytes bytes = message_bytes(message);
    /* Decoded for its checks only. */
    if (decode(bytes, &grpc__reflection__v1__server_reflection_request__descriptor, &decoded, &fault)) {
        call_finish(call, &fault);
        return;
    }
    decoded_free(decoded);
    if (reflection_request_read(bytes, &request, &fault)) {
        call_finish(call, &fault);
        return;
    }
    reflection_write_head(request.host, bytes, &answer);
    reply(stream->reflection, &request, &answer);
    if (answer.broken)
        finish(call, FAULT_MEMORY_BUDGET);
    else
        stream->sending = call_send(call, &answer);
    buf_fini(&answer);
}

static void sent(struct call *call, bool ok)
{
    struct reflection_stream *stream = call_owned(call);

    stream->sending = false;
    if (stream->draining)
        finish(call, FAULT_DRAINING);
    else if (ok)
        call_read(call);
}

/* No answer is being sent: the half-close comes in place of a message, and one is asked for only
 * after the previous answer was sent. */
static void half_closed(struct call *call)
{
    call_finish(call, NULL);
}

static void draining(struct call *call)
{
    struct reflection_stream *stream = call_owned(call);

    if (!stream)
        return;
    stream->draining = true;
    if (!stream->sending)
        finish(call, FAULT_DRAINING);
}

static void closed(struct call *call, bool ok)
{
    (void)ok; /* nothing is kept of how it ended */
    free(call_owned(call));
}

static const struct call_port reflection_port = {.opened = opened,
                                                 .message = message,
                                                 .half_closed = half_closed,
                                                 .sent = sent,
                                                 .draining = draining,
                                                 .closed = closed};

enum err reflection_serve(struct rpc *rpc)
{
    struct reflection *reflection = calloc(1, sizeof(*reflection));
    struct descriptors_fault unused;
    enum err err;

    if (!reflection)
        return ERR_NO_MEMORY;
    reflection->rpc = rpc;
    rpc->reflection = reflection;
    err = descriptors_new(embedded_descriptors(), &reflection->descriptors, &unused);
    for (size_t i = 0; i < REFLECTION_METHODS && !err; i++)
        err = rpc_add_method(rpc, reflection_methods[i], &reflection_port, reflection);
    return err;
}

void reflection_free(struct rpc *rpc)
{
    if (!rpc->reflection)
        return;
    descriptors_free(rpc->reflection->descriptors);
    free(rpc->reflection);
    rpc->reflection = NULL;
}
