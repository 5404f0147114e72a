/* progress.h - how far a stream has come, as its consumer is told: Progress and resume tokens. For
 * the files of this room.
 *
 * Threads: the call's wire thread. */
#ifndef TRIBUTARY_SERVER_RPC_PROGRESS_H
#define TRIBUTARY_SERVER_RPC_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "hub/subscription_port.h"

struct buf;
struct chan;
struct subscription;

/* The shortest time between two Progress. */
#define PROGRESS_EVERY_NS NS_PER_S

/* A zeroed one with `interval_ns` set is ready for use. */
struct progress {
    int64_t interval_ns;      /* at most so long between two full tokens, where something moves */
    int64_t token_at_ns;      /* when the last full token was written */
    bool moved;               /* the last token of any size is not the latest any more */
    bool due;                 /* and a full one is due before its interval is over */
    int64_t filtered_at_ns;   /* when positions of filtered events were looked for */
    uint64_t delivered, lost; /* in the last Progress */
    uint64_t ended_sources;   /* that were not in the last token that was due for them */
    int64_t ended_at_ns;      /* when that became due */
};

/* The next Progress has a token with every source. */
void progress_token_due(struct progress *progress);

/* Appends a Progress as a field of an EventBatch. Appends nothing where nothing has moved, so a
 * heartbeat stays empty. `last`: it is for the last message of the stream, which has a full token,
 * unless the latest token still holds. */
void progress_write(struct progress *progress, struct subscription *subscription, struct chan *chan,
                    bool last, struct buf *block);

/* Appends a full token as this field: every source, as far as 64 KiB go. Appends nothing while a
 * stored topic does not know where it begins; the next Progress then has the token. */
void progress_write_token(struct progress *progress, struct subscription *subscription, uint32_t field,
                          struct buf *block);

/* Appends a Closing as a field of an EventBatch, with a full token. */
void closing_write(struct progress *progress, struct subscription *subscription, enum closing reason,
                   int64_t deadline_ns, struct buf *block);

#endif
