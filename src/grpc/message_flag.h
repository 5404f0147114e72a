/* message_flag.h - whether the peer has marked a message as compressed.
 *
 * The core says of a message how it is compressed, where it knows the encoding that the call has
 * named. It hands over any other message as a plain one, also one that is marked as compressed. To
 * read that as protobuf would lose events without a word. One function inside of the core tells the
 * mark. Its name holds its type; where it is not found, the mark is not known.
 *
 * Threads: any, but message_is_flagged() that of the call. */
#ifndef TRIBUTARY_GRPC_MESSAGE_FLAG_H
#define TRIBUTARY_GRPC_MESSAGE_FLAG_H

#include <stdbool.h>

#include <grpc/grpc.h>

/* Whether this core tells the mark. */
bool message_flag_is_known(void);
/* Whether the message that the call has received last is marked as compressed. False where it is
 * not known. Ask before the next read. */
bool message_is_flagged(grpc_call *call);

#endif
