/* buf.h - bytes that grow, up to the memory there is: for what is written once and sent.
 *
 * Zero-initialised is empty. A failed growth sets `broken`, and every later write is ignored, so a
 * writer checks once, at its end. */
#ifndef TRIBUTARY_BASE_BUF_H
#define TRIBUTARY_BASE_BUF_H

#include <stdbool.h>

#include "base/base.h"

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool broken; /* memory ran out: the content is not whole */
};

void buf_fini(struct buf *buf);
static inline void buf_fini_owned(struct buf *buf) /* for OWNED(buf_fini) on a struct buf */
{
    buf_fini(buf);
}
void buf_clear(struct buf *buf);             /* keeps the memory */
void buf_rest(struct buf *buf, size_t kept); /* the same, but no more than `kept` bytes of it */

/* `size` bytes to be written by the caller, already counted; NULL when memory ran out. Valid until
 * the next write. */
uint8_t *buf_extend(struct buf *buf, size_t size);

void buf_bytes(struct buf *buf, const void *bytes, size_t size);
void buf_byte(struct buf *buf, uint8_t byte);
void buf_text(struct buf *buf, const char *text);
void buf_format(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
