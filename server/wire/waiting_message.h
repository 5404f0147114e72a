/* waiting_message.h - a compressed message of a call that waits until its wire thread has time to
 * inflate it. What it keeps is charged to its peer (base/peer_charge.h).
 *
 * Threads: the wire thread of the call. */
#ifndef TRIBUTARY_SERVER_WIRE_WAITING_MESSAGE_H
#define TRIBUTARY_SERVER_WIRE_WAITING_MESSAGE_H

#include "base/peer_charge.h"
#include "server/wire/heavy_queue.h"

#include <grpc/grpc.h>

struct loop;

/* What is charged for the messages of all wire threads. */
struct waiting_messages {
    const struct loop *loop; /* whose settings hold */
    struct peer_charges charges;
};

void waiting_messages_init(struct waiting_messages *messages, const struct loop *loop);
void waiting_messages_fini(struct waiting_messages *messages); /* none may wait */

/* Embedded in a call. */
struct waiting_message {
    struct heavy_work work;
    grpc_byte_buffer *buffer; /* NULL: none waits */
    struct peer_charge charge;
};

/* `run` is called when it is the message's turn: call waiting_message_take() then. */
void waiting_message_init(struct waiting_message *message, void (*run)(struct heavy_work *work));

/* Whose message it is. */
struct waiting_owner {
    struct waiting_messages *all; /* NULL: nothing is charged */
    struct heavy_queue *queue;
    struct peer_key peer;
    const void *connection; /* as heavy_queue_add() wants it */
};

/* Makes the message wait. It takes over `buffer`, in a copy that keeps no more memory than the
 * message has. One message of a call at a time.
 *   FAULT_NONE     it waits
 *   MEMORY_BUDGET  the peer or the server keeps too much: nothing waits; the caller keeps
 *                  `buffer` */
MUST_CHECK enum fault_reason waiting_message_add(struct waiting_message *message, grpc_byte_buffer *buffer,
                                                 const struct waiting_owner *owner);

/* Takes the message out, which is not charged any more and is the caller's. NULL: none waits. */
grpc_byte_buffer *waiting_message_take(struct waiting_message *message, const struct waiting_owner *owner);

#endif
