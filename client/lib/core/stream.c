/* stream.c - one call on a connection: takes a place on the connection, reads message after
 * message, and translates the status. */
#include "client/lib/core/stream.h"

#include "client/lib/core/status.h"
#include "grpc/slices.h"

#define MAX_KEPT_BYTES (2u << 20) /* kept between messages for gathering */

static struct stream *stream_of(struct client_call *call)
{
    return container_of(call, struct stream, call);
}

static void on_sent(struct client_call *call, bool ok)
{
    struct stream *stream = stream_of(call);

    if (stream->port->sent)
        stream->port->sent(stream, ok);
}

/* Messages in several pieces often follow each other, so the memory of `gathered` is kept. */
static void on_received(struct client_call *call, grpc_byte_buffer **received)
{
    struct stream *stream = stream_of(call);
    struct buf *gathered = &stream->client->gathered;
    struct bytes message = {NULL, 0};

    if (!message_gather(*received, gathered, &message))
        stream_cancel(stream, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    else if (stream->port->received)
        stream->port->received(stream, message);
    buf_rest(gathered, MAX_KEPT_BYTES);
    if (!stream->is_held)
        client_call_read(call);
}

void stream_hold(struct stream *stream)
{
    stream->is_held = true;
}

void stream_resume(struct stream *stream)
{
    if (!stream->is_held)
        return;
    stream->is_held = false;
    client_call_read(&stream->call);
}

static bool is_from_a_proxy(const struct stream *stream, const struct tributary_status *status)
{
    return !stream->cancelled && status->reason[0] == '\0' &&
           (status->code == TRIBUTARY_INTERNAL || status->code == TRIBUTARY_UNKNOWN);
}

static void on_ended(struct client_call *call, const struct client_call_end *end)
{
    struct stream *stream = stream_of(call);
    struct tributary_status status, lost;

    status_from_call(&status, end);
    connections_release(&stream->client->connections, stream->connection);
    if (is_from_a_proxy(stream, &status)) {
        status_format(&lost, TRIBUTARY_UNAVAILABLE, "the connection was lost: %s: %s",
                      tributary_code_name(status.code), status.message);
        status = lost;
    }
    stream->port->ended(stream, &status);
}

void stream_init(struct stream *stream, struct tributary *client, const struct stream_port *port)
{
    static const struct client_call_port call_port = {
        .sent = on_sent, .received = on_received, .ended = on_ended};

    *stream = (struct stream){.client = client, .port = port};
    client_call_init(&stream->call, client->thread, &call_port);
}

void stream_open(struct stream *stream, const struct stream_opening *opening)
{
    struct tributary *client = stream->client;

    stream->cancelled = false;
    stream->is_held = false;
    stream->connection = connections_acquire(&client->connections);
    client_call_open(&stream->call,
                     &(struct client_call_opening){.channel = stream->connection->channel,
                                                   .method = opening->method,
                                                   .metadata = client->metadata,
                                                   .metadata_count = client->metadata_count,
                                                   .first = opening->first,
                                                   .deadline_ns = opening->deadline_ns,
                                                   .wait_for_connection = opening->wait_for_connection});
}

void stream_send(struct stream *stream, grpc_slice message)
{
    client_call_send(&stream->call, message);
    grpc_slice_unref(message);
}

void stream_half_close(struct stream *stream)
{
    client_call_half_close(&stream->call);
}

void stream_cancel(struct stream *stream, enum tributary_code code, const char *message)
{
    stream->cancelled = true;
    client_call_cancel(&stream->call, (grpc_status_code)code, message);
}
