/* frames.c - see frames.h. */
#include "lib/frames.h"

static void put_u32(struct buf *buf, uint32_t value)
{
    uint32_t word = __builtin_bswap32(value);

    buf_bytes(buf, &word, sizeof(word));
}

static void put_n_zeros(struct buf *buf, size_t count)
{
    if (count > 0)
        memset(buf_extend(buf, count), 0, count);
}

void put_preface(struct buf *buf)
{
    buf_text(buf, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

void put_frame_head(struct buf *buf, unsigned type, unsigned flags, uint32_t stream, uint32_t length)
{
    put_u32(buf, length << 8 | (type & 255u));
    buf_byte(buf, (uint8_t)flags);
    put_u32(buf, stream);
}

void put_frame(struct buf *buf, unsigned type, unsigned flags, uint32_t stream, struct bytes payload)
{
    put_frame_head(buf, type, flags, stream, (uint32_t)payload.size);
    buf_bytes(buf, payload.data, payload.size);
}

void put_zeros(struct buf *buf, unsigned type, unsigned flags, uint32_t stream, uint32_t length)
{
    put_frame_head(buf, type, flags, stream, length);
    put_n_zeros(buf, length);
}

void put_client_start(struct buf *buf, uint32_t settings)
{
    put_preface(buf);
    put_zeros(buf, FRAME_SETTINGS, 0, 0, 6 * settings);
}

void put_headers(struct buf *buf, uint32_t stream, unsigned flags)
{
    put_zeros(buf, FRAME_HEADERS, END_HEADERS | flags, stream, 20);
}

void put_prefix(struct buf *buf, uint8_t flag, uint32_t length)
{
    buf_byte(buf, flag);
    put_u32(buf, length);
}

void put_message_frame(struct buf *buf, uint32_t stream, unsigned flags, uint32_t size)
{
    put_frame_head(buf, FRAME_DATA, flags, stream, 5 + size);
    put_prefix(buf, 0, size);
    put_n_zeros(buf, size);
}

void put_update(struct buf *buf, uint32_t stream, uint32_t bytes)
{
    put_frame_head(buf, FRAME_WINDOW_UPDATE, 0, stream, 4);
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_byte(buf, (uint8_t)(bytes >> shift));
}
