/* change_view.h - changes as the API's message Change. For the files of this room.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_CHANGE_VIEW_H
#define TRIBUTARY_SERVER_RPC_CHANGE_VIEW_H

#include "base/buf.h"

struct change;
struct producer_view;
struct subscription_view;

/* Each appends a Change. Without memory it breaks the buffer. */
void change_write(const struct change *change, struct buf *answer);
void change_write_producer(const struct producer_view *view, struct buf *answer);
void change_write_subscription(const struct subscription_view *view, struct buf *answer);
void change_write_complete(struct buf *answer);
void change_write_missed(uint64_t count, struct buf *answer);

#endif
