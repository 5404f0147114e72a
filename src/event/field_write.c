/* field_write.c - writes protobuf fields into buffers. */
#include "event/field_write.h"

#include "base/clock.h"
#include "proto/field_numbers.h"

void field_varint(struct buf *buf, uint32_t number, uint64_t value)
{
    uint8_t piece[2 * MAX_VARINT_BYTES];

    buf_bytes(buf, piece, (size_t)(field_put_varint(piece, number, value) - piece));
}

void field_fixed64(struct buf *buf, uint32_t number, uint64_t value)
{
    uint8_t piece[MAX_VARINT_BYTES + sizeof(value)];

    buf_bytes(buf, piece, (size_t)(field_put_fixed64(piece, number, value) - piece));
}

void field_head(struct buf *buf, uint32_t number, size_t size)
{
    uint8_t piece[2 * MAX_VARINT_BYTES];

    buf_bytes(buf, piece, (size_t)(field_put_head(piece, number, size) - piece));
}

void field_bytes_always(struct buf *buf, uint32_t number, struct bytes value)
{
    field_head(buf, number, value.size);
    if (value.size > 0)
        buf_bytes(buf, value.data, value.size);
}

void field_bytes(struct buf *buf, uint32_t number, struct bytes value)
{
    if (value.size > 0)
        field_bytes_always(buf, number, value);
}

void field_text(struct buf *buf, uint32_t number, const char *text)
{
    field_bytes(buf, number, (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0});
}

void field_message(struct buf *buf, uint32_t number, struct buf *message)
{
    field_bytes_always(buf, number, (struct bytes){message->data, message->size});
    buf->broken |= message->broken;
    buf_fini(message);
}

void field_duration(struct buf *buf, uint32_t number, int64_t duration_ns)
{
    struct buf duration = {0};

    if (duration_ns == 0)
        return;
    if (duration_ns > 0) {
        field_varint(&duration, PB_PROTOBUF_DURATION_SECONDS, (uint64_t)(duration_ns / NS_PER_S));
        field_varint(&duration, PB_PROTOBUF_DURATION_NANOS, (uint64_t)(duration_ns % NS_PER_S));
    }
    field_message(buf, number, &duration);
}
