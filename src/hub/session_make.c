/* session_make.c - sessions: making and freeing them. */
#include "hub/session_internal.h"
#include "hub/session_kind.h"

#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/counters.h"
#include "event/serve_entry.h"
#include "hub/hub_parts.h"
#include "hub/session.h"
#include "route/inlet.h"

static uint8_t *copy_text(struct bytes *copy, struct bytes text, uint8_t *at)
{
    *copy = (struct bytes){at, text.size};
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return at + text.size;
}

static size_t size_of_texts(const struct session_params *params)
{
    size_t size = params->label_count * sizeof(struct pair) + params->topic_count * sizeof(struct bytes) +
                  params->serve_count * sizeof(struct serve_entry);

    for (size_t i = 0; i < params->label_count; i++)
        size += params->labels[i].name.size + params->labels[i].value.size;
    for (size_t i = 0; i < params->topic_count; i++)
        size += params->topics[i].size;
    for (size_t i = 0; i < params->serve_count; i++)
        size += params->serve[i].size;
    return size;
}

/* Copies labels, topics, what it serves, and all their bytes, into one piece of memory. */
static enum err copy_texts(struct session *session, const struct session_params *params)
{
    uint8_t *at;

    session->text_bytes = MAX_OF(size_of_texts(params), 1u);
    session->labels = budget_calloc(COUNT_LIVE_SESSION_BYTES, session->text_bytes);
    if (!session->labels)
        return ERR_NO_MEMORY;
    session->topic_count = params->topic_count;
    session->topics = (struct bytes *)(void *)(session->labels + params->label_count);
    session->serve_count = params->serve_count;
    session->serve = (struct serve_entry *)(void *)(session->topics + params->topic_count);
    at = (uint8_t *)(session->serve + params->serve_count);
    for (size_t i = 0; i < params->label_count; i++) {
        at = copy_text(&session->labels[i].name, params->labels[i].name, at);
        at = copy_text(&session->labels[i].value, params->labels[i].value, at);
    }
    for (size_t i = 0; i < params->topic_count; i++)
        at = copy_text(&session->topics[i], params->topics[i], at);
    for (size_t i = 0; i < params->serve_count; i++) {
        struct bytes text;

        at = copy_text(&text, params->serve[i], at);
        CHECK(!serve_entry_read(text, &session->serve[i])); /* it was checked */
    }
    return ERR_OK;
}

static void free_texts(struct session *session)
{
    budget_free(COUNT_LIVE_SESSION_BYTES, session->labels, session->text_bytes);
}

static void session_free(struct session *session)
{
    producer_fini(&session->producer);
    pthread_mutex_destroy(&session->lock);
    pthread_mutex_destroy(&session->pause_lock);
    free(session->slots);
    map_fini(&session->shared_calls.by_request);
    peer_counts_fini(&session->shared_calls.peers);
    free_texts(session);
    free(session);
    count_add(COUNT_LIVE_SESSIONS, -1);
}

void session_release(struct session *session)
{
    if (session && atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) == 1)
        session_free(session);
}

struct session *session_new(struct hub *hub, const struct session_kind *kind,
                            const struct ready_kind *ready_kind, const struct session_params *params)
{
    struct inlet_start start = {.name = params->name, .epoch = clock_epoch_ns(), .state = INLET_CLOSED};
    struct session *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    endpoint_init(&session->endpoint, params->endpoint);
    start.source_state = endpoint_first_state(&session->endpoint);
    if (copy_texts(session, params) != ERR_OK ||
        producer_init(&session->producer, &kind->producer, hub, hub_registry(hub), &start, params->peer) !=
            ERR_OK) {
        free_texts(session);
        free(session);
        return NULL;
    }
    session->producer.labels = session->labels;
    session->producer.label_count = params->label_count;
    session->producer.serve = session->serve;
    session->producer.serve_count = session->serve_count;
    session->producer.serves_only = params->serves_only;
    session->kind = kind;
    session->history = params->history;
    if (params->mode == SESSION_SHARED && params->history.events > 0)
        inlet_keep_history(&session->producer.inlet, &session->history);
    session->port = params->port;
    session->port_ctx = params->ctx;
    session->state = SESSION_WAITING;
    session->deadline_ns = INT64_MAX;
    atomic_init(&session->refs, 1);
    CHECK(pthread_mutex_init(&session->lock, NULL) == 0);
    CHECK(pthread_mutex_init(&session->pause_lock, NULL) == 0);
    list_init(&session->link);
    list_init(&session->activations);
    list_init(&session->to_end);
    list_init(&session->shared_calls.all);
    session->shared_calls.ignore_requests = params->same_request;
    ready_init(&session->ready, ready_kind, hub_ready(hub));
    count_add(COUNT_LIVE_SESSIONS, 1);
    return session;
}
