/* stream.c - the call machine.
 *
 * DESIGN. Four operations may be in flight: the opening (our metadata, and the only message of a
 * call with one), one send, one read, and the status. Each is one batch with its own tag;
 * `in_flight` counts them. The status lands last in the core's order, but a read may still be in
 * our queue then, so the call is let go when the count is zero. */
#include "client/lib/core/stream.h"

#include <string.h>

#include <grpc/byte_buffer.h>

#include "client/lib/core/status.h"

#define WHOLE_KEPT (2u << 20) /* bytes kept for putting messages together */

static void let_go(struct stream *stream)
{
    struct tributary_status status;

    status_from_call(&status, stream->code, stream->details, &stream->trailers);
    grpc_slice_unref(stream->details);
    grpc_metadata_array_destroy(&stream->headers);
    grpc_metadata_array_destroy(&stream->trailers);
    grpc_call_unref(stream->call);
    stream->call = NULL;
    connections_give(&stream->client->connections, stream->connection);
    stream->state = STREAM_CLOSED;
    stream->port->ended(stream, &status);
}

static void landed(struct stream *stream)
{
    stream->in_flight--;
    if (stream->in_flight == 0 && stream->state == STREAM_ENDING)
        let_go(stream);
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
    (void)ok; /* the status says it better */
    landed(container_of(op, struct stream, opened));
}

static void on_half_closed_or_sent(struct op *op, bool ok)
{
    struct stream *stream = container_of(op, struct stream, sending);
    const bool was_sending = stream->is_sending;

    stream->is_sending = false;
    if (was_sending && stream->port->sent != NULL)
        stream->port->sent(stream, ok);
    landed(stream);
}

/* A message in one piece is read where it lies; in several it is put together in memory that is
 * kept, as one follows the other. */
static bool gather(const grpc_slice_buffer *slices, struct buf *whole, struct bytes *message_out)
{
    if (slices->count <= 1) {
        if (slices->count == 1)
            *message_out =
                (struct bytes){GRPC_SLICE_START_PTR(slices->slices[0]), GRPC_SLICE_LENGTH(slices->slices[0])};
        return true;
    }
    for (size_t i = 0; i < slices->count; i++)
        buf_bytes(whole, GRPC_SLICE_START_PTR(slices->slices[i]), GRPC_SLICE_LENGTH(slices->slices[i]));
    *message_out = (struct bytes){whole->data, whole->size};
    return !whole->broken;
}

static void deliver(struct stream *stream, const grpc_byte_buffer *buffer)
{
    struct buf *whole = &stream->client->whole;
    struct bytes message = {NULL, 0};

    if (!gather(&buffer->data.raw.slice_buffer, whole, &message))
        stream_cancel(stream, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    else if (stream->port->received != NULL)
        stream->port->received(stream, message);
    if (whole->capacity > WHOLE_KEPT)
        buf_fini(whole);
    else
        buf_clear(whole);
}

static void on_read(struct op *op, bool ok)
{
    struct stream *stream = container_of(op, struct stream, reading);
    grpc_byte_buffer *buffer = stream->incoming;

    stream->incoming = NULL;
    if (ok && buffer != NULL) {
        deliver(stream, buffer);
        read_next(stream);
    }
    grpc_byte_buffer_destroy(buffer);
    landed(stream);
}

static void on_finished(struct op *op, bool ok)
{
    struct stream *stream = container_of(op, struct stream, finishing);

    (void)ok; /* a status always lands ok */
    stream->state = STREAM_ENDING;
    landed(stream);
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
    if (opening->first != NULL) {
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

    CHECK(stream->state == STREAM_CLOSED);
    stream->connection = connections_take(&stream->client->connections);
    stream->call = grpc_channel_create_call(
        stream->connection->channel, NULL, GRPC_PROPAGATE_DEFAULTS, stream->client->queue,
        grpc_slice_from_static_string(opening->method), NULL, deadline, NULL);
    CHECK(stream->call != NULL);
    stream->state = STREAM_OPEN;
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
