/* feed.c - tokens out of pieces. */
#include "bench/feed.h"

#include <stdlib.h>
#include <string.h>

enum { STEP_BYTES = 512 };

void feed_fini(struct feed *feed)
{
    free(feed->kept);
    *feed = (struct feed){0};
}

static bool keep(struct feed *feed, const uint8_t *at, size_t size)
{
    if (feed->size + size > feed->capacity) {
        size_t capacity = 2 * (feed->size + size);
        uint8_t *kept = realloc(feed->kept, capacity);
        if (!kept)
            return false;
        feed->kept = kept;
        feed->capacity = capacity;
    }
    if (size)
        memcpy(feed->kept + feed->size, at, size);
    feed->size += size;
    return true;
}

/* Adds to what was kept, a little at first, until the token that was begun is taken; then goes on
 * in the piece itself. */
static bool complete(struct feed *feed, struct bytes *piece, feed_take *take, void *ctx)
{
    while (feed->size && piece->size) {
        size_t before = feed->size;
        size_t more = MIN_OF(piece->size, MAX_OF(before, (size_t)STEP_BYTES));
        if (!keep(feed, piece->data, more))
            return false;
        size_t taken = take(ctx, (struct bytes){feed->kept, feed->size});
        if (taken == FEED_BAD)
            return false;
        if (taken >= before) {
            feed->size = 0;
            more = taken - before;
        } else {
            feed->size -= taken;
            memmove(feed->kept, feed->kept + taken, feed->size);
        }
        piece->data += more;
        piece->size -= more;
    }
    return true;
}

bool feed_add(struct feed *feed, struct bytes piece, feed_take *take, void *ctx)
{
    if (!complete(feed, &piece, take, ctx))
        return false;
    if (!piece.size)
        return true;
    size_t taken = take(ctx, piece);
    if (taken == FEED_BAD)
        return false;
    return keep(feed, piece.data + taken, piece.size - taken);
}
