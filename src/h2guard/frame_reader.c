/* frame_reader.c - see frame_reader.h. */
#include "h2guard/frame_reader.h"

#include <string.h>

static const char preface[PREFACE_BYTES + 1] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static uint32_t read_u32(const uint8_t *data)
{
    uint32_t word;

    memcpy(&word, data, sizeof(word));
    return __builtin_bswap32(word);
}

static void begin_frame(struct frame_reader *reader, const uint8_t *head)
{
    struct frame *frame = &reader->frame;

    frame->length = read_u32(head) >> 8;
    frame->type = head[3];
    frame->flags = head[4];
    frame->stream = read_u32(head + 5) & 0x7fffffffu;
    reader->payload_left = frame->length;
}

static NOINLINE enum frame_event read_preface(struct frame_reader *reader, const uint8_t *data, size_t size,
                                              size_t *used_out)
{
    size_t used = MIN_OF(size, reader->preface_left);

    *used_out = used;
    if (memcmp(data, preface + PREFACE_BYTES - reader->preface_left, used) != 0)
        return FRAME_WRONG_PREFACE;
    reader->preface_left = (uint8_t)(reader->preface_left - used);
    return FRAME_NEEDS_MORE;
}

/* A header that comes in pieces. */
static NOINLINE enum frame_event read_piece(struct frame_reader *reader, const uint8_t *data, size_t size,
                                            size_t *used_out)
{
    size_t used = MIN_OF(size, FRAME_HEAD_BYTES - reader->head_size);

    memcpy(reader->head + reader->head_size, data, used);
    reader->head_size = (uint8_t)(reader->head_size + used);
    *used_out = used;
    if (reader->head_size < FRAME_HEAD_BYTES)
        return FRAME_NEEDS_MORE;
    reader->head_size = 0;
    begin_frame(reader, reader->head);
    return FRAME_BEGINS;
}

enum frame_event frame_reader_next(struct frame_reader *reader, const uint8_t *data, size_t size,
                                   size_t *used_out)
{
    if (!LIKELY(reader->preface_left == 0))
        return read_preface(reader, data, size, used_out);
    if (!LIKELY(size >= FRAME_HEAD_BYTES && reader->head_size == 0))
        return read_piece(reader, data, size, used_out);
    begin_frame(reader, data);
    *used_out = FRAME_HEAD_BYTES;
    return FRAME_BEGINS;
}
