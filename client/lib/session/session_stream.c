/* session_stream.c - the call of a session: registers, sends one message at a time, and registers
 * again after a loss. Client thread. */
#include "client/lib/session/session_state.h"

#include <stdio.h>
#include <string.h>

#include "base/fsm.h"
#include "client/lib/session/send_queue.h"
#include "client/lib/session/session_answer.h"
#include "client/lib/core/status.h"
#include "grpc/slices.h"

#define METHOD "/tributary.v1.Publisher/Register"
#define DEFAULT_DRAIN_NS (5 * NS_PER_S)
/* From hello to welcome. An older session of the same name may have to end first. */
#define WELCOME_LIMIT_NS (10 * NS_PER_S)
/* For the status, after the limit for waiting events. */
#define MEMORY_WAIT_NS (10 * NS_PER_MS) /* until memory is asked for again */
#define STATUS_LIMIT_NS (5 * NS_PER_S)

static void open_stream(struct tributary_session *session)
{
    const struct stream_opening opening = {
        .method = METHOD, .deadline_ns = INT64_MAX, .wait_for_connection = true};

    session->message_number = 1;
    session->hello_sent = false;
    session->half_closed = false;
    session->closing = CLOSING_NOT;
    cq_timer_set(session->client->thread, &session->retry,
                 clock_mono_ns() + session->client->connect_timeout_ns);
    stream_open(&session->stream, &opening);
    stream_send(&session->stream, slice_copy_of((struct bytes){session->hello.data, session->hello.size}));
}

/* Under the lock. Numbers a shared message that was removed from its queue. NULL: out of memory; it
 * is back in its queue, and *again_ns is when to try again. */
static struct batch *number(struct tributary_session *session, struct batch *batch, int64_t *again_ns)
{
    struct batch *numbered = numbering_assign(&session->numbering, batch);

    if (numbered) {
        session->unanswered++;
        if (session->numbering.on)
            session->stats.life = session->numbering.life;
        return numbered;
    }
    send_queues_requeue(session, batch);
    send_queue_touch(session, batch->queue);
    *again_ns = clock_mono_ns() + MEMORY_WAIT_NS;
    return NULL;
}

static struct batch *next_batch(struct tributary_session *session)
{
    const int64_t now_ns = clock_mono_ns();
    struct batch *batch = NULL;
    int64_t again_ns = INT64_MAX;
    int64_t linger_ns = INT64_MAX;

    pthread_mutex_lock(&session->lock);
    again_ns = send_queues_end_pauses(session, now_ns);
    if (session_may_send(session))
        batch = send_queues_next(session, now_ns, &linger_ns);
    if (batch && batch->queue->id == SHARED_QUEUE)
        batch = number(session, batch, &linger_ns);
    if (batch)
        session->stats.messages++;
    pthread_mutex_unlock(&session->lock);
    again_ns = MIN_OF(again_ns, linger_ns);
    if (!batch && again_ns != INT64_MAX)
        cq_timer_set(session->client->thread, &session->linger, again_ns);
    return batch;
}

/* Whether to close this side: everything is sent, and, if the server ends the registration, all
 * activations have ended, too. */
static bool may_close(struct tributary_session *session)
{
    bool done = false;

    if (session->state != SESSION_LEAVING || session->half_closed)
        return false;
    if (session->numbering.on && session->unanswered > 0)
        return false; /* some of it may have to be sent again */
    pthread_mutex_lock(&session->lock);
    done = send_queues_are_empty(session) && (session->finishing || session->stats.activations == 0);
    pthread_mutex_unlock(&session->lock);
    return done;
}

void session_pump(struct tributary_session *session)
{
    struct batch *batch = NULL;

    if ((session->state != SESSION_LIVE && session->state != SESSION_LEAVING) || session->half_closed)
        return;
    if (!stream_may_send(&session->stream))
        return;
    batch = next_batch(session);
    if (batch) {
        batch->number = ++session->message_number;
        list_append(&session->sent, &batch->node);
        stream_send(&session->stream, batch_slice(batch));
    } else if (may_close(session)) {
        session->half_closed = true;
        stream_half_close(&session->stream);
    }
}

static void on_sent(struct stream *stream, bool ok)
{
    struct tributary_session *session = container_of(stream, struct tributary_session, stream);

    if (!ok)
        return;
    if (!session->hello_sent && session->state == SESSION_OPENING) {
        session->hello_sent = true;
        cq_timer_set(session->client->thread, &session->retry, clock_mono_ns() + WELCOME_LIMIT_NS);
    }
    session_pump(session);
}

static void on_message(struct stream *stream, struct bytes message)
{
    struct tributary_session *session = container_of(stream, struct tributary_session, stream);

    if (session->state == SESSION_CANCELLING)
        return;
    if (!session_handle_commands(session, message))
        stream_cancel(stream, TRIBUTARY_INTERNAL, "a command of the server cannot be read");
    session_pump(session);
}

static void requeue_sent(struct tributary_session *session)
{
    session_requeue_sent(session);
    pthread_mutex_lock(&session->lock);
    session->hold_shared = false;

    struct send_queue *shared = send_queue_find_any(session, SHARED_QUEUE);

    if (shared) {
        shared->paused = false;
        send_queue_touch(session, shared);
    }
    pthread_mutex_unlock(&session->lock);
}

/* Ends one activation after a loss. False: there is none. It ends only one, because a callback may
 * end others. */
static bool end_lost_activation(struct tributary_session *session)
{
    struct send_queue *queue = NULL;
    uint64_t activation = 0;
    bool notify = false;

    pthread_mutex_lock(&session->lock);
    list_each(node, safe, &session->queues) {
        queue = container_of(node, struct send_queue, link);
        if (queue->id != SHARED_QUEUE)
            break;
        queue = NULL;
    }
    if (queue) {
        activation = queue->id;
        notify = !queue->ended;
        send_queue_drop(session, queue);
    }
    pthread_mutex_unlock(&session->lock);
    if (notify && session->callbacks.stop)
        session->callbacks.stop(session->callbacks.ctx, activation, "LOST", 0);
    return activation != SHARED_QUEUE;
}

/* The last use of the session on the client thread. After the unlock the session may be freed. */
static void release(struct tributary_session *session)
{
    if (client_post_behind(session->client, &session->work, &session->end))
        return; /* on_free() comes here again */
    pthread_mutex_lock(&session->lock);
    session->released = true;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
}

static void end(struct tributary_session *session)
{
    struct send_queue *shared = NULL;
    bool is_freed = false;

    if (!stream_is_closed(&session->stream))
        return;
    cq_timer_stop(session->client->thread, &session->retry);
    cq_timer_stop(session->client->thread, &session->linger);
    fsm_move(&session_machine, session, SESSION_ENDED);
    pthread_mutex_lock(&session->lock);
    session->emit_code = session->last.code == TRIBUTARY_OK ? TRIBUTARY_CANCELLED : session->last.code;
    shared = send_queue_find_any(session, SHARED_QUEUE);
    if (shared)
        send_queue_clear(session, shared);
    send_queues_wake_waiters(session);
    pthread_mutex_unlock(&session->lock);
    if (session->callbacks.ended)
        session->callbacks.ended(session->callbacks.ctx, &session->last);
    pthread_mutex_lock(&session->lock);
    session->final = session->last;
    session->ended = true;
    is_freed = session->is_freed;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    if (is_freed)
        release(session);
}

static void back_off(struct tributary_session *session)
{
    const int64_t retry_ns = client_backoff_ns(session->client, session->attempt++);

    fsm_move(&session_machine, session, SESSION_BACKOFF);
    cq_timer_set(session->client->thread, &session->retry, clock_mono_ns() + retry_ns);
    if (session->callbacks.interrupted)
        session->callbacks.interrupted(session->callbacks.ctx, &session->last, retry_ns);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_session *session = container_of(stream, struct tributary_session, stream);
    bool again = false;

    session->last = *status;
    cq_timer_stop(session->client->thread, &session->retry);
    cq_timer_stop(session->client->thread, &session->linger);
    requeue_sent(session);
    while (end_lost_activation(session))
        continue;
    if (session->is_doomed)
        session->last = session->doom;
    else if (session->state != SESSION_CANCELLING)
        again = session_should_retry(&session->last, session->closing, session->finishing);
    if (again && !session->options.no_reconnect)
        back_off(session);
    else
        end(session);
}

/* Under the lock. */
static void clear_queues(struct tributary_session *session)
{
    list_each(node, safe, &session->queues)
        send_queue_clear(session, container_of(node, struct send_queue, link));
}

/* The limit for waiting events has passed, for example because an activation is paused. If the end
 * is ours, the events are dropped. If it is the server's, the server keeps its own deadline, and
 * shared events wait for the next registration. Now only the status may follow. */
static void expired(struct tributary_session *session)
{
    session->expired = true;
    if (session->finishing) {
        pthread_mutex_lock(&session->lock);
        clear_queues(session);
        pthread_mutex_unlock(&session->lock);
    }
    cq_timer_set(session->client->thread, &session->retry, clock_mono_ns() + STATUS_LIMIT_NS);
    session_pump(session);
}

static void on_retry(struct cq_timer *timer, int64_t now_ns)
{
    struct tributary_session *session = container_of(timer, struct tributary_session, retry);

    (void)now_ns;
    if (session->state == SESSION_BACKOFF) {
        fsm_move(&session_machine, session, SESSION_OPENING);
        open_stream(session);
    } else if (session->state == SESSION_OPENING) {
        stream_cancel(&session->stream, TRIBUTARY_UNAVAILABLE,
                      session->hello_sent ? "the server did not welcome the session in time"
                                          : "the server cannot be reached");
    } else if (session->state == SESSION_LEAVING && !session->expired) {
        expired(session);
    } else {
        stream_cancel(&session->stream, TRIBUTARY_DEADLINE_EXCEEDED, "the registration did not end in time");
    }
}

static void on_linger(struct cq_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    session_pump(container_of(timer, struct tributary_session, linger));
}

static void cancel(struct tributary_session *session)
{
    if (session->state == SESSION_BACKOFF) {
        status_set(&session->last, TRIBUTARY_CANCELLED, "cancelled while there was no connection");
        end(session);
    } else if (session->state != SESSION_CANCELLING && session->state != SESSION_ENDED) {
        fsm_move(&session_machine, session, SESSION_CANCELLING);
        stream_cancel(&session->stream, TRIBUTARY_CANCELLED, "cancelled");
    }
}

static void finish(struct tributary_session *session, int64_t drain_ns)
{
    if (session->state == SESSION_OPENING || session->state == SESSION_BACKOFF) {
        cancel(session);
        return;
    }
    if ((session->state != SESSION_LIVE && session->state != SESSION_LEAVING) || session->finishing)
        return;
    session->finishing = true;
    pthread_mutex_lock(&session->lock);
    session->emit_code = TRIBUTARY_CANCELLED;
    if (drain_ns < 0)
        clear_queues(session);
    send_queues_wake_waiters(session);
    pthread_mutex_unlock(&session->lock);
    session_leave_within(session,
                         drain_ns == 0 ? DEFAULT_DRAIN_NS : MIN_OF(MAX_OF(drain_ns, 0), 86400 * NS_PER_S));
    session_pump(session);
}

static void on_begin(struct post *post)
{
    open_stream(container_of(post, struct tributary_session, begin));
}

static void on_work(struct post *post)
{
    struct tributary_session *session = container_of(post, struct tributary_session, work);

    pthread_mutex_lock(&session->lock);

    const bool wants_cancel = session->wants_cancel;
    const bool wants_finish = session->wants_finish;
    const int64_t drain_ns = session->drain_ns;

    pthread_mutex_unlock(&session->lock);
    if (wants_cancel) {
        cancel(session);
        return;
    }
    if (wants_finish)
        finish(session, drain_ns);
    session_pump(session);
}

static void on_free(struct post *post)
{
    struct tributary_session *session = container_of(post, struct tributary_session, end);

    if (session->state == SESSION_ENDED) {
        release(session);
        return;
    }
    pthread_mutex_lock(&session->lock);
    session->is_freed = true;
    pthread_mutex_unlock(&session->lock);
    cancel(session);
}

void session_stream_init(struct tributary_session *session)
{
    static const struct stream_port port = {.sent = on_sent, .received = on_message, .ended = on_ended};

    stream_init(&session->stream, session->client, &port);
    list_init(&session->sent);
    session->retry.fired = on_retry;
    session->linger.fired = on_linger;
    session->begin.run = on_begin;
    session->work.run = on_work;
    session->end.run = on_free;
}
