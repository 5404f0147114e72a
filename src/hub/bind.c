/* bind.c - binds producers and subscriptions that want each other, whichever of them came first.
 * How the two are bound is the producer's kind's to know. */
#include "hub/bind.h"

#include "hub/called.h"
#include "hub/endpoint_rules.h"
#include "hub/producer_internal.h"
#include "hub/subscription_internal.h"

/* A call is answered by those that serve its method; other consumers get those that publish.
 * *entry_out is NULL for these. */
static bool may_bind(const struct producer *producer, const struct subscription *subscription,
                     const struct serve_entry **entry_out)
{
    struct called *called = subscription->called;

    *entry_out = NULL;
    if (!called)
        return !producer->serves_only;
    *entry_out = serve_entries_find(producer->serve, producer->serve_count, called->method);
    if (!called->is_settled)
        called->serving += !!*entry_out;
    return *entry_out && !(called->is_settled && called->refuse_many);
}

enum err bind_pair(struct producer *producer, struct subscription *subscription,
                   const struct start_point *start_point, struct list *created)
{
    const struct serve_entry *entry;
    struct filter_part part;

    if (!may_bind(producer, subscription, &entry))
        return ERR_OK;
    if (producer->kind->wildcards && subscription->wildcard.in_set)
        return ERR_OK; /* the wildcard set has bound them */
    part = producer_part(producer, subscription->filter);
    if (part.answer == FILTER_NONE)
        return ERR_OK;
    if (entry)
        called_add(subscription->called, entry);
    return producer->kind->bind(producer, subscription, &part, start_point, created);
}

bool bind_may_retry(const struct producer *producer, const struct subscription *subscription, uint32_t code)
{
    const struct called *called = subscription->called;

    if (!subscription->ends_with_activations)
        return true;
    return called && !endpoint_is_refused(code) &&
           called_rejoins(called, serve_entries_find(producer->serve, producer->serve_count, called->method));
}
