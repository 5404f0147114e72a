/* stream.h - one call (grpc/client_call.h) on a connection of the client. Publishers, sessions,
 * subscribers and unary calls are built on it. It reads without a pause, unless it is held.
 *
 * A status INTERNAL or UNKNOWN without a reason is not one of our server: something on the way,
 * such as a proxy, made it of a connection that was lost. ended() gets UNAVAILABLE then.
 *
 * Threads: client thread only. A stream is embedded in its owner, which may open it again after
 * ended(). */
#ifndef TRIBUTARY_CLIENT_STREAM_H
#define TRIBUTARY_CLIENT_STREAM_H

#include <stdbool.h>

#include "client/lib/core/client.h"
#include "grpc/client_call.h"

struct stream;

/* Called on the client thread. sent() may be NULL if only `first` is sent, received() if no message
 * is wanted. */
struct stream_port {
    /* The message of stream_send() left (`ok`), or was lost with the stream. Another one may be
     * sent. */
    void (*sent)(struct stream *stream, bool ok);
    /* A message arrived. It is valid during the call. The next message is read after this
     * returns. */
    void (*received)(struct stream *stream, struct bytes message);
    /* The stream is closed, and no operation is in flight. Its owner may open it again or free
     * it. */
    void (*ended)(struct stream *stream, const struct tributary_status *status);
};

struct stream {
    struct client_call call;
    struct tributary *client;
    const struct stream_port *port;
    struct connection *connection;
    bool cancelled; /* by stream_cancel() */
    bool is_held;   /* by stream_hold() */
};

struct stream_opening {
    const char *method; /* "/package.Service/Method"; static */
    /* The only message of this side, which closes with it. NULL: messages follow by
     * stream_send(). */
    const grpc_slice *first;
    int64_t deadline_ns;      /* clock_mono_ns(); INT64_MAX: none */
    bool wait_for_connection; /* false: the call fails if the first attempt to connect fails */
};

void stream_init(struct stream *stream, struct tributary *client, const struct stream_port *port);

/* No call, until stream_open() and after ended(). */
static inline bool stream_is_closed(const struct stream *stream)
{
    return stream->call.state == CLIENT_CALL_CLOSED;
}

/* Open, and no message is on its way: stream_send() and stream_half_close() are allowed. */
static inline bool stream_may_send(const struct stream *stream)
{
    return stream->call.state == CLIENT_CALL_OPEN && !stream->call.base.sending;
}

/* The stream must be closed. ended() follows in every case. */
void stream_open(struct stream *stream, const struct stream_opening *opening);

/* Takes over `message`. sent() follows. Only where stream_may_send(). */
void stream_send(struct stream *stream, grpc_slice message);

/* Closes this side: no message may follow. Only where stream_may_send(). */
void stream_half_close(struct stream *stream);

/* Only within received(): the next message is not read before stream_resume(), which does nothing
 * where the stream is not held. A stream that is held still ends when it is cancelled or lost; the
 * status of the server follows its messages, so it waits for them. A new call is not held. */
void stream_hold(struct stream *stream);
void stream_resume(struct stream *stream);

/* Ends the stream with this status, unless it ends by itself first; ended() follows. Does nothing
 * unless the stream is open. */
void stream_cancel(struct stream *stream, enum tributary_code code, const char *message);

#endif
