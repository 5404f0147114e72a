/* resume_state.h - where the streams of a subscriber stand: the newest resume token, and the
 * positions that moved since.
 *
 * A token names every source and comes seldom. A Progress between two tokens names the sources that
 * moved. A new token makes them superfluous.
 *
 * Threads: the client thread. */
#ifndef TRIBUTARY_CLIENT_RESUME_STATE_H
#define TRIBUTARY_CLIENT_RESUME_STATE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/map.h"

/* A zeroed one is empty. */
struct resume_state {
    struct buf token;     /* empty: none */
    bool token_is_ours;   /* it came by a stream of this subscriber */
    struct map positions; /* since the token, by source */
    size_t bytes;         /* that the positions take in a request, about */
};

void resume_state_fini(struct resume_state *state);

/* There is nothing to continue from. */
bool resume_state_is_empty(const struct resume_state *state);

/* Forgets everything. */
void resume_state_clear(struct resume_state *state);

/* A new token: it has all positions so far. One above MAX_RESUME_TOKEN_BYTES is ignored. */
void resume_state_token(struct resume_state *state, struct bytes token);

/* The positions of an encoded Progress. Where memory runs out, or 16384 positions or 700 KB of them
 * are kept, an older position of the source stays: a later stream then reports too much as lost,
 * and never too little. Returns false where a position is malformed; those before it are kept. */
bool resume_state_progress(struct resume_state *state, struct bytes progress);

/* Appends the start of a SubscribeRequest. Appends nothing where there is no token and no
 * position. */
void resume_state_write(const struct resume_state *state, struct buf *request);

#endif
