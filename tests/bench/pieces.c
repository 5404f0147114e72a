/* pieces.c - puts tokens together that came in several pieces. */
#include "bench/pieces.h"

#include <stdlib.h>
#include <string.h>

enum { STEP_BYTES = 512 };

void pieces_fini(struct pieces *pieces)
{
    free(pieces->kept);
    *pieces = (struct pieces){0};
}

static bool keep(struct pieces *pieces, const uint8_t *at, size_t size)
{
    if (pieces->size + size > pieces->capacity) {
        size_t capacity = 2 * (pieces->size + size);
        uint8_t *kept = realloc(pieces->kept, capacity);
        if (!kept)
            return false;
        pieces->kept = kept;
        pieces->capacity = capacity;
    }
    if (size)
        memcpy(pieces->kept + pieces->size, at, size);
    pieces->size += size;
    return true;
}

/* Adds to what was kept, a little at first, until the token that had begun is handled. The rest of
 * the piece is handled where it lies. */
static bool complete(struct pieces *pieces, struct bytes *piece, pieces_consume *consume, void *ctx)
{
    while (pieces->size && piece->size) {
        size_t before = pieces->size;
        size_t more = MIN_OF(piece->size, MAX_OF(before, (size_t)STEP_BYTES));
        if (!keep(pieces, piece->data, more))
            return false;
        size_t taken = consume(ctx, (struct bytes){pieces->kept, pieces->size});
        if (taken == PIECES_BAD)
            return false;
        if (taken >= before) {
            pieces->size = 0;
            more = taken - before;
        } else {
            pieces->size -= taken;
            memmove(pieces->kept, pieces->kept + taken, pieces->size);
        }
        piece->data += more;
        piece->size -= more;
    }
    return true;
}

bool pieces_add(struct pieces *pieces, struct bytes piece, pieces_consume *consume, void *ctx)
{
    if (!complete(pieces, &piece, consume, ctx))
        return false;
    if (!piece.size)
        return true;
    size_t taken = consume(ctx, piece);
    if (taken == PIECES_BAD)
        return false;
    return keep(pieces, piece.data + taken, piece.size - taken);
}
