/* held_message.c - a message that arrived, and must wait before it is handled. */
#include "server/rpc/held_message.h"

void held_message_keep(struct held_message *held, const struct scanned_message *scanned,
                       const struct fault *fault)
{
    held->message = message_move(scanned->message);
    held->is_scanned = true;
    held->until_empty = false;
    held->fault = (struct fault){.reason = FAULT_NONE};
    if (scanned->reason)
        held->fault = *fault;
    else
        held->scan = framing_move(scanned->scan);
}

struct scanned_message held_message_scanned(struct held_message *held)
{
    return (struct scanned_message){&held->message, &held->scan, held->fault.reason};
}

void held_message_fini(struct held_message *held)
{
    framing_fini(&held->scan);
    message_fini(&held->message);
    *held = (struct held_message){.is_scanned = false};
}
