/* reflection.c - server reflection, v1 and v1alpha. Their messages are the same, so one port serves
 * both.
 *
 * All answers are known when the program is built, so the wire thread answers without the loop. One
 * request is handled at a time: the next one is read when the answer was sent. */
#include <stdlib.h>
#include <string.h>

#include "event/field_write.h"
#include "proto/field_numbers.h"
#include "reflection/v1/reflection.pb-c.h"
#include "server/rpc/decode.h"
#include "server/rpc/descriptors.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"

/* Of a name in an error message. */
#define MAX_QUOTED_BYTES 64u

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

static void reply_error(struct buf *answer, enum fault_code code, const char *what, struct bytes name)
{
    char quoted[4 * MAX_QUOTED_BYTES + 6];
    struct buf error = {0};
    struct buf message = {0};

    quote_bytes(name, MAX_QUOTED_BYTES, quoted, sizeof(quoted));
    buf_format(&message, "%s: %s", what, quoted);
    field_varint(&error, PB_REFLECTION_ERROR_RESPONSE_ERROR_CODE, code);
    field_bytes(&error, PB_REFLECTION_ERROR_RESPONSE_ERROR_MESSAGE,
                (struct bytes){message.data, message.size});
    error.broken |= message.broken;
    field_message(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_ERROR_RESPONSE, &error);
    buf_fini(&message);
}

static void add_file(void *ctx, struct bytes proto)
{
    field_bytes_always(ctx, PB_REFLECTION_FILE_DESCRIPTOR_RESPONSE_FILE_DESCRIPTOR_PROTO, proto);
}

static void reply_file(const struct reflection *reflection, struct buf *answer, size_t file)
{
    struct buf files = {0};

    descriptors_needs(reflection->descriptors, file, add_file, &files);
    field_message(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_FILE_DESCRIPTOR_RESPONSE, &files);
}

static void reply_services(const struct reflection *reflection, struct buf *answer)
{
    struct buf services = {0};
    struct bytes name;

    for (size_t position = 0; rpc_service_next(reflection->rpc, &position, &name);) {
        struct buf service = {0};

        field_bytes(&service, PB_REFLECTION_SERVICE_RESPONSE_NAME, name);
        field_message(&services, PB_REFLECTION_LIST_SERVICE_RESPONSE_SERVICE, &service);
    }
    field_message(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_LIST_SERVICES_RESPONSE, &services);
}

/* There are no extensions here. For a known type the answer is an empty list. */
static void reply_extensions(struct buf *answer, struct bytes type)
{
    struct buf extensions = {0};

    field_bytes(&extensions, PB_REFLECTION_EXTENSION_NUMBER_RESPONSE_BASE_TYPE_NAME, type);
    field_message(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE,
                  &extensions);
}

static void reply(const struct reflection *reflection,
                  const Grpc__Reflection__V1__ServerReflectionRequest *request, struct buf *answer)
{
    const struct descriptors *descriptors = reflection->descriptors;
    struct bytes name = {0};
    size_t file;

    if (request->message_request_case ==
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES) {
        reply_services(reflection, answer);
    } else if (request->message_request_case ==
               GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME) {
        name = text_bytes(request->file_by_filename);
        if (descriptors_file(descriptors, name, &file))
            reply_file(reflection, answer, file);
        else
            reply_error(answer, CODE_NOT_FOUND, "no such file", name);
    } else if (request->message_request_case ==
               GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL) {
        name = text_bytes(request->file_containing_symbol);
        if (descriptors_symbol(descriptors, name, &file))
            reply_file(reflection, answer, file);
        else
            reply_error(answer, CODE_NOT_FOUND, "no such symbol", name);
    } else if (
        request->message_request_case ==
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE) {
        name = text_bytes(request->all_extension_numbers_of_type);
        if (descriptors_is_message(descriptors, name))
            reply_extensions(answer, name);
        else
            reply_error(answer, CODE_NOT_FOUND, "no such message type", name);
    } else if (request->message_request_case ==
               GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION) {
        name = text_bytes(request->file_containing_extension->containing_type);
        reply_error(answer, CODE_NOT_FOUND, "no extensions of this type", name);
    } else {
        reply_error(answer, CODE_INVALID_ARGUMENT, "a request must ask for something", name);
    }
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
    ProtobufCMessage *request = NULL;
    struct buf answer = {0};
    struct fault fault;

    if (message_check(message, UINT64_MAX, &fault)) {
        call_finish(call, &fault);
        return;
    }
    struct bytes bytes = message_bytes(message);
    if (decode(bytes, &grpc__reflection__v1__server_reflection_request__descriptor, &request, &fault)) {
        call_finish(call, &fault);
        return;
    }
    field_bytes(&answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_VALID_HOST,
                text_bytes(((Grpc__Reflection__V1__ServerReflectionRequest *)(void *)request)->host));
    field_bytes_always(&answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_ORIGINAL_REQUEST, bytes);
    reply(stream->reflection, (Grpc__Reflection__V1__ServerReflectionRequest *)(void *)request, &answer);
    decoded_free(request);
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
    enum err err;

    if (!reflection)
        return ERR_NO_MEMORY;
    reflection->rpc = rpc;
    rpc->reflection = reflection;
    err = descriptors_new(descriptors_embedded(), &reflection->descriptors);
    if (!err)
        err = rpc_add_method(rpc, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                             &reflection_port, reflection);
    if (!err)
        err = rpc_add_method(rpc, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                             &reflection_port, reflection);
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
