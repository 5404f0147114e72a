/* publisher_stream.c - the wire of a publisher: sends one message at a time, counts confirmations,
 * comes back after a loss. Client thread.
 *
 * DESIGN. A batch is in exactly one place: filled or queued (publisher.c), in `sent` (on this
 * stream, not confirmed), or in `again` (sent on a stream that was lost). Every ending of a batch
 * goes through publisher_complete(), once. Within a place batches stand in the order of their
 * events, `again` before `queued` before the one being filled, so order survives a reconnect. */
#include "client/lib/publish/publisher.h"

#include <string.h>

#include "client/lib/core/status.h"
#include "tributary/v1/publisher.pb-c.h"

#define METHOD "/tributary.v1.Publisher/PublishStream"
#define GOODBYE_NS NS_PER_S /* for the server's status after the half-close */

static const unsigned allowed[PUBLISHER_STATE_COUNT] = {
    [PUBLISHER_RESTING] = BIT(PUBLISHER_OPEN) | BIT(PUBLISHER_CLOSED),
    [PUBLISHER_OPEN] = BIT(PUBLISHER_PAUSED) | BIT(PUBLISHER_FAILED) | BIT(PUBLISHER_CLOSING),
    [PUBLISHER_PAUSED] = BIT(PUBLISHER_OPEN) | BIT(PUBLISHER_RESTING) | BIT(PUBLISHER_CLOSED),
    [PUBLISHER_FAILED] = BIT(PUBLISHER_CLOSED),
    [PUBLISHER_CLOSING] = BIT(PUBLISHER_CLOSED),
};

static void move(struct tributary_publisher *publisher, enum publisher_state state)
{
    CHECK((allowed[publisher->state] & BIT(state)) != 0);
    publisher->state = state;
}

static struct batch *first_of(struct list *list)
{
    return list_empty(list) ? NULL : container_of(list->next, struct batch, node);
}

static void refuse(struct tributary_publisher *publisher, struct batch *batch,
                   const struct tributary_refused *refusal)
{
    struct tributary_refused refused = *refusal;

    refused.first_event = batch->first_event;
    refused.last_event = batch->first_event + batch->events - 1;
    if (publisher->options.refused != NULL)
        publisher->options.refused(publisher->options.ctx, &refused);
    publisher_complete(publisher, batch, false);
}

static void refuse_all(struct tributary_publisher *publisher, const struct tributary_refused *refusal)
{
    struct batch *batch = NULL;

    while ((batch = first_of(&publisher->again)) != NULL)
        refuse(publisher, batch, refusal);
    while ((batch = publisher_take_any(publisher)) != NULL)
        refuse(publisher, batch, refusal);
}

/* Batches that have been without a connection for `give_up_ns` go; they stand in the order of their
 * age. */
static void refuse_expired(struct tributary_publisher *publisher)
{
    const struct tributary_refused refusal = {TRIBUTARY_UNAVAILABLE, "",
                                              "given up: no connection for too long", 0, 0};
    const int64_t limit_ns = publisher->options.give_up_ns;
    const int64_t now_ns = clock_mono_ns();
    struct batch *batch = NULL;

    if (limit_ns < 0)
        return;
    while ((batch = first_of(&publisher->again)) != NULL &&
           now_ns - MAX_OF(batch->born_ns, publisher->lost_ns) >= limit_ns)
        refuse(publisher, batch, &refusal);
    while (list_empty(&publisher->again) && (batch = publisher_take_any(publisher)) != NULL) {
        if (now_ns - MAX_OF(batch->born_ns, publisher->lost_ns) >= limit_ns)
            refuse(publisher, batch, &refusal);
        else
            list_append(&publisher->again, &batch->node);
    }
}

/* The stream is open. `batch` stands in no list. */
static void send(struct tributary_publisher *publisher, struct batch *batch)
{
    batch->number = ++publisher->batch_number;
    list_append(&publisher->sent, &batch->node);
    pthread_mutex_lock(&publisher->lock);
    publisher->stats.messages++;
    pthread_mutex_unlock(&publisher->lock);
    stream_send(&publisher->stream, batch_slice(batch));
}

static void open_stream(struct tributary_publisher *publisher)
{
    const struct stream_opening opening = {
        .method = METHOD, .deadline_ns = INT64_MAX, .wait_for_connection = true};
    const int64_t give_up_ns = publisher->options.give_up_ns;
    int64_t patience_ns = publisher->client->connect_timeout_ns;

    if (give_up_ns > 0)
        patience_ns = MIN_OF(patience_ns, give_up_ns);
    move(publisher, PUBLISHER_OPEN);
    publisher->batch_number = 0;
    publisher->connected = false;
    client_timer(publisher->client, &publisher->retry, clock_mono_ns() + patience_ns);
    stream_open(&publisher->stream, &opening);
}

/* Sends the next message where one waits and none is on its way. */
static void pump(struct tributary_publisher *publisher)
{
    struct batch *batch = NULL;

    if (publisher->state != PUBLISHER_RESTING && publisher->state != PUBLISHER_OPEN)
        return;
    if (publisher->state == PUBLISHER_OPEN &&
        (publisher->stream.state != STREAM_OPEN || publisher->stream.is_sending))
        return;
    batch = first_of(&publisher->again);
    if (batch != NULL)
        list_remove(&batch->node);
    else
        batch = publisher_take(publisher);
    if (batch == NULL)
        return;
    if (publisher->state == PUBLISHER_RESTING)
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
        timer_stop(&publisher->retry);
    }
    pump(publisher);
}

static void refuse_number(struct tributary_publisher *publisher,
                          const Tributary__V1__PublishStreamResponse__Refused *answer)
{
    const struct tributary_refused refusal = {(enum tributary_code)answer->code, answer->reason,
                                              answer->message, 0, 0};

    list_each(node, safe, &publisher->sent) {
        struct batch *batch = container_of(node, struct batch, node);

        if (batch->number == answer->batch) {
            refuse(publisher, batch, &refusal);
            return;
        }
    }
}

static void on_answer(struct stream *stream, struct bytes message)
{
    struct tributary_publisher *publisher = container_of(stream, struct tributary_publisher, stream);
    Tributary__V1__PublishStreamResponse *answer =
        tributary__v1__publish_stream_response__unpack(NULL, message.size, message.data);
    struct batch *batch = NULL;

    if (answer == NULL) {
        stream_cancel(stream, TRIBUTARY_INTERNAL, "an answer of the server cannot be read");
        return;
    }
    publisher->attempt = 0;
    for (size_t i = 0; i < answer->n_refused; i++)
        refuse_number(publisher, answer->refused[i]);
    pthread_mutex_lock(&publisher->lock);
    publisher->stats.epoch = answer->epoch;
    publisher->stats.last_sequence = answer->last_sequence;
    pthread_mutex_unlock(&publisher->lock);
    while ((batch = first_of(&publisher->sent)) != NULL && batch->number <= answer->confirmed_batch)
        publisher_complete(publisher, batch, true);
    tributary__v1__publish_stream_response__free_unpacked(answer, NULL);
}

static void close_down(struct tributary_publisher *publisher)
{
    const struct tributary_refused refusal = {TRIBUTARY_CANCELLED, "",
                                              "the publisher was freed before it was confirmed", 0, 0};

    refuse_all(publisher, &refusal);
    move(publisher, PUBLISHER_CLOSED);
    timer_stop(&publisher->retry);
    timer_stop(&publisher->linger);
    client_unpost(publisher->client, &publisher->work);
    pthread_mutex_lock(&publisher->lock);
    publisher->ended = true;
    pthread_cond_broadcast(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock); /* the publisher may be gone from here on */
}

static void fail(struct tributary_publisher *publisher, const struct tributary_status *status)
{
    const struct tributary_refused refusal = {status->code, status->reason, status->message, 0, 0};

    move(publisher, PUBLISHER_FAILED);
    pthread_mutex_lock(&publisher->lock);
    publisher->failed = status->code;
    pthread_cond_broadcast(&publisher->space);
    pthread_mutex_unlock(&publisher->lock);
    refuse_all(publisher, &refusal);
}

static void pause_sending(struct tributary_publisher *publisher, const struct tributary_status *refusal)
{
    const int64_t pause_ns = client_pause_ns(publisher->client, publisher->attempt++);

    move(publisher, PUBLISHER_PAUSED);
    if (publisher->connected)
        publisher->lost_ns = clock_mono_ns();
    publisher->connected = false;
    pthread_mutex_lock(&publisher->lock);
    publisher->stats.reconnects++;
    pthread_mutex_unlock(&publisher->lock);
    if (publisher->options.interrupted != NULL)
        publisher->options.interrupted(publisher->options.ctx, refusal, pause_ns);
    refuse_expired(publisher);
    client_timer(publisher->client, &publisher->retry, clock_mono_ns() + pause_ns);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_publisher *publisher = container_of(stream, struct tributary_publisher, stream);
    struct batch *batch = NULL;

    timer_stop(&publisher->retry);
    timer_stop(&publisher->linger);
    /* From the back, so that they stand before what was already to be sent again. */
    while (!list_empty(&publisher->sent)) {
        batch = container_of(publisher->sent.prev, struct batch, node);
        list_remove(&batch->node);
        list_append(publisher->again.next, &batch->node);
    }
    if (publisher->state == PUBLISHER_CLOSING)
        close_down(publisher);
    else if (status->code == TRIBUTARY_OK || status_is_passing(status))
        pause_sending(publisher, status);
    else
        fail(publisher, status);
}

static void on_retry(struct timer *timer)
{
    struct tributary_publisher *publisher = container_of(timer, struct tributary_publisher, retry);

    if (publisher->state == PUBLISHER_PAUSED) {
        refuse_expired(publisher);
        move(publisher, PUBLISHER_RESTING);
        pump(publisher);
    } else if (publisher->state == PUBLISHER_CLOSING) {
        stream_cancel(&publisher->stream, TRIBUTARY_CANCELLED, "the publisher was freed");
    } else {
        stream_cancel(&publisher->stream, TRIBUTARY_UNAVAILABLE, "the server cannot be reached");
    }
}

static void on_linger(struct timer *timer)
{
    pump(container_of(timer, struct tributary_publisher, linger));
}

static void on_work(struct post *post)
{
    pump(container_of(post, struct tributary_publisher, work));
}

static void on_end(struct post *post)
{
    struct tributary_publisher *publisher = container_of(post, struct tributary_publisher, end);

    if (publisher->state != PUBLISHER_OPEN) {
        close_down(publisher);
        return;
    }
    pthread_mutex_lock(&publisher->lock);

    const bool all_settled = publisher->held_events == 0;

    pthread_mutex_unlock(&publisher->lock);
    move(publisher, PUBLISHER_CLOSING);
    if (publisher->stream.state == STREAM_OPEN && all_settled && !publisher->stream.is_sending) {
        stream_half_close(&publisher->stream);
        client_timer(publisher->client, &publisher->retry, clock_mono_ns() + GOODBYE_NS);
    } else {
        stream_cancel(&publisher->stream, TRIBUTARY_CANCELLED, "the publisher was freed");
    }
}

void publisher_stream_init(struct tributary_publisher *publisher)
{
    static const struct stream_port port = {.sent = on_sent, .received = on_answer, .ended = on_ended};

    stream_init(&publisher->stream, publisher->client, &port);
    list_init(&publisher->again);
    list_init(&publisher->sent);
    timer_init(&publisher->retry, on_retry);
    timer_init(&publisher->linger, on_linger);
    publisher->work.run = on_work;
    publisher->end.run = on_end;
}
