/* unreported.h - losses of a feed that were not reported yet. For the files of this room. */
#ifndef TRIBUTARY_FLOW_UNREPORTED_H
#define TRIBUTARY_FLOW_UNREPORTED_H

#include <stdbool.h>
#include <stdint.h>

/* Losses of one reason. It is empty where `count` is 0 and not unknown. */
struct unreported {
    uint64_t count, bytes, first_sequence, last_sequence;
    uint32_t reason;
    bool count_unknown;
};

static inline bool unreported_empty(const struct unreported *unreported)
{
    return unreported->count == 0 && !unreported->count_unknown;
}

#endif
