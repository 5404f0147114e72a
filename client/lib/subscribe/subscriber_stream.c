/* subscriber_stream.c - the wire of a subscriber: opens its stream, reads it, watches over it,
 * comes back after a loss. Client thread. */
#include "client/lib/subscribe/subscriber.h"

#include <string.h>

#include "client/lib/subscribe/settings.h"
#include "client/lib/core/status.h"

#define METHOD "/tributary.v1.Subscriber/Subscribe"
#define CONSUME_METHOD "/tributary.v1.Subscriber/Consume"
#define FINISH_METHOD "/tributary.v1.Subscriber/Finish"
#define HEARTBEATS_MISSED 3
#define DRAIN_DEFAULT_NS (5 * NS_PER_S)
#define GOODBYE_NS (5 * NS_PER_S) /* beyond the drain's deadline, for the status */

static const unsigned allowed[SUBSCRIBER_STATE_COUNT] = {
    [SUBSCRIBER_OPENING] =
        BIT(SUBSCRIBER_LIVE) | BIT(SUBSCRIBER_PAUSED) | BIT(SUBSCRIBER_CANCELLING) | BIT(SUBSCRIBER_ENDED),
    [SUBSCRIBER_LIVE] = BIT(SUBSCRIBER_PAUSED) | BIT(SUBSCRIBER_FINISHING) | BIT(SUBSCRIBER_CANCELLING) |
                        BIT(SUBSCRIBER_ENDED),
    [SUBSCRIBER_PAUSED] = BIT(SUBSCRIBER_OPENING) | BIT(SUBSCRIBER_ENDED),
    [SUBSCRIBER_FINISHING] = BIT(SUBSCRIBER_CANCELLING) | BIT(SUBSCRIBER_ENDED),
    [SUBSCRIBER_CANCELLING] = BIT(SUBSCRIBER_ENDED),
};

static void move(struct tributary_subscriber *subscriber, enum subscriber_state state)
{
    CHECK((allowed[subscriber->state] & BIT(state)) != 0);
    subscriber->state = state;
}

/* Takes over the bytes of a finished `struct buf`. */
static grpc_slice slice_of(struct buf *buf)
{
    const grpc_slice slice = grpc_slice_from_copied_buffer((const char *)buf->data, buf->size);

    buf_fini(buf);
    return slice;
}

/* A start with the last events is for the first stream only: a later one goes on where that
 * stood. */
static void write_request(const struct tributary_subscriber *subscriber, struct buf *request)
{
    buf_bytes(request, subscriber->selectors.data, subscriber->selectors.size);
    buf_bytes(request, subscriber->request.data, subscriber->request.size);
    if (subscriber->token.size > 0)
        settings_write_resume(request, (struct bytes){subscriber->token.data, subscriber->token.size});
    else if (!subscriber->was_live)
        settings_write_last(request, subscriber->start_last);
    if (subscriber->limit_events > 0)
        settings_write_limit(request, subscriber->limit_events - subscriber->delivered);
}

/* The limit was reached and only the server's word for it is missing. */
static bool has_all(const struct tributary_subscriber *subscriber)
{
    return subscriber->limit_events > 0 && subscriber->delivered >= subscriber->limit_events;
}

static void open_stream(struct tributary_subscriber *subscriber)
{
    struct stream_opening opening = {
        .method = CONSUME_METHOD, .deadline_ns = INT64_MAX, .wait_for_connection = true};
    struct buf whole = {0};

    write_request(subscriber, &whole);
    subscriber->decoder.resumed = subscriber->token_is_ours && subscriber->token.size > 0;
    client_timer(subscriber->client, &subscriber->retry,
                 clock_mono_ns() + subscriber->client->connect_timeout_ns);
    if (subscriber->consume.on) {
        stream_open(&subscriber->stream, &opening);
        consume_open(subscriber, &whole);
        return;
    }

    grpc_slice request = slice_of(&whole);

    opening.method = METHOD;
    opening.first = &request;
    stream_open(&subscriber->stream, &opening);
    grpc_slice_unref(request);
}

/* The last moment on the client thread: after the unlock nothing may touch the subscriber. */
static void release(struct tributary_subscriber *subscriber)
{
    client_unpost(subscriber->client, &subscriber->work);
    pthread_mutex_lock(&subscriber->lock);
    subscriber->released = true;
    pthread_cond_broadcast(&subscriber->changed);
    pthread_mutex_unlock(&subscriber->lock);
}

/* Ends once both calls have: the merged one, and that of Finish. */
static void end(struct tributary_subscriber *subscriber)
{
    bool is_freed = false;

    if (subscriber->stream.state != STREAM_CLOSED || subscriber->finisher.state != STREAM_CLOSED)
        return;
    timer_stop(&subscriber->retry);
    timer_stop(&subscriber->silence);
    move(subscriber, SUBSCRIBER_ENDED);
    if (subscriber->callbacks.ended != NULL)
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

static void pause_reading(struct tributary_subscriber *subscriber)
{
    const int64_t pause_ns = client_pause_ns(subscriber->client, subscriber->attempt++);

    move(subscriber, SUBSCRIBER_PAUSED);
    client_timer(subscriber->client, &subscriber->retry, clock_mono_ns() + pause_ns);
    if (subscriber->callbacks.interrupted != NULL)
        subscriber->callbacks.interrupted(subscriber->callbacks.ctx, &subscriber->last, pause_ns);
}

/* A token that the server does not take any more, such as after its restart, must not end us: then
 * the stream begins anew. */
static bool token_was_refused(const struct tributary_subscriber *subscriber)
{
    return subscriber->token_is_ours && subscriber->token.size > 0 &&
           strcmp(subscriber->last.reason, "BAD_TOKEN") == 0;
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_subscriber *subscriber = container_of(stream, struct tributary_subscriber, stream);
    bool again = status_is_passing(status);

    subscriber->last = *status;
    timer_stop(&subscriber->retry);
    timer_stop(&subscriber->silence);
    consume_lost(subscriber);
    if (again && has_all(subscriber)) {
        status_set(&subscriber->last, TRIBUTARY_OK, "");
        again = false;
    }
    if (token_was_refused(subscriber)) {
        buf_clear(&subscriber->token);
        again = true;
    }
    if (again && !subscriber->no_reconnect &&
        (subscriber->state == SUBSCRIBER_OPENING || subscriber->state == SUBSCRIBER_LIVE)) {
        pause_reading(subscriber);
        return;
    }
    stream_cancel(&subscriber->finisher, TRIBUTARY_CANCELLED, "the stream has ended");
    end(subscriber);
}

static void on_started(struct tributary_subscriber *subscriber)
{
    const struct tributary_started *started = &subscriber->decoder.started;

    if (subscriber->state != SUBSCRIBER_OPENING)
        return;
    move(subscriber, SUBSCRIBER_LIVE);
    timer_stop(&subscriber->retry);
    subscriber->attempt = 0;
    subscriber->was_live = true;
    buf_clear(&subscriber->id);
    buf_bytes(&subscriber->id, started->subscription_id.data, started->subscription_id.size);
    subscriber->silence_ns = 0;
    if (started->settings.heartbeat_ns > 0 && started->settings.heartbeat_ns < 86400 * NS_PER_S) {
        subscriber->silence_ns = HEARTBEATS_MISSED * started->settings.heartbeat_ns;
        client_timer(subscriber->client, &subscriber->silence, clock_mono_ns() + subscriber->silence_ns);
    }
}

static void keep_token(struct tributary_subscriber *subscriber)
{
    const struct tributary_bytes token = subscriber->decoder.resume_token;

    if (token.size == 0 || token.size > MAX_RESUME_TOKEN)
        return;
    buf_clear(&subscriber->token);
    buf_bytes(&subscriber->token, token.data, token.size);
    subscriber->token_is_ours = true;
}

static void on_message(struct stream *stream, struct bytes message)
{
    struct tributary_subscriber *subscriber = container_of(stream, struct tributary_subscriber, stream);

    if (subscriber->state == SUBSCRIBER_CANCELLING)
        return;

    const char *fault = decode_batch(&subscriber->decoder, message, &subscriber->callbacks);

    if (subscriber->decoder.has_started)
        on_started(subscriber);
    keep_token(subscriber);
    if (subscriber->callbacks.applied != NULL)
        subscriber->callbacks.applied(subscriber->callbacks.ctx);
    subscriber->delivered += subscriber->decoder.events;
    consume_handled(subscriber);
    subscriber->last_message_ns = clock_mono_ns();
    if (fault != NULL)
        stream_cancel(stream, TRIBUTARY_INTERNAL, fault);
}

static void on_sent(struct stream *stream, bool ok)
{
    if (ok)
        consume_pump(container_of(stream, struct tributary_subscriber, stream));
}

static void on_silence(struct timer *timer)
{
    struct tributary_subscriber *subscriber = container_of(timer, struct tributary_subscriber, silence);
    const int64_t limit_ns = subscriber->last_message_ns + subscriber->silence_ns;

    if (clock_mono_ns() < limit_ns)
        client_timer(subscriber->client, timer, limit_ns);
    else
        stream_cancel(&subscriber->stream, TRIBUTARY_UNAVAILABLE, "no message for three heartbeats");
}

static void on_retry(struct timer *timer)
{
    struct tributary_subscriber *subscriber = container_of(timer, struct tributary_subscriber, retry);

    if (subscriber->state == SUBSCRIBER_PAUSED) {
        move(subscriber, SUBSCRIBER_OPENING);
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
    if (subscriber->state == SUBSCRIBER_PAUSED) {
        status_set(&subscriber->last, TRIBUTARY_CANCELLED, "cancelled while there was no connection");
        end(subscriber);
    } else if (subscriber->state != SUBSCRIBER_CANCELLING && subscriber->state != SUBSCRIBER_ENDED) {
        move(subscriber, SUBSCRIBER_CANCELLING);
        stream_cancel(&subscriber->stream, TRIBUTARY_CANCELLED, "cancelled");
        end(subscriber);
    }
}

/* FinishRequest { subscription_id = 1, drain = 2 } */
static void finish(struct tributary_subscriber *subscriber, int64_t drain_ns)
{
    const int64_t whole_ns = drain_ns == 0 ? DRAIN_DEFAULT_NS : MAX_OF(drain_ns, 0);
    const int64_t moment_ns = until_ns(whole_ns > INT64_MAX - GOODBYE_NS ? INT64_MAX : whole_ns + GOODBYE_NS);
    struct buf request = {0};

    if (subscriber->state != SUBSCRIBER_LIVE) {
        if (subscriber->state != SUBSCRIBER_FINISHING)
            cancel(subscriber);
        return;
    }
    move(subscriber, SUBSCRIBER_FINISHING);
    client_timer(subscriber->client, &subscriber->retry, moment_ns);
    if (subscriber->consume.on) {
        consume_pump(subscriber);
        return;
    }
    settings_write_text(&request, 1, (struct bytes){subscriber->id.data, subscriber->id.size});
    settings_write_duration(&request, 2, drain_ns);

    grpc_slice whole = slice_of(&request);
    const struct stream_opening opening = {
        .method = FINISH_METHOD, .first = &whole, .deadline_ns = moment_ns};

    stream_open(&subscriber->finisher, &opening);
    grpc_slice_unref(whole);
}

/* NOT_FOUND: the stream is ending by itself, and says how. Anything else: a gentle end is not to be
 * had. */
static void on_finish_answered(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_subscriber *subscriber = container_of(stream, struct tributary_subscriber, finisher);

    if (subscriber->stream.state == STREAM_CLOSED)
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
    const int64_t drain_ns = subscriber->drain_ns;

    pthread_mutex_unlock(&subscriber->lock);
    if (wants_cancel) {
        cancel(subscriber);
        return;
    }
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
    stream_init(&subscriber->finisher, subscriber->client, &finish_port);
    timer_init(&subscriber->retry, on_retry);
    timer_init(&subscriber->silence, on_silence);
    subscriber->begin.run = on_begin;
    subscriber->work.run = on_work;
    subscriber->end.run = on_free;
}
