/* session.c - what any thread may call: register, emit, end, flush, finish, cancel, wait, free. */
#include "client/lib/session/session_state.h"

#include <stdlib.h>

#include "client/lib/core/encode.h"
#include "client/lib/session/send_queue.h"
#include "client/lib/session/session_encode.h"
#include "client/lib/session/session_options.h"
#include "client/lib/core/status.h"

static void destroy(struct tributary_session *session)
{
    buf_fini(&session->hello);
    list_each(node, safe, &session->queues) {
        struct send_queue *queue = container_of(node, struct send_queue, link);

        CHECK(queue->unconfirmed == 0); /* true because the stream has ended */
        send_queue_drop(session, queue);
    }
    heap_fini(&session->lingering);
    heap_fini(&session->stopping);
    map_fini(&session->by_id);
    pthread_cond_destroy(&session->changed);
    pthread_mutex_destroy(&session->lock);
    free(session);
}

static struct tributary_session *make(struct tributary *client)
{
    struct tributary_session *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    session->client = client;
    session->wake = SESSION_WAKE_NOT; /* until there is a registration, which checks the queues */
    CHECK(pthread_mutex_init(&session->lock, NULL) == 0);
    cond_init(&session->changed);
    map_init(&session->by_id);
    list_init(&session->queues);
    list_init(&session->ready);
    session_stream_init(session);
    return session;
}

enum tributary_code tributary_register(struct tributary *client,
                                       const struct tributary_session_options *options,
                                       const struct tributary_session_callbacks *callbacks,
                                       struct tributary_session **session_out,
                                       struct tributary_status *status)
{
    struct tributary_session *session = make(client);

    if (!session)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    session->callbacks = *callbacks;
    session->options = *options;

    const char *fault = session_apply_defaults(&session->options);

    if (!fault)
        fault = numbering_init(&session->numbering, options->confirm, &options->numbering);
    session->numbers_size =
        numbering_write(&session->numbering, PB_REGISTER_REQUEST_PUBLISHER, session->numbers);
    session->stats.life = session->numbering.on ? session->numbering.life : 0;
    if (!fault)
        session_write_hello(&session->options, &session->hello);
    if (fault || session->hello.broken ||
        (session->options.mode == TRIBUTARY_MODE_SHARED && !send_queue_open(session, SHARED_QUEUE))) {
        destroy(session);
        return fault ? status_set(status, TRIBUTARY_INVALID_ARGUMENT, fault)
                     : status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    }
    session->options.name = NULL; /* `hello` holds all texts */
    session->options.labels = NULL;
    session->options.topics = NULL;
    session->options.numbering = (struct tributary_numbering){0}; /* its id is the caller's */
    atomic_fetch_add(&client->users, 1);
    *session_out = session;
    client_post(client, &session->begin);
    return status_set(status, TRIBUTARY_OK, "");
}

/* Under the lock. Finds the queue that takes events for this activation. */
static enum tributary_code find_open_queue(const struct tributary_session *session, uint64_t activation,
                                           struct send_queue **queue_out)
{
    if (session->emit_code != TRIBUTARY_OK)
        return session->emit_code;
    *queue_out = send_queue_find(session, activation);
    return *queue_out ? TRIBUTARY_OK : TRIBUTARY_NOT_FOUND;
}

/* Under the lock, which is free while this waits. The queue may be freed meanwhile, so
 * *queue_out is set again. Returns why there is no space, or OK. */
static enum tributary_code wait_for_space(struct tributary_session *session, uint64_t activation, size_t size,
                                          struct send_queue **queue_out)
{
    const int64_t limit_ns = session->options.wait_timeout_ns;
    const int64_t deadline_ns = limit_ns > 0 ? clock_from_now_ns(limit_ns) : INT64_MAX;
    enum tributary_code code = TRIBUTARY_OK;
    bool in_time = true;

    if (session->options.when_full == TRIBUTARY_WHEN_FULL_FAIL) {
        (*queue_out)->full = true;
        return TRIBUTARY_RESOURCE_EXHAUSTED;
    }
    if (on_client_thread(session->client))
        return TRIBUTARY_FAILED_PRECONDITION;
    while (in_time && (code = find_open_queue(session, activation, queue_out)) == TRIBUTARY_OK &&
           send_queue_is_full(session, *queue_out, size))
        in_time = send_queue_wait_for_space(session, *queue_out, deadline_ns);
    if (code == TRIBUTARY_OK)
        code = find_open_queue(session, activation, queue_out);
    if (code == TRIBUTARY_OK && send_queue_is_full(session, *queue_out, size))
        code = TRIBUTARY_DEADLINE_EXCEEDED;
    return code;
}

enum tributary_code tributary_session_emit(struct tributary_session *session, uint64_t activation,
                                           const struct tributary_event *event)
{
    enum tributary_code code = TRIBUTARY_OK;
    struct send_queue *queue = NULL;
    size_t size = 0;
    bool wake = false;

    if (event_check(event, &size))
        return TRIBUTARY_INVALID_ARGUMENT;

    const size_t field_size = event_field_size(size);

    pthread_mutex_lock(&session->lock);
    code = find_open_queue(session, activation, &queue);
    if (code == TRIBUTARY_OK && send_queue_is_full(session, queue, field_size))
        code = wait_for_space(session, activation, field_size, &queue);
    if (code == TRIBUTARY_OK && !send_queue_add(session, queue, event, size))
        code = TRIBUTARY_RESOURCE_EXHAUSTED;
    if (code == TRIBUTARY_OK)
        wake = send_queue_touch(session, queue);
    pthread_mutex_unlock(&session->lock);
    if (wake)
        client_post(session->client, &session->work);
    return code;
}

enum tributary_code tributary_session_end(struct tributary_session *session, uint64_t activation,
                                          enum tributary_code code, const char *message)
{
    enum tributary_code outcome = TRIBUTARY_OK;
    struct send_queue *queue = NULL;
    bool wake = false;

    pthread_mutex_lock(&session->lock);
    queue = activation != SHARED_QUEUE ? send_queue_find(session, activation) : NULL;
    if (!queue)
        outcome = TRIBUTARY_NOT_FOUND;
    else if (!send_queue_end(session, queue, code, message))
        outcome = TRIBUTARY_RESOURCE_EXHAUSTED;
    else
        wake = send_queue_touch(session, queue);
    pthread_mutex_unlock(&session->lock);
    if (wake)
        client_post(session->client, &session->work);
    return outcome;
}

enum tributary_code tributary_session_flush(struct tributary_session *session, int64_t timeout_ns)
{
    const int64_t deadline_ns = clock_from_now_ns(timeout_ns);
    bool in_time = true;

    if (on_client_thread(session->client))
        return TRIBUTARY_FAILED_PRECONDITION;
    pthread_mutex_lock(&session->lock);

    const struct tributary_session_stats *stats = &session->stats;
    const uint64_t goal = stats->accepted;

    session->flush_waiters++;
    while (in_time && stats->confirmed + stats->dropped < goal)
        in_time = cond_wait_until(&session->changed, &session->lock, deadline_ns);
    session->flush_waiters--;
    in_time = stats->confirmed + stats->dropped >= goal;
    pthread_mutex_unlock(&session->lock);
    return in_time ? TRIBUTARY_OK : TRIBUTARY_DEADLINE_EXCEEDED;
}

void tributary_session_stats(struct tributary_session *session, struct tributary_session_stats *stats_out)
{
    pthread_mutex_lock(&session->lock);
    *stats_out = session->stats;
    pthread_mutex_unlock(&session->lock);
}

void tributary_session_finish(struct tributary_session *session, int64_t drain_ns)
{
    pthread_mutex_lock(&session->lock);

    const bool first = !session->wants_finish;

    session->wants_finish = true;
    if (first)
        session->drain_ns = drain_ns;
    pthread_mutex_unlock(&session->lock);
    if (first)
        client_post(session->client, &session->work);
}

void tributary_session_cancel(struct tributary_session *session)
{
    pthread_mutex_lock(&session->lock);

    const bool first = !session->wants_cancel;

    session->wants_cancel = true;
    pthread_mutex_unlock(&session->lock);
    if (first)
        client_post(session->client, &session->work);
}

enum tributary_code tributary_session_wait(struct tributary_session *session, int64_t timeout_ns,
                                           struct tributary_status *status)
{
    const int64_t deadline_ns = clock_from_now_ns(timeout_ns);
    enum tributary_code code = TRIBUTARY_OK;
    bool in_time = true;

    CHECK(!on_client_thread(session->client));
    pthread_mutex_lock(&session->lock);
    while (in_time && !session->ended)
        in_time = cond_wait_until(&session->changed, &session->lock, deadline_ns);
    if (session->ended) {
        code = session->final.code;
        if (status)
            *status = session->final;
    } else {
        code = status_set_reason(status, TRIBUTARY_DEADLINE_EXCEEDED, "STILL_RUNNING",
                                 "the session has not ended");
    }
    pthread_mutex_unlock(&session->lock);
    return code;
}

void tributary_session_free(struct tributary_session *session)
{
    if (!session)
        return;

    struct tributary *client = session->client;

    CHECK(!on_client_thread(client));
    client_post(client, &session->end);
    pthread_mutex_lock(&session->lock);
    while (!session->released)
        cond_wait_until(&session->changed, &session->lock, INT64_MAX);
    pthread_mutex_unlock(&session->lock);
    destroy(session);
    atomic_fetch_sub(&client->users, 1);
}
