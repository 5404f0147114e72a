/* held_message.h - a message that arrived, and must wait before it is handled. For the files of
 * this room.
 *
 * Threads: the call's wire thread. */
#ifndef TRIBUTARY_SERVER_RPC_HELD_MESSAGE_H
#define TRIBUTARY_SERVER_RPC_HELD_MESSAGE_H

#include "server/rpc/intake.h"
#include "server/wire/message.h"

/* All zero, none is held. */
struct held_message {
    struct message message; /* not there: none is held */
    bool is_scanned;        /* `fault` says why it is refused, or `scan` what is in it */
    bool until_empty;       /* it waits until the pipeline is empty */
    struct framing_scan scan;
    struct fault fault;
};

/* Holds a scanned message and what its scan found; or `fault`, where it is refused. */
void held_message_keep(struct held_message *held, const struct scanned_message *scanned,
                       const struct fault *fault);
/* The held message as it was scanned, valid as long as `held` is. */
struct scanned_message held_message_scanned(struct held_message *held);
void held_message_fini(struct held_message *held); /* none is held then */

static inline bool held_message_is_there(const struct held_message *held)
{
    return message_is_there(&held->message);
}

#endif
