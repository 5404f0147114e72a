/* publisher_stream.c - the call of a publisher: sends one message at a time, and opens a
 * new call after a loss. Client thread.
 *
 * DESIGN. A batch is in exactly one place: it is being filled, or it is in `queued` (publisher.c),
 * in `sent` (on this stream, not confirmed), or in `resend` (sent on a stream that was lost). Every
 * batch ends in publisher_complete(), once. Each list is in the order of the events. `resend` comes
 * before `queued`, and `queued` before the batch that is being filled. So a reconnect keeps the
 * order. */
#include "client/lib/publish/publisher.h"

#include "base/fsm.h"
#include "client/lib/core/status.h"

#define METHOD "/tributary.v1.Publisher/PublishStream"
#define MEMORY_WAIT_NS (10 * NS_PER_MS) /* until memory is asked for again */
#define STATUS_LIMIT_NS NS_PER_S        /* for the server's status after the half-close */

static const struct fsm machine = {
    .name = "client.publisher",
    .states = {[PUBLISHER_IDLE] = {"IDLE", BIT(PUBLISHER_OPEN) | BIT(PUBLISHER_CLOSED)},
               [PUBLISHER_OPEN] = {"OPEN",
                                   BIT(PUBLISHER_BACKOFF) | BIT(PUBLISHER_FAILED) | BIT(PUBLISHER_CLOSING)},
               [PUBLISHER_BACKOFF] = {"BACKOFF", BIT(PUBLISHER_IDLE) | BIT(PUBLISHER_CLOSED)},
               [PUBLISHER_FAILED] = {"FAILED", BIT(PUBLISHER_CLOSED)},
               [PUBLISHER_CLOSING] = {"CLOSING", BIT(PUBLISHER_CLOSED)},
               [PUBLISHER_CLOSED] = {"CLOSED", 0}},
};

static struct batch *first_of(struct list *list)
{
    return list_empty(list) ? NULL : container_of(list->next, struct batch, node);
}

static void refuse_all(struct tributary_publisher *publisher, const struct tributary_refused *refusal)
{
    struct batch *batch = NULL;

    while ((batch = first_of(&publisher->resend)))
        publisher_refuse(publisher, batch, refusal);
    while ((batch = publisher_dequeue_any(publisher)))
        publisher_refuse(publisher, batch, refusal);
}

/* Refuses the batches that were without a connection for `give_up_ns`. The oldest come first, so it
 * can stop at the first one that stays. */
static void refuse_expired(struct tributary_publisher *publisher)
{
    const struct tributary_refused refusal = {
        .code = TRIBUTARY_UNAVAILABLE,
        .reason = "",
        .message = publisher->store_fails ? "given up: the server cannot store for too long"
                                          : "given up: no connection for too long"};
    const int64_t limit_ns = publisher->options.give_up_ns;
    const int64_t now_ns = clock_mono_ns();
    struct batch *batch = NULL;

    if (limit_ns < 0)
        return;
    while ((batch = first_of(&publisher->resend)) &&
           now_ns - MAX_OF(batch->born_ns, publisher->lost_ns) >= limit_ns)
        publisher_refuse(publisher, batch, &refusal);
    while (list_empty(&publisher->resend) && (batch = publisher_dequeue_any(publisher))) {
        if (now_ns - MAX_OF(batch->born_ns, publisher->lost_ns) >= limit_ns)
            publisher_refuse(publisher, batch, &refusal);
        else
            list_append(&publisher->resend, &batch->node);
    }
}

/* The stream must be open, and `batch` in no list. */
static void send(struct tributary_publisher *publisher, struct batch *batch)
{
    batch->number = ++publisher->batch_number;
    list_append(&publisher->sent, &batch->node);
    publisher->unanswered++;
    pthread_mutex_lock(&publisher->lock);
    publisher->stats.messages++;
    if (publisher->numbering.on)
        publisher->stats.life = publisher->numbering.life;
    pthread_mutex_unlock(&publisher->lock);
    stream_send(&publisher->stream, batch_slice(batch));
}

static void open_stream(struct tributary_publisher *publisher)
{
    const struct stream_opening opening = {
        .method = METHOD, .deadline_ns = INT64_MAX, .wait_for_connection = true};
    const int64_t give_up_ns = publisher->options.give_up_ns;
    int64_t limit_ns = publisher->client->connect_timeout_ns;

    if (give_up_ns > 0)
        limit_ns = MIN_OF(limit_ns, give_up_ns);
    fsm_move(&machine, publisher, PUBLISHER_OPEN);
    publisher->batch_number = 0;
    publisher->stream_duplicates = 0;
    publisher->connected = false;
    cq_timer_set(publisher->client->thread, &publisher->retry, clock_mono_ns() + limit_ns);
    stream_open(&publisher->stream, &opening);
}

/* Removes the next message that may be sent now, and numbers it. NULL: none. */
static struct batch *next_batch(struct tributary_publisher *publisher)
{
    struct batch *batch = first_of(&publisher->resend);
    struct batch *numbered = NULL;

    if (publisher->unanswered >= publisher->options.window)
        return NULL;
    if (!numbering_may_send(&publisher->numbering, batch, publisher->unanswered == 0))
        return NULL;
    if (batch)
        list_remove(&batch->node);
    else
        batch = publisher_dequeue(publisher);
    if (!batch)
        return NULL;
    numbered = numbering_assign(&publisher->numbering, batch);
    if (!numbered) { /* out of memory */
        list_append(publisher->resend.next, &batch->node);
        cq_timer_set(publisher->client->thread, &publisher->linger, clock_mono_ns() + MEMORY_WAIT_NS);
    }
    return numbered;
}

/* Sends the next message, if one waits and none is on its way. */
static void pump(struct tributary_publisher *publisher)
{
    struct batch *batch = NULL;

    if (publisher->state != PUBLISHER_IDLE && publisher->state != PUBLISHER_OPEN)
        return;
    if (publisher->state == PUBLISHER_OPEN && !stream_may_send(&publisher->stream))
        return;
    batch = next_batch(publisher);
    if (!batch)
        return;
    if (publisher->state == PUBLISHER_IDLE)
        open_stream(publisher);
    send(publisher, batch);
}

static void on_sent(struct stream *stream, bool ok)
{
    struct tributary_publisher *publisher = container_of(stream, struct tributary_publisher, stream);

    if (!ok)
        return;
    if (!publisher->connected && publisher->state == PUBLISHER_OPEN) {
        publisher->connected = true;
        cq_timer_stop(publisher->client->thread, &publisher->retry);
    }
    pump(publisher);
}

static void on_answer(struct stream *stream, struct bytes message)
{
    struct tributary_publisher *publisher = container_of(stream, struct tributary_publisher, stream);

    if (!publisher_answered(publisher, message))
        stream_cancel(stream, TRIBUTARY_INTERNAL, "an answer of the server cannot be read");
    pump(publisher);
}

/* The last use of the publisher on the client thread. After the unlock it may be freed. */
static void release(struct tributary_publisher *publisher)
{
    if (client_post_behind(publisher->client, &publisher->work, &publisher->end))
        return; /* on_end() comes here again */
    pthread_mutex_lock(&publisher->lock);
    publisher->ended = true;
    pthread_cond_broadcast(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

static void close_down(struct tributary_publisher *publisher)
{
    const struct tributary_refused refusal = {.code = TRIBUTARY_CANCELLED,
                                              .reason = "",
                                              .message = "the publisher was freed before it was confirmed"};

    /* First, because refused() may publish: what it adds would be refused again, without end. */
    pthread_mutex_lock(&publisher->lock);
    if (publisher->failed == TRIBUTARY_OK)
        publisher->failed = TRIBUTARY_CANCELLED;
    pthread_mutex_unlock(&publisher->lock);
    refuse_all(publisher, &refusal);
    fsm_move(&machine, publisher, PUBLISHER_CLOSED);
    cq_timer_stop(publisher->client->thread, &publisher->retry);
    cq_timer_stop(publisher->client->thread, &publisher->linger);
    release(publisher);
}

static void fail(struct tributary_publisher *publisher, const struct tributary_status *status)
{
    const struct tributary_refused refusal = {
        .code = status->code, .reason = status->reason, .message = status->message};

    fsm_move(&machine, publisher, PUBLISHER_FAILED);
    pthread_mutex_lock(&publisher->lock);
    publisher->failed = status->code;
    pthread_cond_broadcast(&publisher->space);
    pthread_mutex_unlock(&publisher->lock);
    refuse_all(publisher, &refusal);
}

static void back_off(struct tributary_publisher *publisher, const struct tributary_status *refusal)
{
    const int64_t retry_ns = client_backoff_ns(publisher->client, publisher->attempt++);

    fsm_move(&machine, publisher, PUBLISHER_BACKOFF);
    if (publisher->connected && !publisher->store_fails)
        publisher->lost_ns = clock_mono_ns();
    publisher->connected = false;
    pthread_mutex_lock(&publisher->lock);
    publisher->stats.reconnects++;
    pthread_mutex_unlock(&publisher->lock);
    if (publisher->options.interrupted)
        publisher->options.interrupted(publisher->options.ctx, refusal, retry_ns);
    refuse_expired(publisher);
    cq_timer_set(publisher->client->thread, &publisher->retry, clock_mono_ns() + retry_ns);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_publisher *publisher = container_of(stream, struct tributary_publisher, stream);

    cq_timer_stop(publisher->client->thread, &publisher->retry);
    cq_timer_stop(publisher->client->thread, &publisher->linger);
    publisher_requeue_sent(publisher);
    if (publisher->state == PUBLISHER_CLOSING)
        close_down(publisher);
    else if (publisher->is_doomed)
        fail(publisher, &publisher->doom);
    else if (status->code == TRIBUTARY_OK || status_is_retryable(status))
        back_off(publisher, status);
    else
        fail(publisher, status);
}

static void on_retry(struct cq_timer *timer, int64_t now_ns)
{
    struct tributary_publisher *publisher = container_of(timer, struct tributary_publisher, retry);

    (void)now_ns;
    if (publisher->state == PUBLISHER_BACKOFF) {
        refuse_expired(publisher);
        fsm_move(&machine, publisher, PUBLISHER_IDLE);
        pump(publisher);
    } else if (publisher->state == PUBLISHER_CLOSING) {
        stream_cancel(&publisher->stream, TRIBUTARY_CANCELLED, "the publisher was freed");
    } else {
        stream_cancel(&publisher->stream, TRIBUTARY_UNAVAILABLE, "the server cannot be reached");
    }
}

static void on_linger(struct cq_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    pump(container_of(timer, struct tributary_publisher, linger));
}

static void on_work(struct post *post)
{
    pump(container_of(post, struct tributary_publisher, work));
}

static void on_end(struct post *post)
{
    struct tributary_publisher *publisher = container_of(post, struct tributary_publisher, end);

    if (publisher->state == PUBLISHER_CLOSED) {
        release(publisher);
        return;
    }
    if (publisher->state != PUBLISHER_OPEN) {
        close_down(publisher);
        return;
    }
    pthread_mutex_lock(&publisher->lock);

    const bool all_complete = publisher->held_events == 0;

    pthread_mutex_unlock(&publisher->lock);
    fsm_move(&machine, publisher, PUBLISHER_CLOSING);
    if (all_complete && stream_may_send(&publisher->stream)) {
        stream_half_close(&publisher->stream);
        cq_timer_set(publisher->client->thread, &publisher->retry, clock_mono_ns() + STATUS_LIMIT_NS);
    } else {
        stream_cancel(&publisher->stream, TRIBUTARY_CANCELLED, "the publisher was freed");
    }
}

void publisher_stream_init(struct tributary_publisher *publisher)
{
    static const struct stream_port port = {.sent = on_sent, .received = on_answer, .ended = on_ended};

    stream_init(&publisher->stream, publisher->client, &port);
    list_init(&publisher->resend);
    list_init(&publisher->sent);
    publisher->retry.fired = on_retry;
    publisher->linger.fired = on_linger;
    publisher->work.run = on_work;
    publisher->end.run = on_end;
}
