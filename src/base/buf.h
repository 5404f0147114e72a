/* buf.h - a byte buffer that grows by doubling, for output that is written once and then sent.
 *
 * A zeroed buffer is empty and ready for use. Nothing bounds its size but the memory of the
 * process. When memory runs out, `broken` is set and every later write does nothing, so a writer
 * checks `broken` once, at its end.
 *
 * Threads: a buffer belongs to one thread at a time. */
#ifndef TRIBUTARY_BASE_BUF_H
#define TRIBUTARY_BASE_BUF_H

#include <stdbool.h>

#include "base/base.h"

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool broken; /* memory ran out: the content is incomplete */
};

/* Frees the memory. The buffer is empty afterwards and may be used again. */
void buf_fini(struct buf *buf);

/* Lets OWNED(buf_fini) be used on a `struct buf` itself, not only on a pointer to an object. */
static inline void buf_fini_owned(struct buf *buf)
{
    buf_fini(buf);
}

/* Both empty the buffer and reset `broken`. buf_clear() keeps the memory. buf_rest() frees it if it
 * is more than `kept` bytes: use it before a long rest. */
void buf_clear(struct buf *buf);
void buf_rest(struct buf *buf, size_t kept);

/* Takes away the first `size` bytes, which are there, and moves the rest to the front. */
void buf_drop(struct buf *buf, size_t size);

/* Appends `size` bytes that the caller then writes. Returns where they are, which is valid until
 * the next write to the buffer. NULL: memory ran out. */
uint8_t *buf_extend(struct buf *buf, size_t size);

/* Each appends: bytes, one byte, a text without its NUL, a formatted text without its NUL. */
void buf_bytes(struct buf *buf, const void *bytes, size_t size);
void buf_byte(struct buf *buf, uint8_t byte);
void buf_text(struct buf *buf, const char *text);
void buf_format(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
