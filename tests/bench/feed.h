/* feed.h - a stream that is read in pieces: what ends within a token is kept, until the rest of it
 * comes. */
#ifndef TRIBUTARY_TESTS_FEED_H
#define TRIBUTARY_TESTS_FEED_H

#include <stdbool.h>

#include "base/base.h"

/* Takes whole tokens from the front of what is there; returns how many bytes, or FEED_BAD where
 * they make no sense. What it leaves comes again, with more behind it. */
typedef size_t feed_take(void *ctx, struct bytes input);
#define FEED_BAD SIZE_MAX

struct feed {
    uint8_t *kept;
    size_t size, capacity;
};

void feed_fini(struct feed *feed);
/* Most of a piece is taken where it lies. False: it made no sense, or memory ran out. */
MUST_CHECK bool feed_add(struct feed *feed, struct bytes piece, feed_take *take, void *ctx);

#endif
