/* inflate.c - see inflate.h. */
#include "grpc/inflate.h"

#include <stdlib.h>

#include "base/buf.h"

#include <zlib.h>

#define WINDOW_BITS 15
#define GZIP 16 /* in the window bits: the format is gzip */

#define FIRST_BYTES 4096u

struct inflation {
    z_stream zlib;
    struct buf out;
    size_t max_bytes;
    bool is_gzip;
    bool is_at_end; /* of a member: all of it was inflated */
};

/* Makes space for more output. One byte beyond the bound shows that there is too much. */
static enum inflate_result grow(struct inflation *inflation)
{
    struct buf *out = &inflation->out;
    size_t left = inflation->max_bytes + 1 - out->size;
    size_t step = MIN_OF(MAX_OF(out->size, FIRST_BYTES), left);

    if (left == 0)
        return INFLATE_TOO_LARGE;
    uint8_t *space = buf_extend(out, step);
    if (!space)
        return INFLATE_NO_MEMORY;
    inflation->zlib.next_out = space;
    inflation->zlib.avail_out = (uInt)step;
    return INFLATE_OK;
}

/* Another member begins, where the format has several. */
static enum inflate_result begin_member(struct inflation *inflation)
{
    if (!inflation->is_gzip || inflateReset(&inflation->zlib) != Z_OK)
        return INFLATE_BROKEN;
    inflation->is_at_end = false;
    return INFLATE_OK;
}

/* Inflates as much as input and space allow. */
static enum inflate_result run(struct inflation *inflation)
{
    int done = inflate(&inflation->zlib, Z_NO_FLUSH);

    inflation->is_at_end = done == Z_STREAM_END;
    if (done == Z_OK || done == Z_STREAM_END || (done == Z_BUF_ERROR && inflation->zlib.avail_in == 0))
        return INFLATE_OK;
    return done == Z_MEM_ERROR ? INFLATE_NO_MEMORY : INFLATE_BROKEN;
}

/* Whether the input at hand is used up, and all that it stands for is in the output. */
static bool needs_input(const struct inflation *inflation)
{
    return inflation->zlib.avail_in == 0 && (inflation->is_at_end || inflation->zlib.avail_out > 0);
}

/* Inflates one piece of the input. */
static enum inflate_result inflate_piece(struct inflation *inflation, struct bytes piece)
{
    enum inflate_result result = INFLATE_OK;

    inflation->zlib.next_in = (Bytef *)(uintptr_t)piece.data; /* zlib only reads it */
    inflation->zlib.avail_in = (uInt)piece.size;
    while (result == INFLATE_OK && !needs_input(inflation)) {
        if (inflation->is_at_end)
            result = begin_member(inflation);
        else if (inflation->zlib.avail_out == 0)
            result = grow(inflation);
        else
            result = run(inflation);
    }
    return result;
}

static enum inflate_result inflate_all(struct inflation *inflation, const grpc_slice_buffer *pieces)
{
    enum inflate_result result = INFLATE_OK;

    for (size_t i = 0; i < pieces->count && result == INFLATE_OK; i++)
        result = inflate_piece(inflation, slice_bytes(&pieces->slices[i]));
    inflation->out.size -= inflation->zlib.avail_out; /* what was not written */
    if (result == INFLATE_OK && inflation->out.size > inflation->max_bytes)
        return INFLATE_TOO_LARGE;
    if (result == INFLATE_OK && !inflation->is_at_end)
        return INFLATE_BROKEN;
    return result;
}

/* Gives back what the buffer has grown beyond its content. */
static grpc_slice slice_of(struct buf *out)
{
    uint8_t *smaller = out->size > 0 ? realloc(out->data, out->size) : NULL;

    if (smaller)
        out->data = smaller;
    return slice_of_buf(out);
}

enum inflate_result inflate_message(const grpc_byte_buffer *message, size_t max_bytes, grpc_slice *slice_out)
{
    struct inflation inflation = {.max_bytes = max_bytes,
                                  .is_gzip = message->data.raw.compression == GRPC_COMPRESS_GZIP};
    int bits = inflation.is_gzip ? WINDOW_BITS + GZIP : WINDOW_BITS;

    if (inflateInit2(&inflation.zlib, bits) != Z_OK)
        return INFLATE_NO_MEMORY;
    enum inflate_result result = inflate_all(&inflation, &message->data.raw.slice_buffer);
    inflateEnd(&inflation.zlib);
    if (result == INFLATE_OK)
        *slice_out = slice_of(&inflation.out);
    buf_fini(&inflation.out);
    return result;
}

enum fault_reason inflate_fault(enum inflate_result result)
{
    switch (result) {
    case INFLATE_OK:
        return FAULT_NONE;
    case INFLATE_BROKEN:
        return FAULT_BAD_COMPRESSION;
    case INFLATE_TOO_LARGE:
        return FAULT_BATCH_TOO_LARGE;
    case INFLATE_NO_MEMORY:
        return FAULT_MEMORY_BUDGET;
    }
    return FAULT_BUG;
}
