/* session_kind.c - what the kinds of sessions have in common. */
#include "base/counters.h"
#include "event/chunk.h"
#include "hub/activation_internal.h"
#include "hub/hub_query.h"
#include "hub/reselection.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"
#include "hub/subscription_internal.h"

void session_view(struct session *session, struct producer_view *view)
{
    int32_t paused = atomic_load_explicit(&session->paused, memory_order_relaxed);

    view->open_calls = 1;
    view->is_session = true;
    view->is_endpoint = session->endpoint.is_endpoint;
    view->port = session->port;
    view->port_ctx = session->unregistered ? NULL : session->port_ctx;
    view->labels = session->producer.labels;
    view->label_count = session->producer.label_count;
    view->topics = session->topics;
    view->topic_count = session->topic_count;
    view->paused_activations = paused > 0 ? (uint32_t)paused : 0;
    view->expired_activations = session->expired_activations;
}

bool session_joinable(const struct producer *producer)
{
    return session_of(producer)->state == SESSION_LIVE;
}

void session_free_at_end(struct producer *producer)
{
    (void)producer;
    CHECK(false);
}

static enum err create(struct producer *producer, struct subscription *subscription,
                       const struct filter *filter, const struct filter_part *part,
                       const struct start_point *start_point, struct list *created)
{
    struct activation *activation =
        activation_new(session_of(producer), subscription, filter, part, start_point);

    if (!activation)
        return ERR_NO_MEMORY;
    list_append(created, &activation->in_subscription);
    return ERR_OK;
}

enum err session_bind_activation(struct producer *producer, struct subscription *subscription,
                                 const struct filter_part *part, const struct start_point *start_point,
                                 struct list *created)
{
    return create(producer, subscription, subscription->filter, part, start_point, created);
}

/* Where the filter before wanted this producer too, its activation goes on, or is gone because it
 * has ended. Then it is not started again. */
enum err session_reselect_activation(struct producer *producer, struct subscription *subscription,
                                     const struct filter_part *part, struct reselection *reselection)
{
    if (producer_part(producer, reselection->before).answer != FILTER_NONE)
        return ERR_OK;
    return create(producer, subscription, reselection->filter, part, NULL, &reselection->created);
}

bool session_has_no_activations(const struct session *session)
{
    return list_empty(&session->activations);
}

enum err session_drop(const struct chunk *chunk)
{
    count_add(COUNT_EVENTS_UNWANTED, chunk->count);
    return ERR_CLOSED;
}
