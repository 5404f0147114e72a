/* hub_holdups.h - what holds one producer up among its consumers, for those who ask what limits it.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_HUB_HOLDUPS_H
#define TRIBUTARY_HUB_HUB_HOLDUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/fault.h"

struct hub;

/* Of the first 128 of its consumers, or of their calls. The ids are valid until the loop goes
 * on. */
struct holdups {
    const char *blocking_id; /* whose full buffer blocks it; NULL: none was found */
    const char *paused_id;   /* who has asked it to pause; NULL: nobody */
    uint32_t waiting;        /* activations that have failed, and are started again */
    int64_t retry_at_ns;     /* the first of them, clock_mono_ns(); INT64_MAX: not known */
    uint64_t failed_call;    /* BY_REQUEST: a shared call that is UNAVAILABLE; 0: none */
};

/* FAULT_NONE, or PRODUCER_NOT_FOUND: *holdups_out is unchanged then. */
MUST_CHECK enum fault_reason hub_holdups(struct hub *hub, struct bytes name, struct holdups *holdups_out,
                                         struct fault *fault);

#endif
