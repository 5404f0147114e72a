/* frames.h - builders of HTTP/2 frames for tests. Each appends to a buffer. What a frame carries is
 * zeros where a test does not care. */
#ifndef TRIBUTARY_TESTS_LIB_FRAMES_H
#define TRIBUTARY_TESTS_LIB_FRAMES_H

#include "base/buf.h"
#include "h2guard/frame_reader.h"

#define ACK FRAME_ACK
#define END_STREAM FRAME_END_STREAM
#define END_HEADERS FRAME_END_HEADERS

void put_preface(struct buf *buf);

/* A frame header alone: 9 bytes. */
void put_frame_head(struct buf *buf, unsigned type, unsigned flags, uint32_t stream, uint32_t length);

/* A frame with these bytes, and one with so many zeros. */
void put_frame(struct buf *buf, unsigned type, unsigned flags, uint32_t stream, struct bytes payload);
void put_zeros(struct buf *buf, unsigned type, unsigned flags, uint32_t stream, uint32_t length);

/* Preface and SETTINGS, as a client begins; with `settings` parameters. */
void put_client_start(struct buf *buf, uint32_t settings);

/* A WINDOW_UPDATE; stream 0: of the connection. */
void put_update(struct buf *buf, uint32_t stream, uint32_t bytes);

/* HEADERS with END_HEADERS and a block of 20 bytes. */
void put_headers(struct buf *buf, uint32_t stream, unsigned flags);

/* A gRPC message of `size` bytes in one DATA frame. */
void put_message_frame(struct buf *buf, uint32_t stream, unsigned flags, uint32_t size);

/* The prefix of a message, without a frame. */
void put_prefix(struct buf *buf, uint8_t flag, uint32_t length);

#endif
