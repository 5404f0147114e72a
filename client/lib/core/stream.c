/* stream.c - one gRPC call.
 *
 * DESIGN. Four operations may be in flight: the opening (the metadata, and the message of a call
 * that sends only one), one send, one read, and the status. Each is one batch with its own tag;
 * `in_flight` counts them. gRPC core completes the status last, but a completed read may still wait
 * in our completion queue then. So the call is closed when the count is zero. */
#include "client/lib/core/stream.h"

#include <string.h>

#include <grpc/byte_buffer.h>

#include "base/fsm.h"
#include "client/lib/core/status.h"

#define MAX_KEPT_BYTES (2u << 20) /* kept between messages for gathering */

static const struct fsm machine = {
    .name = "client.stream",
    .states = {[STREAM_CLOSED] = {"CLOSED", BIT(STREAM_OPEN)},
               [STREAM_OPEN] = {"OPEN", BIT(STREAM_ENDING)},
               [STREAM_ENDING] = {"ENDING", BIT(STREAM_CLOSED)}},
};

static void close_call(struct stream *stream)
{
    struct tributary_status status;

    status_from_call(&status, stream->code, stream->details, &stream->trailers);
    grpc_slice_unref(stream->details);
    grpc_metadata_array_destroy(&stream->headers);
    grpc_metadata_array_destroy(&stream->trailers);
    grpc_call_unref(stream->call);
    stream->call = NULL;
    connections_release(&stream->client->connections, stream->connection);
    fsm_move(&machine, stream, STREAM_CLOSED);
    stream->port->ended(stream, &status);
}

static void complete_op(struct stream *stream)
{
    stream->in_flight--;
    if (stream->in_flight == 0 && stream->state == STREAM_ENDING)
        close_call(stream);
}

static void start(struct stream *stream, const grpc_op *ops, size_t count, struct op *op)
{
    stream->in_flight++;
    CHECK(grpc_call_start_batch(stream->call, ops, count, op, NULL) == GRPC_CALL_OK);
}

static void read_next(struct stream *stream)
{
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &stream->incoming};

    start(stream, &op, 1, &stream->reading);
}

static void on_opened(struct op *op, bool ok)
{
    (void)ok; /* the status reports a failure */
    complete_op(container_of(op, struct stream, opened));
}

static void on_half_closed_or_sent(struct op *op, bool ok)
{
    struct stream *stream = container_of(op, struct stream, sending);
    const bool was_sending = stream->is_sending;

    stream->is_sending = false;
    if (was_sending && stream->port->sent)
        stream->port->sent(stream, ok);
    complete_op(stream);
}

/* A message in one piece is used where it lies. The pieces of another one are copied into
 * `gathered`, whose memory is kept, because such messages often follow each other. */
static bool gather(const grpc_slice_buffer *slices, struct buf *gathered, struct bytes *message_out)
{
    if (slices->count <= 1) {
        if (slices->count == 1)
            *message_out =
                (struct bytes){GRPC_SLICE_START_PTR(slices->slices[0]), GRPC_SLICE_LENGTH(slices->slices[0])};
        return true;
    }
    for (size_t i = 0; i < slices->count; i++)
        buf_bytes(gathered, GRPC_SLICE_START_PTR(slices->slices[i]), GRPC_SLICE_LENGTH(slices->slices[i]));
    *message_out = (struct bytes){gathered->data, gathered->size};
    return !gathered->broken;
}

static void deliver(struct stream *stream, const grpc_byte_buffer *buffer)
{
    struct buf *gathered = &stream->client->gathered;
    struct bytes message = {NULL, 0};

    if (!gather(&buffer->data.raw.slice_buffer, gathered, &message))
        stream_cancel(stream, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    else if (stream->port->received)
        stream->port->received(stream, message);
    if (gathered->capacity > MAX_KEPT_BYTES)
        buf_fini(gathered);
    else
        buf_clear(gathered);
}

static void on_read(struct op *op, bool ok)
{
    struct stream *stream = container_of(op, struct stream, reading);
    grpc_byte_buffer *buffer = stream->incoming;

    stream->incoming = NULL;
    if (ok && buffer) {
        deliver(stream, buffer);
        read_next(stream);
    }
    grpc_byte_buffer_destroy(buffer);
    complete_op(stream);
}

static void on_finished(struct op *op, bool ok)
{
    struct stream *stream = container_of(op, struct stream, finishing);

    (void)ok; /* a status always completes with success */
    fsm_move(&machine, stream, STREAM_ENDING);
    complete_op(stream);
}

void stream_init(struct stream *stream, struct tributary *client, const struct stream_port *port)
{
    memset(stream, 0, sizeof(*stream));
    stream->client = client;
    stream->port = port;
    stream->opened.done = on_opened;
    stream->sending.done = on_half_closed_or_sent;
    stream->reading.done = on_read;
    stream->finishing.done = on_finished;
}

static void start_opening(struct stream *stream, const struct stream_opening *opening)
{
    grpc_byte_buffer *message = NULL;
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
    size_t count = 1;

    ops[0].data.send_initial_metadata.count = stream->client->metadata_count;
    ops[0].data.send_initial_metadata.metadata = stream->client->metadata;
    if (opening->wait_for_connection)
        ops[0].flags =
            GRPC_INITIAL_METADATA_WAIT_FOR_READY | GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    if (opening->first) {
        grpc_slice first = *opening->first;

        message = grpc_raw_byte_buffer_create(&first, 1);
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = message;
        ops[count++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    }
    start(stream, ops, count, &stream->opened);
    grpc_byte_buffer_destroy(message);
}

void stream_open(struct stream *stream, const struct stream_opening *opening)
{
    const gpr_timespec deadline = opening->deadline_ns == INT64_MAX
                                      ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                                      : gpr_time_from_nanos(opening->deadline_ns, GPR_CLOCK_MONOTONIC);
    const grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                            .data.recv_status_on_client = {.trailing_metadata = &stream->trailers,
                                                           .status = &stream->code,
                                                           .status_details = &stream->details}};
    const grpc_op reading[2] = {
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &stream->headers},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &stream->incoming}};

    fsm_move(&machine, stream, STREAM_OPEN);
    stream->connection = connections_acquire(&stream->client->connections);
    stream->call = grpc_channel_create_call(
        stream->connection->channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq_thread_queue(stream->client->thread),
        grpc_slice_from_static_string(opening->method), NULL, deadline, NULL);
    CHECK(stream->call);
    stream->details = grpc_empty_slice();
    grpc_metadata_array_init(&stream->headers);
    grpc_metadata_array_init(&stream->trailers);
    start_opening(stream, opening);
    start(stream, reading, ARRAY_LEN(reading), &stream->reading);
    start(stream, &status, 1, &stream->finishing);
}

void stream_send(struct stream *stream, grpc_slice message)
{
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&message, 1);
    const grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer};

    CHECK(stream->state == STREAM_OPEN && !stream->is_sending);
    stream->is_sending = true;
    start(stream, &op, 1, &stream->sending);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(message);
}

void stream_half_close(struct stream *stream)
{
    const grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};

    CHECK(stream->state == STREAM_OPEN && !stream->is_sending);
    start(stream, &op, 1, &stream->sending);
}

void stream_cancel(struct stream *stream, enum tributary_code code, const char *message)
{
    if (stream->state == STREAM_OPEN)
        grpc_call_cancel_with_status(stream->call, (grpc_status_code)code, message, NULL);
}
