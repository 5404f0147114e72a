/* header_block.h - decodes the header blocks of one direction (RFC 7541) for the one field that the
 * guard must know: the encoding of a stream's messages. libnghttp2 does the decoding.
 *
 * A core that does not tell the mark of a message (h2guard_limits.allow_compressed is false) hands
 * on compressed bytes as plain ones where it does not know the encoding. Only then the guard must
 * know which streams have named one that the core knows; otherwise nothing is decoded (`is_off`).
 *
 * Memory: nothing before the first block; then about 2 KiB, and at most about 16 KiB: the dynamic
 * table has 4096 bytes.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_HEADER_BLOCK_H
#define TRIBUTARY_H2GUARD_HEADER_BLOCK_H

#include <stdbool.h>

#include "base/base.h"

struct nghttp2_hd_inflater;

/* Zeroed it is ready. With `is_off` set it does nothing. */
struct header_block {
    struct nghttp2_hd_inflater *inflater; /* NULL: no block has begun */
    bool is_off;         /* nothing is decoded: nobody asks, or a block was wrong, or memory ran out */
    bool names_encoding; /* the latest block has grpc-encoding: gzip or deflate */
};

void header_block_fini(struct header_block *block);

/* A block begins. */
void header_block_begin(struct header_block *block);
/* Its next bytes, without padding and priority. */
void header_block_bytes(struct header_block *block, const uint8_t *data, size_t size);
/* It is complete: names_encoding holds. */
void header_block_end(struct header_block *block);

#endif
