/* producer_sample.c - see producer_sample.h. */
#include "server/rpc/producer_sample.h"

#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/counters.h"
#include "hub/hub_holdups.h"
#include "hub/hub_query.h"
#include "server/dial/dialled.h"
#include "server/dial/endpoint.h"

struct gathering {
    struct producer_sample *sample;
    const struct holdups *holdups;
};

static int64_t left_ns(int64_t until_ns, int64_t now_ns)
{
    return until_ns == INT64_MAX ? NOT_SO : MAX_OF(until_ns - now_ns, INT64_C(0));
}

/* A call of an endpoint is opened again by the endpoint, or by the hub (PER_CONSUMER). */
static void add_endpoint(const struct gathering *gathering, const struct producer_view *view)
{
    struct producer_stats *at = &gathering->sample->stats;
    const struct dialled *dialled = view->port_ctx;

    at->is_set = dialled->kind == DIALLED_SET;
    at->waits_turn = !at->is_set && endpoint_waits_turn(dialled);
    if (!at->is_set && !view->per_consumer)
        at->retry_in_ns =
            left_ns(endpoint_retry_at(dialled, gathering->holdups->failed_call), gathering->sample->at_ns);
}

static void add_failure(struct producer_stats *at, const struct producer_view *view)
{
    const struct session_failure failure = view->port->failure(view->port_ctx);

    at->failure_code = failure.code;
    at->failed_in_dial = !failure.was_accepted;
    snprintf(at->failure_text, sizeof(at->failure_text), "%s", failure.message ? failure.message : "");
}

static void add_producer(void *ctx, const struct producer_view *view)
{
    struct gathering *gathering = ctx;
    struct producer_stats *at = &gathering->sample->stats;
    const size_t size = MIN_OF(view->name.size, MAX_LIMIT_NAME);

    memcpy(at->name, view->name.data, size);
    gathering->sample->published = view->published.events;
    at->state = view->state;
    at->is_endpoint = view->is_endpoint;
    at->is_away = !view->is_session && !view->is_relayed && !view->is_topic && view->open_calls == 0;
    at->has_calls =
        view->per_consumer || view->activations > 0 || (view->is_endpoint && view->state == PRODUCER_IDLE);
    at->subscriptions = view->subscriptions;
    at->activations = view->activations;
    at->blocked_calls = view->blocked_calls;
    at->paused = view->paused_activations;
    at->last_event_ns =
        view->last_event_wall_ns == 0 ? NOT_SO : MAX_OF(clock_wall_ns() - view->last_event_wall_ns, 0);
    if (view->is_endpoint && view->port_ctx) {
        add_endpoint(gathering, view);
        if (view->port->failure)
            add_failure(at, view);
    }
}

enum fault_reason producer_sample_read(struct hub *hub, struct bytes name, struct producer_sample *sample,
                                       struct fault *fault)
{
    struct holdups holdups;
    struct gathering gathering = {sample, &holdups};
    struct producer_stats *at = &sample->stats;

    *sample = (struct producer_sample){.at_ns = clock_mono_ns(),
                                       .refused_batches = count_get(COUNT_REFUSED_BATCHES)};
    if (hub_holdups(hub, name, &holdups, fault))
        return fault->reason;
    at->waiting = holdups.waiting;
    at->retry_in_ns = left_ns(holdups.retry_at_ns, sample->at_ns);
    snprintf(at->blocking_id, sizeof(at->blocking_id), "%s", holdups.blocking_id ? holdups.blocking_id : "");
    snprintf(at->paused_id, sizeof(at->paused_id), "%s", holdups.paused_id ? holdups.paused_id : "");
    at->memory_used = budget_used();
    at->memory_limit = budget_limit();
    at->memory_short = budget_is_short();
    return hub_producer(hub, name, add_producer, &gathering, fault);
}

/* A consumer that was in the way at the first look alone is named too. */
void producer_samples_compare(const struct producer_sample *first, struct producer_sample *second)
{
    struct producer_stats *at = &second->stats;

    at->window_ns = second->at_ns - first->at_ns;
    at->published = second->published >= first->published ? second->published - first->published : 0;
    at->refused_batches = (uint64_t)(second->refused_batches - first->refused_batches);
    at->was_blocked = first->stats.blocked_calls > 0;
    at->was_paused = first->stats.paused > 0;
    if (at->blocking_id[0] == '\0')
        memcpy(at->blocking_id, first->stats.blocking_id, sizeof(at->blocking_id));
    if (at->paused_id[0] == '\0')
        memcpy(at->paused_id, first->stats.paused_id, sizeof(at->paused_id));
}
