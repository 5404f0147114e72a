/* stream_serve.c - the servers of `stream`: the source, and the proxy. See stream.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/listen.h"
#include "bench/stream.h"

#include <grpc/grpc_security.h>

#define HINTED 16u /* messages of one write */

/* ---- a call as a server has it ---- */

struct call {
    struct op opened, got_request, sent, ended, closed;
    grpc_call *core;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *received;
    int cancelled;
    bool is_over;

    /* The source's. */
    struct request request;
    int64_t end_ns, due_ns, step_ns;
    uint64_t number;
    bool is_sending;

    /* The proxy's. */
    struct op up_opened, up_received, up_ended;
    grpc_call *up;
    grpc_metadata_array up_headers, up_trailers;
    grpc_byte_buffer *message;
    grpc_status_code code;
    grpc_slice text;
};

static grpc_server *server;
static bool proxies;
static struct call *paced; /* of the source: whose next message is due later; NULL: none */

static void finish(struct call *call)
{
    const grpc_op status = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                            .data.send_status_from_server.status = GRPC_STATUS_OK};

    if (call->is_over)
        return;
    call->is_over = true;
    call->closed.done = stream_ignore;
    stream_start(call->core, &status, 1, &call->closed);
}

static void send_message(struct call *call, grpc_byte_buffer *message, uint32_t flags)
{
    const grpc_op op = {
        .op = GRPC_OP_SEND_MESSAGE, .flags = flags, .data.send_message.send_message = message};

    stream_start(call->core, &op, 1, &call->sent);
    grpc_byte_buffer_destroy(message);
}

/* ---- the source ---- */

static void send_next(struct call *call)
{
    const int64_t now = stream_now_ns();

    if (now >= call->end_ns) {
        paced = NULL;
        finish(call);
        return;
    }
    if (call->step_ns > 0 && call->due_ns > now) {
        paced = call;
        return;
    }
    paced = NULL;
    const int64_t due = call->step_ns > 0 ? call->due_ns : now;
    grpc_slice slice = grpc_slice_malloc(call->request.size);
    memset(GRPC_SLICE_START_PTR(slice), 'x', call->request.size);
    const struct mark mark = {due, (uint64_t)getpid() << MARK_NUMBER_BITS | call->number};
    memcpy(GRPC_SLICE_START_PTR(slice), &mark, sizeof(mark));
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    call->due_ns += call->step_ns;
    call->number++;
    send_message(call, message,
                 call->step_ns == 0 && call->number % HINTED != 0 ? GRPC_WRITE_BUFFER_HINT : 0);
}

static void source_sent(struct op *op, bool ok)
{
    struct call *call = container_of(op, struct call, sent);

    if (ok)
        send_next(call);
}

static void source_begin(struct call *call, grpc_slice request)
{
    CHECK(GRPC_SLICE_LENGTH(request) == sizeof(call->request));
    memcpy(&call->request, GRPC_SLICE_START_PTR(request), sizeof(call->request));
    call->due_ns = stream_now_ns();
    call->end_ns = call->due_ns + call->request.run_ns;
    call->step_ns = call->request.rate > 0 ? INT64_C(1000000000) / (int64_t)call->request.rate : 0;
    call->sent.done = source_sent;
    send_next(call);
}

/* ---- the proxy ---- */

static void proxy_read(struct call *call)
{
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->message};

    stream_start(call->up, &op, 1, &call->up_received);
}

static void proxy_sent(struct op *op, bool ok)
{
    if (ok)
        proxy_read(container_of(op, struct call, sent));
}

static void proxy_received(struct op *op, bool ok)
{
    struct call *call = container_of(op, struct call, up_received);
    grpc_byte_buffer *message = call->message;

    (void)ok;
    call->message = NULL;
    if (message)
        send_message(call, message, 0);
    else
        finish(call);
}

static grpc_channel *via(const struct call *call)
{
    static grpc_channel *channel;

    for (size_t i = 0; !channel && i < call->metadata.count; i++) {
        const grpc_metadata *pair = &call->metadata.metadata[i];

        if (grpc_slice_str_cmp(pair->key, "via") == 0) {
            char address[64];

            snprintf(address, sizeof(address), "%.*s", (int)GRPC_SLICE_LENGTH(pair->value),
                     (const char *)GRPC_SLICE_START_PTR(pair->value));
            channel = stream_dial(address);
        }
    }
    CHECK(channel);
    return channel;
}

static void proxy_begin(struct call *call, grpc_byte_buffer *request)
{
    const grpc_op opening[] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                               {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request},
                               {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}};
    const grpc_op reading[] = {
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &call->up_headers},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->message}};
    const grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                            .data.recv_status_on_client = {.trailing_metadata = &call->up_trailers,
                                                           .status = &call->code,
                                                           .status_details = &call->text}};

    call->up = grpc_channel_create_call(via(call), NULL, GRPC_PROPAGATE_DEFAULTS, stream_queue,
                                        grpc_slice_from_static_string(STREAM_METHOD), NULL,
                                        gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_metadata_array_init(&call->up_headers);
    grpc_metadata_array_init(&call->up_trailers);
    call->sent.done = proxy_sent;
    call->up_received.done = proxy_received;
    call->up_opened.done = call->up_ended.done = stream_ignore;
    stream_start(call->up, opening, ARRAY_LEN(opening), &call->up_opened);
    stream_start(call->up, reading, ARRAY_LEN(reading), &call->up_received);
    stream_start(call->up, &status, 1, &call->up_ended);
}

/* ---- both servers ---- */

static void got_request(struct op *op, bool ok)
{
    struct call *call = container_of(op, struct call, got_request);

    if (!ok || !call->received)
        return;
    if (proxies)
        proxy_begin(call, call->received);
    else
        source_begin(call, call->received->data.raw.slice_buffer.slices[0]);
}

static void wait_for_call(void);

static void on_call(struct op *op, bool ok)
{
    struct call *call = container_of(op, struct call, opened);
    const grpc_op ending = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                            .data.recv_close_on_server.cancelled = &call->cancelled};
    const grpc_op opening[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->received}};

    if (!ok)
        return;
    wait_for_call();
    call->ended.done = stream_ignore;
    call->got_request.done = got_request;
    stream_start(call->core, &ending, 1, &call->ended);
    stream_start(call->core, opening, ARRAY_LEN(opening), &call->got_request);
}

/* A run has few calls: none is freed. */
static void wait_for_call(void)
{
    struct call *call = calloc(1, sizeof(*call));

    CHECK(call);
    call->opened.done = on_call;
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    CHECK(grpc_server_request_call(server, &call->core, &call->details, &call->metadata, stream_queue,
                                   stream_queue, &call->opened) == GRPC_CALL_OK);
}

int stream_serve(bool is_proxy, const char *listen, const char *ready)
{
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    char bound[64];

    proxies = is_proxy;
    server = grpc_server_create(stream_args(), NULL);
    grpc_server_register_completion_queue(server, stream_queue, NULL);
    const int port = grpc_server_add_http2_port(server, listen, plain);
    if (port == 0) {
        fprintf(stderr, "stream: cannot listen at %s\n", listen);
        return 1;
    }
    grpc_server_start(server);
    wait_for_call();
    snprintf(bound, sizeof(bound), "127.0.0.1:%d\n", port);
    if (!write_ready(ready, bound)) {
        perror("stream: the ready file");
        return 1;
    }
    for (;;) {
        const int64_t wait_ns =
            paced ? MAX_OF(paced->due_ns - stream_now_ns(), INT64_C(0)) : INT64_C(1000000000);
        const gpr_timespec until =
            gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(wait_ns, GPR_TIMESPAN));
        const grpc_event event = grpc_completion_queue_next(stream_queue, until, NULL);

        if (event.type == GRPC_OP_COMPLETE)
            ((struct op *)event.tag)->done(event.tag, event.success != 0);
        else if (paced)
            send_next(paced);
    }
}
