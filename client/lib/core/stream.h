/* stream.h - one gRPC call, from its start to its status. Publishers, sessions, subscribers and
 * unary calls are built on it.
 *
 * Threads: client thread only. A stream is embedded in its owner, which may open it again after
 * ended(). */
#ifndef TRIBUTARY_CLIENT_STREAM_H
#define TRIBUTARY_CLIENT_STREAM_H

#include <stdbool.h>

#include "client/lib/core/client.h"
#include "grpc/op.h"

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

/*   CLOSED --open--> OPEN --status--> ENDING --all operations completed--> CLOSED        */
enum stream_state { STREAM_CLOSED, STREAM_OPEN, STREAM_ENDING };

struct stream {
    struct tributary *client;
    const struct stream_port *port;
    enum stream_state state;
    struct connection *connection;
    grpc_call *call;
    unsigned in_flight; /* operations that have not completed */
    struct op opened, sending, reading, finishing;
    bool is_sending;
    grpc_metadata_array headers, trailers;
    grpc_byte_buffer *incoming;
    grpc_status_code code;
    grpc_slice details;
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

/* The stream must be closed. ended() follows in every case. */
void stream_open(struct stream *stream, const struct stream_opening *opening);

/* Takes over `message`. sent() follows. The stream must be open, and no message may be on its
 * way. */
void stream_send(struct stream *stream, grpc_slice message);

/* Closes this side: no message may follow. The stream must be open, and no message may be on its
 * way. */
void stream_half_close(struct stream *stream);

/* Ends the stream with this status, unless it ends by itself first; ended() follows. Does nothing
 * unless the stream is open. */
void stream_cancel(struct stream *stream, enum tributary_code code, const char *message);

#endif
