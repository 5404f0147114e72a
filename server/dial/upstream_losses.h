/* upstream_losses.h - what an upstream says it has lost, in one EventBatch whose events become
 * those of the endpoint. Neither sources nor sequences are kept. So the losses of one message are
 * added up by their reasons, and a hostile message is no more work behind that than an honest one.
 *
 * Threads: one at a time. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_LOSSES_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_LOSSES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"
#include "flow/chan_limits.h"
#include "flow/source_loss.h"

struct session;

struct upstream_losses {
    bool any;                                 /* false: the rest is not set */
    struct source_loss by_reason[LOSS_COUNT]; /* without sequences */
};

static inline void upstream_losses_init(struct upstream_losses *losses)
{
    losses->any = false;
}

/* Adds a `Lost`. FAULT_NONE, or why the message is refused: it is malformed. */
MUST_CHECK enum fault_reason upstream_losses_add(struct upstream_losses *losses, struct bytes lost,
                                                 struct fault *fault);

/* Any thread. The consumers of the activation hear of them: session_lose(). */
void upstream_losses_report(const struct upstream_losses *losses, struct session *session,
                            uint64_t activation);

#endif
