/* h2_parts.h - what h2.c, which writes, and h2_read.c, which reads, share. */
#ifndef TRIBUTARY_TESTS_H2_PARTS_H
#define TRIBUTARY_TESTS_H2_PARTS_H

#include <nghttp2/nghttp2.h>

#include "lib/h2/h2.h"

enum frame_kind {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS,
    FRAME_PING = 6,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION
};
enum frame_flag {
    FLAG_END_STREAM = 1,
    FLAG_ACK = 1,
    FLAG_END_HEADERS = 4,
    FLAG_PADDED = 8,
    FLAG_PRIORITY = 32
};
enum setting { SETTING_MAX_STREAMS = 3, SETTING_INITIAL_WINDOW_SIZE = 4, SETTING_MAX_FRAME_SIZE = 5 };
enum {
    HEAD_BYTES = 9,
    PREFACE_BYTES = 24,
    MAX_PATH = 256,
    ERROR_REFUSED_STREAM = 7,
    ERROR_CANCEL = 8,
    FIRST_WINDOW = 65535,
    FIRST_FRAME_SIZE = 16384,
    CONTROL_RESERVE = 1024,
    FIRST_OUTPUT = 1024
};
/* The largest frame other than DATA. Such a frame is gathered whole; gRPC servers send small
 * ones. */
enum { MAX_CONTROL = 16 << 10 };

struct stream {
    uint32_t number; /* 0: free */
    int64_t send_window;
    uint32_t unreturned; /* received bytes that were not yet returned to the peer's window */
    struct h2_end end;
};

struct frame {
    uint8_t kind, flags;
    uint32_t stream;
    const uint8_t *data;
    uint32_t size;
};

struct h2 {
    int fd;
    struct h2_port port;
    bool server;
    bool prefaced; /* server: the client's preface has come */
    bool lost;
    uint32_t next_stream; /* server: the lowest one that the client may open next */
    int64_t send_window, first_send_window;
    uint32_t frame_size;
    uint32_t unreturned;
    struct stream streams[MAX_H2_STREAMS];
    nghttp2_hd_inflater *inflater;
    uint8_t *out;
    size_t out_first, out_size, out_capacity;
    bool more;         /* the last read filled its buffer */
    bool in_data;      /* a DATA frame has begun */
    struct frame data; /* that frame; `size` is what is still to come of it */
    uint8_t *kept;     /* the beginning of a frame whose rest is still to come */
    size_t kept_size;
};

/* Writes the head of one frame and returns where its payload goes. Control frames may use the
 * reserve that h2_writable() leaves. */
uint8_t *h2_frame_begin(struct h2 *h2, enum frame_kind kind, unsigned flags, uint32_t stream, size_t size);
void h2_window_update(struct h2 *h2, uint32_t stream, uint32_t size);
struct stream *h2_stream_find(struct h2 *h2,
                              uint32_t number); /* NULL: there is no such stream, or it has ended */
struct stream *h2_stream_add(struct h2 *h2, uint32_t number); /* NULL: MAX_H2_STREAMS are open */
void h2_reset_with(struct h2 *h2, uint32_t stream, uint32_t error);
extern const char h2_preface[PREFACE_BYTES + 1];
bool h2_lose(struct h2 *h2); /* marks the connection as lost and ends every stream; returns false */

#endif
