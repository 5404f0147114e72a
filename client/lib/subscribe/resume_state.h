/* resume_state.h - where the streams of a subscriber stand: the newest resume token, and the
 * positions that moved since.
 *
 * A token names every source and comes seldom. A Progress between two tokens names the sources that
 * moved, and so do the events that came since. A new token makes them superfluous.
 *
 * Threads: the client thread. */
#ifndef TRIBUTARY_CLIENT_RESUME_STATE_H
#define TRIBUTARY_CLIENT_RESUME_STATE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/map.h"

struct position;

/* A zeroed one is empty. */
struct resume_state {
    struct buf token;      /* empty: none */
    bool token_is_ours;    /* it came by a stream of this subscriber */
    struct map positions;  /* since the token, by source */
    struct position *last; /* the one that was noted last; NULL: none */
    size_t bytes;          /* that the positions take in a request, about */
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

/* Events of a source were handled, up to this sequence. What the source published before was
 * delivered, or reported as lost: a loss comes no later than the next event. So a stream that
 * breaks before its first Progress is not taken for one that had nothing. Does nothing where there
 * is no token: other sources would be left out in silence. Memory: as above. */
void resume_state_handled(struct resume_state *state, struct bytes source, uint64_t epoch, uint64_t sequence);

/* Appends the start of a SubscribeRequest. Appends nothing where there is no token and no
 * position. */
void resume_state_write(const struct resume_state *state, struct buf *request);

#endif
