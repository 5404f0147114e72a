/* producer_noted.h - what the change log has heard of a producer (producer_change.h).
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_PRODUCER_NOTED_H
#define TRIBUTARY_HUB_PRODUCER_NOTED_H

#include <stdbool.h>
#include <stdint.h>

/* What was reported of a producer. In every producer; zeroed at first. */
struct producer_noted {
    bool is_added;      /* it was added, and its end has not begun */
    uint8_t state;      /* enum producer_state */
    uint32_t period;    /* of the change log, in which the rest was noted */
    int64_t failure_ns; /* of its last failure */
};

#endif
