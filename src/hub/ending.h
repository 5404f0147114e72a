/* ending.h - how an activation or a session ends. */
#ifndef TRIBUTARY_HUB_ENDING_H
#define TRIBUTARY_HUB_ENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

struct ending {
    enum fault_reason reason; /* for the port and the log; NONE: it ended by itself */
    uint32_t state, code;     /* for the consumer */
    const char *message;      /* for the consumer; static where the ending is stored; may be NULL */
    bool notify;              /* the producer is told to stop where it was not told yet */
    bool expired;             /* activations that were stopped had their time and did not end */
};

#endif
