/* session_kind.c - what the kinds of sessions have in common. */
#include "base/counters.h"
#include "event/chunk.h"
#include "hub/hub_query.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"

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

enum err session_drop(const struct chunk *chunk)
{
    count_add(COUNT_EVENTS_UNWANTED, chunk->count);
    return ERR_CLOSED;
}
