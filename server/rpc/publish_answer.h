/* publish_answer.h - what the next PublishStreamResponse says. For the files of this room.
 *
 * Threads: the call's wire thread. */
#ifndef TRIBUTARY_SERVER_RPC_PUBLISH_ANSWER_H
#define TRIBUTARY_SERVER_RPC_PUBLISH_ANSWER_H

#include "server/rpc/intake.h"

/* All zero: nothing was confirmed. */
struct publish_answer {
    uint64_t confirmed; /* done, accepted or refused, up to this batch */
    uint64_t reported;  /* `confirmed` of the last answer */
    uint64_t last_sequence, epoch;
    struct buf refused; /* PublishStreamResponse.refused, encoded */
};

/* The next `count` batches share one outcome: `reason`, with intake->fault, or intake->offer. */
void publish_answer_confirm(struct publish_answer *answer, const struct intake *intake, uint64_t count,
                            enum fault_reason reason);
/* Appends the PublishStreamResponse: all that was confirmed is reported. */
void publish_answer_write(struct publish_answer *answer, struct intake *intake, struct buf *message);

#endif
