/* outgoing.c - see outgoing.h. */
#include "bench/outgoing.h"

#include <stdlib.h>
#include <string.h>

void outgoing_fini(struct outgoing *out)
{
    h2_free(out->h2);
    free(out->kept);
}

void outgoing_continue(struct outgoing *out)
{
    while (out->size) {
        size_t part = MIN_OF(out->size, h2_writable(out->h2, out->stream));
        if (!part)
            return;
        memcpy(h2_data(out->h2, out->stream, part, false), out->kept + out->first, part);
        out->first += part;
        out->size -= part;
    }
}

uint8_t *outgoing_reserve(struct outgoing *out, size_t size)
{
    outgoing_continue(out);
    size_t allowed = out->size ? 0 : h2_writable(out->h2, out->stream);
    if (!allowed)
        return NULL;
    if (allowed >= size)
        return h2_data(out->h2, out->stream, size, false);
    if (out->capacity < size) {
        uint8_t *kept = realloc(out->kept, size);
        if (!kept)
            return NULL;
        out->kept = kept;
        out->capacity = size;
    }
    out->first = 0;
    out->size = size;
    return out->kept;
}

bool outgoing_pending(const struct outgoing *out)
{
    return out->size || h2_pending(out->h2);
}
