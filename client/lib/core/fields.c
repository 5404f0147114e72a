/* fields.c - tags, lengths and values of protobuf fields. */
#include "client/lib/core/fields.h"

#include "base/clock.h"
#include "event/varint.h"

static void put_tag(struct buf *buf, uint32_t number, uint32_t type)
{
    buf_byte(buf, (uint8_t)(number << 3 | type));
}

static void put_varint(struct buf *buf, uint64_t value)
{
    uint8_t bytes[10];

    buf_bytes(buf, bytes, varint_write(bytes, value));
}

void field_append_number(struct buf *buf, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    put_tag(buf, number, WIRE_VARINT);
    put_varint(buf, value);
}

void field_append_text(struct buf *buf, uint32_t number, struct bytes text)
{
    put_tag(buf, number, WIRE_LEN);
    put_varint(buf, text.size);
    if (text.size > 0)
        buf_bytes(buf, text.data, text.size);
}

void field_append_message(struct buf *buf, uint32_t number, struct buf *message)
{
    field_append_text(buf, number, (struct bytes){message->data, message->size});
    buf->broken |= message->broken;
    buf_fini(message);
}

void field_append_duration(struct buf *buf, uint32_t number, int64_t duration_ns)
{
    struct buf duration = {0};

    if (duration_ns == 0)
        return;
    if (duration_ns > 0) {
        field_append_number(&duration, 1, (uint64_t)(duration_ns / NS_PER_S));
        field_append_number(&duration, 2, (uint64_t)(duration_ns % NS_PER_S));
    }
    field_append_message(buf, number, &duration);
}
