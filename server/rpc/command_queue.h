/* command_queue.h - encoded commands that wait for a session, as parts of RegisterResponse. For the
 * files of this room.
 *
 * The request of a consumer, which may be large, is kept by reference: a thousand commands with a
 * request each cost no copies of the requests until they are sent.
 *
 * Threads: one at a time. */
#ifndef TRIBUTARY_SERVER_RPC_COMMAND_QUEUE_H
#define TRIBUTARY_SERVER_RPC_COMMAND_QUEUE_H

#include "base/buf.h"

struct shared_bytes;

/* All zero it is empty. */
struct command_queue {
    struct buf bytes; /* of all commands, without their requests */
    struct buf marks; /* where each command ends, and what comes then */
    size_t taken_bytes, taken_marks;
    size_t charged; /* to the budget: command_queue_size() */
};

/* Empties the queue. */
void command_queue_fini(struct command_queue *queue);

/* Appends a command whose field `kind` is `body`, and frees the bytes of `body`. `request` NULL:
 * that is all. Else the body ends with its field `field`, `request`, which is retained. */
void command_queue_add(struct command_queue *queue, uint32_t kind, struct buf *body, uint32_t field,
                       struct shared_bytes *request);

/* What the queue itself keeps, in bytes. 0: no command waits. */
size_t command_queue_size(const struct command_queue *queue);
/* Memory ran out: commands are missing. */
bool command_queue_broken(const struct command_queue *queue);

/* Moves commands to the end of `message`, in order, as long as it has at most `max_bytes`; but at
 * least one, where any waits. */
void command_queue_take(struct command_queue *queue, size_t max_bytes, struct buf *message);

#endif
