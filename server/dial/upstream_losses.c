/* upstream_losses.c - see upstream_losses.h. */
#include "server/dial/upstream_losses.h"

#include <string.h>

#include "hub/session.h"
#include "server/dial/cascade_read.h"

/* A message has at most as many entries as bytes, so the sum of its counts cannot overflow. That of
 * the bytes could. */
static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

enum fault_reason upstream_losses_add(struct upstream_losses *losses, struct bytes lost, struct fault *fault)
{
    struct inner_loss inner;

    if (cascade_read_loss(lost, &inner, fault))
        return fault->reason;
    if (!losses->any)
        memset(losses->by_reason, 0, sizeof(losses->by_reason));
    losses->any = true;
    struct source_loss *into = &losses->by_reason[inner.loss.reason];

    into->reason = inner.loss.reason;
    into->count = sum(into->count, inner.loss.count);
    into->bytes = sum(into->bytes, inner.loss.bytes);
    into->count_unknown = into->count_unknown || inner.loss.count_unknown;
    return FAULT_NONE;
}

void upstream_losses_report(const struct upstream_losses *losses, struct session *session,
                            uint64_t activation)
{
    if (!losses->any)
        return;
    for (size_t i = 0; i < ARRAY_LEN(losses->by_reason); i++)
        if (losses->by_reason[i].reason > 0)
            session_lose(session, activation, &losses->by_reason[i]);
}
