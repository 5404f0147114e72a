/* producer.c - removing a producer of any kind by its name. */
#include "hub/producer.h"

#include "hub/hub_parts.h"
#include "hub/hub_query.h"
#include "hub/producer_internal.h"
#include "hub/ready.h"
#include "hub/registry.h"
#include "hub/removal.h"

enum fault_reason hub_remove(struct hub *hub, struct bytes name, int64_t drain_ns,
                             void (*each)(void *ctx, const struct producer_view *view), void *ctx,
                             struct fault *fault)
{
    enum fault_reason reason = hub_producer(hub, name, each, ctx, fault);
    struct producer *producer = registry_find(hub_registry(hub), name);

    if (reason != FAULT_NONE)
        return reason;
    if (producer->kind->stays)
        return fault_bytes(fault, FAULT_PRODUCER_STAYS, "name", name, producer->kind->taken);
    producer->kind->remove(producer, FAULT_REMOVED, drain_ns);
    ready_run(hub_ready(hub));
    return FAULT_NONE;
}

void hub_report_removal(struct hub *hub, struct bytes name, struct removal *removal)
{
    struct producer *producer = registry_find(hub_registry(hub), name);

    if (producer)
        removal_begin(producer, removal);
}
