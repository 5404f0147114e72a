/* unreported.h - losses of a feed that were not reported yet. For the files of this room. */
#ifndef TRIBUTARY_FLOW_UNREPORTED_H
#define TRIBUTARY_FLOW_UNREPORTED_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/chan_limits.h"

/* Losses of one reason. It is empty where `count` is 0 and not unknown. */
struct unreported {
    uint64_t count, bytes, first_sequence, last_sequence;
    uint32_t reason;
    bool count_unknown;
    bool upstream; /* they were lost before they reached this server */
};

/* Losses go by these numbers: by their reason, and those of upstream servers by themselves. */
#define UNREPORTED_SLOTS (2u * LOSS_COUNT)

static inline uint32_t unreported_slot(const struct unreported *unreported)
{
    return unreported->reason + (unreported->upstream ? (uint32_t)LOSS_COUNT : 0);
}

/* An empty record is for losses like this one from now on. */
static inline void unreported_begin(struct unreported *unreported, const struct unreported *loss)
{
    unreported->reason = loss->reason;
    unreported->upstream = loss->upstream;
}

static inline bool unreported_empty(const struct unreported *unreported)
{
    return unreported->count == 0 && !unreported->count_unknown;
}

#endif
