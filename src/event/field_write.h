/* field_write.h - writes protobuf fields: into memory that the caller has measured, and into a
 * `struct buf`.
 *
 * The functions for measured memory are inline, because every event that a client publishes passes
 * through them. With a constant number below 16 a tag is one byte, and nothing is computed for it.
 * A write into a `buf` fails as buf.h says: the caller checks `broken`.
 *
 * As in proto3, a zero or empty value is left out, but for ..._bytes_always() and
 * field_message().
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_FIELD_WRITE_H
#define TRIBUTARY_EVENT_FIELD_WRITE_H

#include <endian.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "event/varint.h"

/* ---- measured memory ---- */

/* The bytes that a length takes. Lengths that fit into a message are decided here. */
static inline size_t length_size(size_t size)
{
    return size < 1u << 7 ? 1 : size < 1u << 14 ? 2 : size < 1u << 21 ? 3 : varint_size(size);
}

/* The bytes that a field takes, tag included. */
static inline size_t field_size_varint(uint32_t number, uint64_t value)
{
    return value == 0 ? 0 : length_size(WIRE_TAG(number, WIRE_VARINT)) + varint_size(value);
}

static inline size_t field_size_fixed64(uint32_t number, uint64_t value)
{
    return value == 0 ? 0 : length_size(WIRE_TAG(number, WIRE_FIXED64)) + sizeof(value);
}

static inline size_t field_size_bytes_always(uint32_t number, size_t size)
{
    return length_size(WIRE_TAG(number, WIRE_LEN)) + length_size(size) + size;
}

static inline size_t field_size_bytes(uint32_t number, size_t size)
{
    return size == 0 ? 0 : field_size_bytes_always(number, size);
}

/* Each of the following writes at `at` and returns the end of what it wrote. The caller has checked
 * the capacity. */

/* A varint that is mostly short. */
static inline uint8_t *length_put(uint8_t *at, size_t size)
{
    if (size < 1u << 7) {
        *at = (uint8_t)size;
        return at + 1;
    }
    if (size < 1u << 14) {
        at[0] = (uint8_t)(size | 0x80);
        at[1] = (uint8_t)(size >> 7);
        return at + 2;
    }
    return at + varint_write(at, size);
}

/* Tag and length of a field. The caller writes its content next, `size` bytes. */
static inline uint8_t *field_put_head(uint8_t *at, uint32_t number, size_t size)
{
    return length_put(length_put(at, WIRE_TAG(number, WIRE_LEN)), size);
}

static inline uint8_t *field_put_bytes(uint8_t *at, uint32_t number, struct bytes value)
{
    if (value.size == 0)
        return at;
    at = field_put_head(at, number, value.size);
    memcpy(at, value.data, value.size);
    return at + value.size;
}

/* Eight bytes without a tag: one of a packed list. */
static inline uint8_t *word_put(uint8_t *at, uint64_t value)
{
    const uint64_t little = htole64(value);

    memcpy(at, &little, sizeof(little));
    return at + sizeof(little);
}

static inline uint8_t *field_put_fixed64(uint8_t *at, uint32_t number, uint64_t value)
{
    if (value == 0)
        return at;
    return word_put(length_put(at, WIRE_TAG(number, WIRE_FIXED64)), value);
}

static inline uint8_t *field_put_varint(uint8_t *at, uint32_t number, uint64_t value)
{
    if (value == 0)
        return at;
    at = length_put(at, WIRE_TAG(number, WIRE_VARINT));
    return at + varint_write(at, value);
}

/* ---- buffers ---- */

/* Each appends field `number` with its tag. */
void field_varint(struct buf *buf, uint32_t number, uint64_t value);
void field_fixed64(struct buf *buf, uint32_t number, uint64_t value);
void field_bytes(struct buf *buf, uint32_t number, struct bytes value);
void field_bytes_always(struct buf *buf, uint32_t number, struct bytes value);
void field_text(struct buf *buf, uint32_t number, const char *text); /* NULL is empty */

/* Appends only tag and length. The caller appends the content next, `size` bytes. */
void field_head(struct buf *buf, uint32_t number, size_t size);

/* Appends a message, even an empty one, and frees its bytes. If it is broken, `buf` becomes so. */
void field_message(struct buf *buf, uint32_t number, struct buf *message);

/* Appends a google.protobuf.Duration: nothing for 0, and an explicit zero for a negative value. */
void field_duration(struct buf *buf, uint32_t number, int64_t duration_ns);

#endif
