/* subscriber_stream.c - the call of a subscriber: opens its stream, reads it, checks its
 * heartbeats, and opens a new stream after a loss. Client thread. */
#include "client/lib/subscribe/subscriber.h"

#include <string.h>

#include "base/fsm.h"
#include "client/lib/core/bytes.h"
#include "client/lib/core/status.h"
#include "client/lib/subscribe/subscribe_encode.h"
#include "event/field_write.h"
#include "grpc/slices.h"
#include "proto/field_numbers.h"

#define METHOD "/tributary.v1.Subscriber/Subscribe"
#define CONSUME_METHOD "/tributary.v1.Subscriber/Consume"
#define FINISH_METHOD "/tributary.v1.Subscriber/Finish"
#define HEARTBEATS_MISSED 3
#define HELD_RETRY_NS (100 * NS_PER_MS) /* between two looks whether a new stream may be opened */
#define DEFAULT_DRAIN_NS (5 * NS_PER_S)
#define STATUS_LIMIT_NS (5 * NS_PER_S) /* for the status, after the deadline of the drain */

#define RESUME_GAP 8 /* LossReason of event.proto */

static const struct fsm machine = {
    .name = "client.subscriber",
    .states = {[SUBSCRIBER_OPENING] = {"OPENING", BIT(SUBSCRIBER_LIVE) | BIT(SUBSCRIBER_BACKOFF) |
                                                      BIT(SUBSCRIBER_CANCELLING) | BIT(SUBSCRIBER_ENDED)},
               [SUBSCRIBER_LIVE] = {"LIVE", BIT(SUBSCRIBER_BACKOFF) | BIT(SUBSCRIBER_FINISHING) |
                                                BIT(SUBSCRIBER_CANCELLING) | BIT(SUBSCRIBER_ENDED)},
               [SUBSCRIBER_BACKOFF] = {"BACKOFF", BIT(SUBSCRIBER_OPENING) | BIT(SUBSCRIBER_ENDED)},
               [SUBSCRIBER_FINISHING] = {"FINISHING", BIT(SUBSCRIBER_CANCELLING) | BIT(SUBSCRIBER_ENDED)},
               [SUBSCRIBER_CANCELLING] = {"CANCELLING", BIT(SUBSCRIBER_ENDED)},
               [SUBSCRIBER_ENDED] = {"ENDED", 0}},
};

/* Writes the SubscribeRequest of the next stream. Only the first stream starts where the options
 * say; a later one continues where the stream before it stood. */
static void write_request(const struct tributary_subscriber *subscriber, struct buf *request)
{
    buf_bytes(request, subscriber->filter.data, subscriber->filter.size);
    buf_bytes(request, subscriber->request.data, subscriber->request.size);
    resume_state_write(&subscriber->resume, request);
    if (subscriber->resume.token.size == 0 && !subscriber->was_live)
        subscribe_write_start(request, &subscriber->start);
    if (subscriber->limit_events > 0)
        subscribe_write_limit(request, subscriber->limit_events - subscriber->delivered);
}

/* The subscriber got all events of its limit. Only the status of the server is missing. */
static bool limit_reached(const struct tributary_subscriber *subscriber)
{
    return subscriber->limit_events > 0 && subscriber->delivered >= subscriber->limit_events;
}

static void open_stream(struct tributary_subscriber *subscriber)
{
    struct stream_opening opening = {
        .method = CONSUME_METHOD, .deadline_ns = INT64_MAX, .wait_for_connection = true};
    struct buf encoded = {0};

    write_request(subscriber, &encoded);
    subscriber->decoder.resumed = subscriber->resume.token_is_ours && subscriber->resume.token.size > 0;
    cq_timer_set(subscriber->client->thread, &subscriber->retry,
                 clock_mono_ns() + subscriber->client->connect_timeout_ns);
    if (subscriber->consume.enabled) {
        stream_open(&subscriber->stream, &opening);
        consume_open(subscriber, &encoded);
        return;
    }

    grpc_slice request = slice_of_buf(&encoded);

    opening.method = METHOD;
    opening.first = &request;
    stream_open(&subscriber->stream, &opening);
    grpc_slice_unref(request);
}

/* The last use of the subscriber on the client thread. After the unlock it may be freed. */
static void release(struct tributary_subscriber *subscriber)
{
    if (client_post_behind(subscriber->client, &subscriber->work, &subscriber->end))
        return; /* on_free() comes here again */
    pthread_mutex_lock(&subscriber->lock);
    subscriber->released = true;
    pthread_cond_broadcast(&subscriber->changed);
    pthread_mutex_unlock(&subscriber->lock);
}

/* Ends the subscriber, if both calls have ended: the stream, and the call of Finish. */
static void end(struct tributary_subscriber *subscriber)
{
    bool is_freed = false;

    if (!stream_is_closed(&subscriber->stream) || !stream_is_closed(&subscriber->finish_call))
        return;
    cq_timer_stop(subscriber->client->thread, &subscriber->retry);
    cq_timer_stop(subscriber->client->thread, &subscriber->silence);
    fsm_move(&machine, subscriber, SUBSCRIBER_ENDED);
    if (subscriber->callbacks.ended)
        subscriber->callbacks.ended(subscriber->callbacks.ctx, &subscriber->last);
    pthread_mutex_lock(&subscriber->lock);
    subscriber->final = subscriber->last;
    subscriber->ended = true;
    is_freed = subscriber->is_freed;
    pthread_cond_broadcast(&subscriber->changed);
    pthread_mutex_unlock(&subscriber->lock);
    if (is_freed)
        release(subscriber);
}

static void back_off(struct tributary_subscriber *subscriber)
{
    const int64_t retry_ns = client_backoff_ns(subscriber->client, subscriber->attempt++);

    fsm_move(&machine, subscriber, SUBSCRIBER_BACKOFF);
    cq_timer_set(subscriber->client->thread, &subscriber->retry, clock_mono_ns() + retry_ns);
    if (subscriber->callbacks.interrupted)
        subscriber->callbacks.interrupted(subscriber->callbacks.ctx, &subscriber->last, retry_ns);
}

/* The server does not take our token any more, for example because it restarted. This must not end
 * the subscriber: the next stream starts without a token. */
static bool token_was_refused(const struct tributary_subscriber *subscriber)
{
    return subscriber->resume.token_is_ours && subscriber->resume.token.size > 0 &&
           strcmp(subscriber->last.reason, "BAD_TOKEN") == 0;
}

/* The next stream begins where the server stands then: nobody can say what is missed until then.
 * Once for each stream that has begun. */
static void report_gap(struct tributary_subscriber *subscriber)
{
    const struct tributary_lost gap = {.reason = RESUME_GAP, .count_unknown = true};

    if (!subscriber->has_unreported_gap)
        return;
    subscriber->has_unreported_gap = false;
    if (subscriber->callbacks.lost)
        subscriber->callbacks.lost(subscriber->callbacks.ctx, &gap);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_subscriber *subscriber = container_of(stream, struct tributary_subscriber, stream);
    bool again = status_is_retryable(status);

    subscriber->last = *status;
    cq_timer_stop(subscriber->client->thread, &subscriber->retry);
    cq_timer_stop(subscriber->client->thread, &subscriber->silence);
    consume_lost(subscriber);
    if (again && limit_reached(subscriber)) {
        status_set(&subscriber->last, TRIBUTARY_OK, "");
        again = false;
    }
    if (token_was_refused(subscriber)) {
        resume_state_clear(&subscriber->resume);
        again = true;
    }
    if (again && !subscriber->no_reconnect &&
        (subscriber->state == SUBSCRIBER_OPENING || subscriber->state == SUBSCRIBER_LIVE)) {
        if (resume_state_is_empty(&subscriber->resume))
            report_gap(subscriber);
        back_off(subscriber);
        return;
    }
    stream_cancel(&subscriber->finish_call, TRIBUTARY_CANCELLED, "the stream has ended");
    end(subscriber);
}

static void on_started(struct tributary_subscriber *subscriber)
{
    const struct tributary_started *started = &subscriber->decoder.started;

    if (subscriber->state != SUBSCRIBER_OPENING)
        return;
    fsm_move(&machine, subscriber, SUBSCRIBER_LIVE);
    cq_timer_stop(subscriber->client->thread, &subscriber->retry);
    subscriber->attempt = 0;
    subscriber->was_live = true;
    subscriber->has_unreported_gap = true;
    buf_clear(&subscriber->id);
    buf_bytes(&subscriber->id, started->subscription_id.data, started->subscription_id.size);
    subscriber->silence_ns = 0;
    if (started->settings.heartbeat_ns > 0 && started->settings.heartbeat_ns < 86400 * NS_PER_S) {
        subscriber->silence_ns = HEARTBEATS_MISSED * started->settings.heartbeat_ns;
        cq_timer_set(subscriber->client->thread, &subscriber->silence,
                     clock_mono_ns() + subscriber->silence_ns);
    }
}

/* Returns NULL, or the fault of the message. */
static const char *keep_positions(struct tributary_subscriber *subscriber)
{
    resume_state_token(&subscriber->resume, to_bytes(subscriber->decoder.resume_token));
    return resume_state_progress(&subscriber->resume, to_bytes(subscriber->decoder.progress))
               ? NULL
               : "a malformed position";
}

void subscriber_hold(struct tributary_subscriber *subscriber)
{
    subscriber->is_held = true;
    stream_hold(&subscriber->stream);
}

void subscriber_resume(struct tributary_subscriber *subscriber)
{
    pthread_mutex_lock(&subscriber->lock);
    subscriber->wants_resume = true;
    pthread_mutex_unlock(&subscriber->lock);
    client_post(subscriber->client, &subscriber->work);
}

static void resume(struct tributary_subscriber *subscriber)
{
    subscriber->is_held = false;
    subscriber->last_message_ns = clock_mono_ns(); /* it was not silent: nobody listened */
    stream_resume(&subscriber->stream);
}

static void on_message(struct stream *stream, struct bytes message)
{
    struct tributary_subscriber *subscriber = container_of(stream, struct tributary_subscriber, stream);

    if (subscriber->state == SUBSCRIBER_CANCELLING)
        return;

    subscriber->decoder.handled = &subscriber->resume;
    const char *fault = decode_batch(&subscriber->decoder, message, &subscriber->callbacks);

    if (subscriber->decoder.has_started)
        on_started(subscriber);
    if (!fault)
        fault = keep_positions(subscriber);
    if (subscriber->callbacks.applied)
        subscriber->callbacks.applied(subscriber->callbacks.ctx);
    subscriber->delivered += subscriber->decoder.events;
    consume_handled(subscriber);
    subscriber->last_message_ns = clock_mono_ns();
    if (fault)
        stream_cancel(stream, TRIBUTARY_INTERNAL, fault);
}

static void on_sent(struct stream *stream, bool ok)
{
    if (ok)
        consume_pump(container_of(stream, struct tributary_subscriber, stream));
}

static void on_silence(struct cq_timer *timer, int64_t now_ns)
{
    struct tributary_subscriber *subscriber = container_of(timer, struct tributary_subscriber, silence);
    const int64_t limit_ns = subscriber->last_message_ns + subscriber->silence_ns;

    if (subscriber->is_held)
        cq_timer_set(subscriber->client->thread, timer, now_ns + subscriber->silence_ns);
    else if (clock_mono_ns() < limit_ns)
        cq_timer_set(subscriber->client->thread, timer, limit_ns);
    else
        stream_cancel(&subscriber->stream, TRIBUTARY_UNAVAILABLE, "no message for three heartbeats");
}

static void on_retry(struct cq_timer *timer, int64_t now_ns)
{
    struct tributary_subscriber *subscriber = container_of(timer, struct tributary_subscriber, retry);

    if (subscriber->state == SUBSCRIBER_BACKOFF && subscriber->is_held) {
        cq_timer_set(subscriber->client->thread, timer, now_ns + HELD_RETRY_NS);
    } else if (subscriber->state == SUBSCRIBER_BACKOFF) {
        fsm_move(&machine, subscriber, SUBSCRIBER_OPENING);
        open_stream(subscriber);
    } else if (subscriber->state == SUBSCRIBER_OPENING) {
        stream_cancel(&subscriber->stream, TRIBUTARY_UNAVAILABLE, "the server cannot be reached");
    } else {
        stream_cancel(&subscriber->stream, TRIBUTARY_DEADLINE_EXCEEDED,
                      "the server did not finish the stream in time");
    }
}

static void cancel(struct tributary_subscriber *subscriber)
{
    if (subscriber->state == SUBSCRIBER_BACKOFF) {
        status_set(&subscriber->last, TRIBUTARY_CANCELLED, "cancelled while there was no connection");
        end(subscriber);
    } else if (subscriber->state != SUBSCRIBER_CANCELLING && subscriber->state != SUBSCRIBER_ENDED) {
        fsm_move(&machine, subscriber, SUBSCRIBER_CANCELLING);
        stream_cancel(&subscriber->stream, TRIBUTARY_CANCELLED, "cancelled");
        end(subscriber);
    }
}

/* FinishRequest { subscription_id = 1, drain = 2 } */
static void finish(struct tributary_subscriber *subscriber, int64_t drain_ns)
{
    const int64_t limit_ns = drain_ns == 0 ? DEFAULT_DRAIN_NS : MAX_OF(drain_ns, 0);
    const int64_t deadline_ns =
        clock_from_now_ns(limit_ns > INT64_MAX - STATUS_LIMIT_NS ? INT64_MAX : limit_ns + STATUS_LIMIT_NS);
    struct buf request = {0};

    if (subscriber->state != SUBSCRIBER_LIVE) {
        if (subscriber->state != SUBSCRIBER_FINISHING)
            cancel(subscriber);
        return;
    }
    fsm_move(&machine, subscriber, SUBSCRIBER_FINISHING);
    cq_timer_set(subscriber->client->thread, &subscriber->retry, deadline_ns);
    if (subscriber->consume.enabled) {
        consume_pump(subscriber);
        return;
    }
    field_bytes_always(&request, PB_FINISH_REQUEST_SUBSCRIPTION_ID,
                       (struct bytes){subscriber->id.data, subscriber->id.size});
    field_duration(&request, PB_FINISH_REQUEST_DRAIN, drain_ns);

    grpc_slice message = slice_of_buf(&request);
    const struct stream_opening opening = {
        .method = FINISH_METHOD, .first = &message, .deadline_ns = deadline_ns};

    stream_open(&subscriber->finish_call, &opening);
    grpc_slice_unref(message);
}

/* Finish has ended. NOT_FOUND: the stream is ending by itself, and its own status follows. Any
 * other error: the server cannot end the stream gently. */
static void on_finish_answered(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_subscriber *subscriber = container_of(stream, struct tributary_subscriber, finish_call);

    if (stream_is_closed(&subscriber->stream))
        end(subscriber);
    else if (status->code != TRIBUTARY_OK && status->code != TRIBUTARY_NOT_FOUND)
        stream_cancel(&subscriber->stream, status->code, status->message);
}

static void on_begin(struct post *post)
{
    open_stream(container_of(post, struct tributary_subscriber, begin));
}

static void on_work(struct post *post)
{
    struct tributary_subscriber *subscriber = container_of(post, struct tributary_subscriber, work);

    pthread_mutex_lock(&subscriber->lock);

    const bool wants_cancel = subscriber->wants_cancel;
    const bool wants_finish = subscriber->wants_finish;
    const bool wants_resume = subscriber->wants_resume;
    const int64_t drain_ns = subscriber->drain_ns;

    subscriber->wants_resume = false;
    pthread_mutex_unlock(&subscriber->lock);
    if (wants_cancel) {
        cancel(subscriber);
        return;
    }
    if (wants_resume)
        resume(subscriber);
    if (wants_finish)
        finish(subscriber, drain_ns);
    consume_pump(subscriber);
}

static void on_free(struct post *post)
{
    struct tributary_subscriber *subscriber = container_of(post, struct tributary_subscriber, end);

    if (subscriber->state == SUBSCRIBER_ENDED) {
        release(subscriber);
        return;
    }
    pthread_mutex_lock(&subscriber->lock);
    subscriber->is_freed = true;
    pthread_mutex_unlock(&subscriber->lock);
    cancel(subscriber);
}

void subscriber_stream_init(struct tributary_subscriber *subscriber)
{
    static const struct stream_port port = {.sent = on_sent, .received = on_message, .ended = on_ended};
    static const struct stream_port finish_port = {.ended = on_finish_answered};

    stream_init(&subscriber->stream, subscriber->client, &port);
    stream_init(&subscriber->finish_call, subscriber->client, &finish_port);
    subscriber->retry.fired = on_retry;
    subscriber->silence.fired = on_silence;
    subscriber->begin.run = on_begin;
    subscriber->work.run = on_work;
    subscriber->end.run = on_free;
}
