/* pieces.h - a stream that is read in pieces. A token that is not whole at the end of a piece is
 * kept until its rest comes. */
#ifndef TRIBUTARY_TESTS_PIECES_H
#define TRIBUTARY_TESTS_PIECES_H

#include <stdbool.h>

#include "base/base.h"

/* Handles whole tokens at the beginning of `input`. Returns how many bytes, or PIECES_BAD if they
 * are malformed. The bytes that it leaves come again, with more behind them. */
typedef size_t pieces_consume(void *ctx, struct bytes input);
#define PIECES_BAD SIZE_MAX

struct pieces {
    uint8_t *kept;
    size_t size, capacity;
};

void pieces_fini(struct pieces *pieces);
/* Handles one piece; most of it is handled where it lies. False: it is malformed, or memory ran
 * out. */
MUST_CHECK bool pieces_add(struct pieces *pieces, struct bytes piece, pieces_consume *consume, void *ctx);

#endif
