/* h2.h - one HTTP/2 connection, of a client or of a server. Its frames are written by hand: that
 * costs less than the program that it loads, and it can do what no gRPC library would do.
 *
 * The socket does not block. Output waits in one buffer, which grows as needed, until h2_flush().
 * All connections of the process share one input buffer, and input is handed on where it lies in
 * that buffer. DATA is handed on piece by piece, without waiting for the end of its frame. PING and
 * SETTINGS are answered; received bytes are returned to the windows in large steps. Headers are
 * written as HPACK literals and read with nghttp2's inflater. An idle connection holds some 8 KiB.
 *
 * Threads: one for each process. */
#ifndef TRIBUTARY_TESTS_H2_H
#define TRIBUTARY_TESTS_H2_H

#include <stdbool.h>

#include "base/base.h"

enum {
    MAX_H2_STREAMS = 4,
    H2_OUTPUT_BYTES = 512 << 10,
    H2_INPUT_BYTES = 256 << 10,
    H2_FRAME_BYTES = 1 << 20,
    H2_WINDOW_BYTES = 16 << 20
};

struct h2;

/* How a stream ended: the status and message of gRPC, from its trailers. Of a server's stream the
 * status is always -1: a client has no trailers. */
struct h2_end {
    int status;        /* -1: the stream was reset, or the connection was lost */
    char message[256]; /* as in grpc-message, still percent-encoded */
};

struct h2_port {
    /* A piece of the peer's body. `data` is valid during the call. */
    void (*data)(void *ctx, uint32_t stream, struct bytes data);
    /* Server: the client has opened a call. `path` is valid during the call. */
    void (*opened)(void *ctx, uint32_t stream, const char *path);
    /* The stream is gone; a server hears it where the client resets its call or is lost. */
    void (*ended)(void *ctx, uint32_t stream, const struct h2_end *end);
    void *ctx;
};

/* Opens a socket that does not block, connected to "HOST:PORT" (numbers) or "unix:PATH". Returns
 * -1, with errno, on failure. */
int h2_dial(const char *address);

/* Connects as h2_dial() does. The preface, settings and windows go out with the first flush. NULL,
 * with errno, on failure. */
struct h2 *h2_connect(const char *address, const struct h2_port *port);
/* The server's side of a connected socket that does not block. A client may open MAX_H2_STREAMS
 * calls. The settings go out with the first flush. NULL, with errno: the socket stays the
 * caller's. */
struct h2 *h2_serve(int fd, const struct h2_port *port);
void h2_free(struct h2 *h2); /* closes the socket; NULL allowed */
int h2_fd(const struct h2 *h2);

/* Opens a gRPC call and returns its stream. Its headers go out with the next flush. 0:
 * MAX_H2_STREAMS streams are open, or the connection is lost. */
uint32_t h2_open(struct h2 *h2, const char *path);
/* Server: writes the headers that come before the first DATA of an answer, and the trailers that
 * end it, with a status of gRPC. After them the stream is gone. */
void h2_answer(struct h2 *h2, uint32_t stream);
void h2_finish(struct h2 *h2, uint32_t stream, int status);

/* How many bytes of DATA the windows, the frame size and the output buffer allow now. */
size_t h2_writable(const struct h2 *h2, uint32_t stream);
/* Begins one DATA frame of `size` <= h2_writable() bytes. Returns where to write them, before any
 * other function is called. */
uint8_t *h2_data(struct h2 *h2, uint32_t stream, size_t size, bool end);
void h2_reset(struct h2 *h2, uint32_t stream);

/* Each returns false when the connection is lost. Every open stream has then ended with status
 * -1. */
MUST_CHECK bool h2_flush(struct h2 *h2); /* writes what the socket takes */
MUST_CHECK bool h2_read(struct h2 *h2);  /* reads once and calls the port */
bool h2_more(const struct h2 *h2);       /* the last read filled its buffer, so there may be more */
bool h2_pending(const struct h2 *h2);    /* output waits for the socket */

#endif
