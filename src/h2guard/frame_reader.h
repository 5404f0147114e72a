/* frame_reader.h - finds the frames in a stream of bytes that comes in any pieces. It reads the
 * client preface and frame headers (RFC 9113, sections 3.4 and 4.1), and knows no frame's meaning.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_FRAME_READER_H
#define TRIBUTARY_H2GUARD_FRAME_READER_H

#include <stdbool.h>

#include "base/base.h"

#define FRAME_HEAD_BYTES 9u
#define PREFACE_BYTES 24u

enum frame_type {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_PRIORITY = 2,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PUSH_PROMISE = 5,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW_UPDATE = 8,
    FRAME_CONTINUATION = 9,
    FRAME_TYPE_COUNT
};

/* Flags. A flag means something only for the types that have it. */
#define FRAME_ACK 0x01u
#define FRAME_END_STREAM 0x01u
#define FRAME_END_HEADERS 0x04u
#define FRAME_PADDED 0x08u
#define FRAME_WITH_PRIORITY 0x20u

struct frame {
    uint32_t length; /* of the payload */
    uint32_t stream;
    uint8_t type; /* any value */
    uint8_t flags;
};

/* One direction of a connection. Zeroed it is ready, without a preface. */
struct frame_reader {
    struct frame frame;    /* the latest whose header is complete */
    uint32_t payload_left; /* of `frame`; the caller counts it down */
    uint8_t preface_left;  /* bytes of the preface that must still come */
    uint8_t head_size;     /* bytes of the next header that are in `head` */
    uint8_t head[FRAME_HEAD_BYTES];
};

enum frame_event { FRAME_NEEDS_MORE, FRAME_BEGINS, FRAME_WRONG_PREFACE };

/* Reads bytes up to the end of a frame header. `payload_left` is 0. `size` is not 0. *used_out is
 * how many bytes were read.
 *   FRAME_NEEDS_MORE     all were read, and the header is not complete
 *   FRAME_BEGINS         `frame` is new, and payload_left is its length
 *   FRAME_WRONG_PREFACE  the bytes are not those of the preface; the reader is of no more use */
enum frame_event frame_reader_next(struct frame_reader *reader, const uint8_t *data, size_t size,
                                   size_t *used_out);

static inline uint32_t frame_read_u32(const uint8_t *data)
{
    uint32_t word;

    memcpy(&word, data, sizeof(word));
    return __builtin_bswap32(word);
}

/* Returns the place behind it. */
static inline uint8_t *frame_write_u32(uint8_t *data, uint32_t value)
{
    uint32_t word = __builtin_bswap32(value);

    memcpy(data, &word, sizeof(word));
    return data + sizeof(word);
}

/* For frame_reader_next() and frame_reader_whole_head() only. */
static inline void frame_reader_begin(struct frame_reader *reader, const uint8_t *head)
{
    reader->frame.length = frame_read_u32(head) >> 8;
    reader->frame.type = head[3];
    reader->frame.flags = head[4];
    reader->frame.stream = frame_read_u32(head + 5) & 0x7fffffffu;
    reader->payload_left = reader->frame.length;
}

/* The usual case of frame_reader_next(): the bytes hold a whole header. Reads FRAME_HEAD_BYTES of
 * them. False: it read nothing, and frame_reader_next() must read. */
static inline bool frame_reader_whole_head(struct frame_reader *reader, const uint8_t *data, size_t size)
{
    if (!LIKELY(size >= FRAME_HEAD_BYTES && (reader->preface_left | reader->head_size) == 0))
        return false;
    frame_reader_begin(reader, data);
    return true;
}

/* Whether the bytes so far end with the preface or with a whole frame. */
static inline bool frame_reader_is_whole(const struct frame_reader *reader)
{
    return reader->payload_left == 0 && reader->head_size == 0 &&
           (reader->preface_left == 0 || reader->preface_left == PREFACE_BYTES);
}

#endif
