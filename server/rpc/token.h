/* token.h - resume tokens and page tokens: opaque to clients, and checked when they come back. For
 * the files of this room. */
#ifndef TRIBUTARY_SERVER_RPC_TOKEN_H
#define TRIBUTARY_SERVER_RPC_TOKEN_H

#include "base/base.h"
#include "base/buf.h"
#include "base/fault.h"
#include "flow/chan.h"
#include "route/resume_point.h"

/* Any thread. Appends a resume token with the channel's positions, at most 64 KiB. Positions that
 * do not fit are left out, and the token says how many. */
void token_write(struct chan *chan, struct buf *token);

/* Any thread. FAULT_NONE: *points_out must be freed; it is never NULL, and its sources point into
 * the token. *left_out_out is how many positions the token left out. Otherwise BAD_TOKEN, or
 * MEMORY_BUDGET. */
MUST_CHECK enum fault_reason token_read(struct bytes token, struct resume_point **points_out,
                                        size_t *count_out, uint64_t *left_out_out, struct fault *fault);

#define MAX_PAGE_NAME_BYTES 256u

/* Any thread. Appends a page token as text: the name after which the next page begins. `list` tells
 * the tokens of one list from those of another. */
void page_write(char list, struct bytes name, struct buf *token);

/* Any thread. `name` has room for MAX_PAGE_NAME_BYTES. An empty token means the first page: size 0.
 * Otherwise BAD_TOKEN, with the field `page_token`. */
MUST_CHECK enum fault_reason page_read(char list, const char *token, uint8_t *name, size_t *size_out,
                                       struct fault *fault);

#endif
