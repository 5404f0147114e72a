/* session_view.c - sessions as queries show them. */
#include "hub/hub_query.h"
#include "hub/session_internal.h"

void session_view(struct session *session, struct producer_view *view)
{
    int32_t paused = atomic_load_explicit(&session->paused, memory_order_relaxed);

    view->open_calls = 1;
    view->is_session = true;
    view->labels = session->producer.labels;
    view->label_count = session->producer.label_count;
    view->topics = session->topics;
    view->topic_count = session->topic_count;
    view->paused_activations = paused > 0 ? (uint32_t)paused : 0;
    view->expired_activations = session->expired_activations;
}
