/* h2.h - one HTTP/2 connection of a client, framed by hand: cheaper than the server it loads, and
 * free to do what no gRPC library would.
 *
 * The socket does not block. Output gathers in one buffer, which grows as needed, until h2_flush().
 * Input is handed on where it lies in a buffer that all connections of the process share; DATA
 * comes piece by piece, without waiting for the end of its frame. PING and SETTINGS are answered;
 * received bytes are given back to the windows in large steps. Headers are written as HPACK
 * literals and read with nghttp2's inflater. An idle connection holds some 8 KiB.
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

/* How a stream ended: gRPC's status and message from its trailers. */
struct h2_end {
    int status;        /* -1: it was reset, or the connection was lost */
    char message[256]; /* as in grpc-message, percent signs and all */
};

struct h2_port {
    /* A piece of an answer's body; `data` is valid during the call. */
    void (*data)(void *ctx, uint32_t stream, struct bytes data);
    void (*ended)(void *ctx, uint32_t stream, const struct h2_end *end);
    void *ctx;
};

/* A socket connected to "HOST:PORT" (numbers) or "unix:PATH" that does not block; -1, with
 * errno. */
int h2_dial(const char *address);

/* Connects likewise, and notes preface, settings and windows for the first flush. NULL, with errno,
 * when it cannot. */
struct h2 *h2_connect(const char *address, const struct h2_port *port);
void h2_free(struct h2 *h2); /* closes; NULL allowed */
int h2_fd(const struct h2 *h2);

/* Opens a gRPC call: its headers go with the next flush. 0: as many streams as there may be. */
uint32_t h2_open(struct h2 *h2, const char *path);

/* How many bytes of DATA the windows, the frame size and the output buffer allow now. */
size_t h2_room(const struct h2 *h2, uint32_t stream);
/* One DATA frame of `size` <= h2_room() bytes: returns where they are to be written, before
 * anything else is called. */
uint8_t *h2_data(struct h2 *h2, uint32_t stream, size_t size, bool end);
void h2_reset(struct h2 *h2, uint32_t stream);

/* Each is false when the connection is lost; every open stream has then ended with -1. */
MUST_CHECK bool h2_flush(struct h2 *h2); /* writes what it can */
MUST_CHECK bool h2_read(struct h2 *h2);  /* reads once, calls the port for what came */
bool h2_more(const struct h2 *h2);       /* the last read filled its buffer: there may be more */
bool h2_pending(const struct h2 *h2);    /* output waits for the socket */

#endif
