/* source_loss.h - events of a source that were lost before they reached this server. */
#ifndef TRIBUTARY_FLOW_SOURCE_LOSS_H
#define TRIBUTARY_FLOW_SOURCE_LOSS_H

#include <stdbool.h>
#include <stdint.h>

struct source_loss {
    uint64_t count, bytes;
    uint64_t first_sequence, last_sequence; /* the lowest and the highest; 0: not known */
    uint32_t reason;                        /* enum loss */
    bool count_unknown;                     /* `count` is 0 */
};

#endif
