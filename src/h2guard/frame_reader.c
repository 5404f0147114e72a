/* frame_reader.c - see frame_reader.h. */
#include "h2guard/frame_reader.h"

#include <string.h>

static const char preface[PREFACE_BYTES + 1] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static enum frame_event read_preface(struct frame_reader *reader, const uint8_t *data, size_t size,
                                     size_t *used_out)
{
    size_t used = MIN_OF(size, reader->preface_left);

    *used_out = used;
    if (memcmp(data, preface + PREFACE_BYTES - reader->preface_left, used) != 0)
        return FRAME_WRONG_PREFACE;
    reader->preface_left = (uint8_t)(reader->preface_left - used);
    return FRAME_NEEDS_MORE;
}

static enum frame_event read_piece(struct frame_reader *reader, const uint8_t *data, size_t size,
                                   size_t *used_out)
{
    size_t used = MIN_OF(size, FRAME_HEAD_BYTES - reader->head_size);

    memcpy(reader->head + reader->head_size, data, used);
    reader->head_size = (uint8_t)(reader->head_size + used);
    *used_out = used;
    if (reader->head_size < FRAME_HEAD_BYTES)
        return FRAME_NEEDS_MORE;
    reader->head_size = 0;
    frame_reader_begin(reader, reader->head);
    return FRAME_BEGINS;
}

enum frame_event frame_reader_next(struct frame_reader *reader, const uint8_t *data, size_t size,
                                   size_t *used_out)
{
    if (reader->preface_left > 0)
        return read_preface(reader, data, size, used_out);
    return read_piece(reader, data, size, used_out);
}
