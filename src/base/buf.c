/* buf.c - a byte buffer that grows by doubling. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_CAPACITY 64u

/* Makes the capacity at least the current size plus `size`. False: memory ran out. */
static bool reserve(struct buf *buf, size_t size)
{
    size_t capacity = MAX_OF(buf->capacity, MIN_CAPACITY);
    uint8_t *data;

    if (buf->broken || size > SIZE_MAX / 2 || buf->size > SIZE_MAX / 2 - size) {
        buf->broken = true;
        return false;
    }
    if (buf->data && buf->size + size <= buf->capacity)
        return true;
    while (capacity < buf->size + size)
        capacity *= 2;
    data = realloc(buf->data, capacity);
    if (!data) {
        buf->broken = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->broken = false;
}

void buf_rest(struct buf *buf, size_t kept)
{
    if (buf->capacity > kept)
        buf_fini(buf);
    buf_clear(buf);
}

uint8_t *buf_extend(struct buf *buf, size_t size)
{
    uint8_t *added;

    if (!reserve(buf, size))
        return NULL;
    added = buf->data + buf->size;
    buf->size += size;
    return added;
}

void buf_bytes(struct buf *buf, const void *bytes, size_t size)
{
    uint8_t *added = buf_extend(buf, size);

    if (added && size > 0)
        memcpy(added, bytes, size);
}

void buf_drop(struct buf *buf, size_t size)
{
    CHECK(size <= buf->size);
    buf->size -= size;
    if (size > 0 && buf->size > 0)
        memmove(buf->data, buf->data + size, buf->size);
}

void buf_byte(struct buf *buf, uint8_t byte)
{
    buf_bytes(buf, &byte, 1);
}

void buf_text(struct buf *buf, const char *text)
{
    buf_bytes(buf, text, strlen(text));
}

void buf_format(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    int size;

    va_start(args, format);
    va_copy(again, args);
    size = vsnprintf(NULL, 0, format, args);
    /* vsnprintf() also writes a NUL. The buffer needs space for it, but does not count it. */
    if (size < 0 || !reserve(buf, (size_t)size + 1)) {
        buf->broken = true;
    } else {
        vsnprintf((char *)buf->data + buf->size, (size_t)size + 1, format, again);
        buf->size += (size_t)size;
    }
    va_end(again);
    va_end(args);
}
