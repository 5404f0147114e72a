/* h2.h - one HTTP/2 connection of a client, without a gRPC library. It costs less than the server
 * that it loads, and can do what no gRPC library would do.
 *
 * The socket does not block. Output is gathered in one buffer, which grows as needed, until
 * h2_flush(). All connections of the process read into one shared buffer, and the port gets its
 * data where it lies there. DATA is passed on piece by piece, before the end of its frame. PING and
 * SETTINGS are answered. Received bytes are returned to the windows in large steps. Headers are
 * written as HPACK literals and read with nghttp2's inflater. An idle connection takes some 8 KiB.
 *
 * Threads: one in each process. */
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

/* How a stream ended: the gRPC status and message of its trailers. */
struct h2_end {
    int status;        /* -1: the stream was reset, or the connection was lost */
    char message[256]; /* as in grpc-message, with its percent-encoding */
};

struct h2_port {
    /* A piece of a stream's DATA. `data` is valid during the call. */
    void (*data)(void *ctx, uint32_t stream, struct bytes data);
    /* The stream has ended: once for each stream that was opened and not reset. */
    void (*ended)(void *ctx, uint32_t stream, const struct h2_end *end);
    void *ctx;
};

/* Connects a socket to "HOST:PORT" (numbers) or "unix:PATH", and makes it non-blocking. The caller
 * owns it. -1: it failed, and errno is set. */
int h2_dial(const char *address);

/* Connects in the same way, and puts preface, settings and windows into the output. NULL: it
 * failed, and errno is set. */
struct h2 *h2_connect(const char *address, const struct h2_port *port);
void h2_free(struct h2 *h2); /* closes the socket; NULL is allowed */
int h2_fd(const struct h2 *h2);

/* Opens a gRPC call: its headers go with the next flush. Returns the stream's number. 0:
 * MAX_H2_STREAMS are open, or the connection is lost. */
uint32_t h2_open(struct h2 *h2, const char *path);

/* How many bytes of DATA the windows, the frame size and the output buffer allow now. */
size_t h2_sendable(const struct h2 *h2, uint32_t stream);

/* Adds a DATA frame of `size` bytes, at most h2_sendable(). `end` ends the stream's sending side.
 * Returns where the caller writes the bytes, before it calls anything else. */
uint8_t *h2_data(struct h2 *h2, uint32_t stream, size_t size, bool end);

/* Resets a stream. The port is not called for it any more. */
void h2_reset(struct h2 *h2, uint32_t stream);

/* Both return false if the connection is lost. Every open stream has then ended with -1. */
MUST_CHECK bool h2_flush(struct h2 *h2); /* writes what the socket takes */
MUST_CHECK bool h2_read(struct h2 *h2);  /* reads once, and calls the port */
bool h2_more(const struct h2 *h2);       /* the last read filled the buffer: there may be more */
bool h2_pending(const struct h2 *h2);    /* output is waiting for the socket */

#endif
