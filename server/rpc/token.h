/* token.h - resume tokens and page tokens: opaque to clients, and checked when they come back. For
 * the files of this room. */
#ifndef TRIBUTARY_SERVER_RPC_TOKEN_H
#define TRIBUTARY_SERVER_RPC_TOKEN_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/fault.h"
#include "route/resume_point.h"

struct source;

#define MAX_TOKEN_BYTES (64u * 1024u)
#define SMALL_TOKEN_BYTES 1024u

/* A resume token that is being written: token_begin(), then token_position() for each source, then
 * token_end(). Any thread. */
struct token_writer {
    struct buf *token;
    size_t begin;      /* where the token begins: the buffer may hold other bytes before it */
    size_t max;        /* its bytes */
    uint64_t left_out; /* positions that did not fit */
};

/* Begins a token of at most `max` bytes, at most MAX_TOKEN_BYTES, behind what `token` holds. */
void token_begin(struct token_writer *writer, struct buf *token, size_t max);

/* Adds a position. One that does not fit is left out, and the token says how many are; a shorter
 * one after it may still fit. `ctx` is the writer. Returns true: more are welcome. */
bool token_position(void *ctx, const struct source *source, uint64_t sequence);
/* The same for a token that is wanted whole or not at all. Returns false when one was left out. */
bool token_position_whole(void *ctx, const struct source *source, uint64_t sequence);

/* Ends the token. `left_out` sources were never offered to it. */
void token_end(struct token_writer *writer, uint64_t left_out);

/* The positions of a token. */
struct token_points {
    struct resume_point *list; /* on the heap, never NULL; the sources point into the token */
    size_t count;
    uint64_t left_out;      /* how many positions the token left out */
    bool of_another_server; /* or of this one before it was started again */
};

/* Any thread. FAULT_NONE: points_out->list is the caller's, and has space for `spare` points more.
 * Otherwise BAD_TOKEN, with `field`, or MEMORY_BUDGET. */
MUST_CHECK enum fault_reason token_read(struct bytes token, const char *field, size_t spare,
                                        struct token_points *points_out, struct fault *fault);

#define MAX_PAGE_NAME_BYTES 256u
/* A page is full beyond this. Clients accept messages of 4 MiB by default, and one entry may have a
 * third of a MiB. */
#define MAX_PAGE_BYTES ((size_t)1 << 20)

/* The lists that have page tokens. Explain of all goes through that of ListSubscriptions. */
enum page_list {
    PAGES_OF_PRODUCERS = 'p',
    PAGES_OF_SUBSCRIPTIONS = 's',
    PAGES_OF_PROCESSORS = 'b',
    PAGES_OF_TOPICS = 't'
};

/* Any thread. How many entries a page may have: 100 where the request says 0. Otherwise
 * OUT_OF_BOUNDS, with the field `page_size`: at most 1000. */
MUST_CHECK enum fault_reason page_size_read(uint32_t page_size, uint32_t *size_out, struct fault *fault);

/* Any thread. Appends a page token as text: the name after which the next page begins. `list` tells
 * the tokens of one list from those of another. */
void page_write(enum page_list list, struct bytes name, struct buf *token);

/* Any thread. `name` has room for MAX_PAGE_NAME_BYTES. An empty token means the first page: size 0.
 * Otherwise BAD_TOKEN, with the field `page_token`. */
MUST_CHECK enum fault_reason page_read(enum page_list list, const char *token, uint8_t *name,
                                       size_t *size_out, struct fault *fault);

#endif
