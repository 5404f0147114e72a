/* stream.h - one call of the core, from opening to its status: the machine below the publisher, the
 * subscriber and every question.
 *
 * Threads: the client thread only. A stream is embedded in its owner and may be opened again after
 * ended(). */
#ifndef TRIBUTARY_CLIENT_STREAM_H
#define TRIBUTARY_CLIENT_STREAM_H

#include <stdbool.h>

#include "client/lib/core/client.h"

struct stream;

/* Called on the client thread. sent() and received() may be NULL where nothing is sent or received
 * after the opening. */
struct stream_port {
    /* The message given to stream_send() left, or was lost with the stream. Another one may be
     * sent. */
    void (*sent)(struct stream *stream, bool ok);
    /* A message arrived; it is valid during the call. The next one is read when this returns. */
    void (*received)(struct stream *stream, struct bytes message);
    /* The last word: every operation has landed. The stream is closed, and may be opened again or
     * forgotten. */
    void (*ended)(struct stream *stream, const struct tributary_status *status);
};

/*   CLOSED --open--> OPEN --status--> ENDING --everything landed--> CLOSED        */
enum stream_state { STREAM_CLOSED, STREAM_OPEN, STREAM_ENDING, STREAM_STATE_COUNT };

struct stream {
    struct tributary *client;
    const struct stream_port *port;
    enum stream_state state;
    struct connection *connection;
    grpc_call *call;
    unsigned in_flight; /* operations that have not landed */
    struct op opened, sending, reading, finishing;
    bool is_sending;
    grpc_metadata_array headers, trailers;
    grpc_byte_buffer *incoming;
    grpc_status_code code;
    grpc_slice details;
};

struct stream_opening {
    const char *method; /* "/package.Service/Method"; static */
    /* the only message, after which this side is closed; NULL: messages follow by stream_send() */
    const grpc_slice *first;
    int64_t deadline_ns;      /* clock_mono_ns(); INT64_MAX: none */
    bool wait_for_connection; /* false: fails when the first attempt to connect does */
};

void stream_init(struct stream *stream, struct tributary *client, const struct stream_port *port);

/* The stream must be closed. ended() follows, always. */
void stream_open(struct stream *stream, const struct stream_opening *opening);

/* Takes over `message`. One may be on its way at a time; sent() follows. The stream must be
 * open. */
void stream_send(struct stream *stream, grpc_slice message);

/* No more messages from this side. Not while one is on its way. */
void stream_half_close(struct stream *stream);

/* ended() follows with this status, unless the stream ends by itself first. Harmless on a closed
 * one. */
void stream_cancel(struct stream *stream, enum tributary_code code, const char *message);

#endif
