/* subscriber_consume.c - the steps of a subscriber that consumes: init, credit, select, drain.
 * Client thread, but for the last part.
 *
 * DESIGN. One message is on its way at a time; what is asked meanwhile is gathered. Selectors
 * become those of the next stream only when the server said that they are in force, so that bad
 * ones cannot end a stream that reconnects. */
#include "client/lib/subscribe/subscriber.h"

#include "client/lib/subscribe/settings.h"
#include "client/lib/core/status.h"

enum { STEP_INIT = 1, STEP_CREDIT = 2, STEP_SELECT = 6, STEP_DRAIN = 7 };
enum { CREDIT_EVENTS = 1, CREDIT_BYTES = 2 };
enum { DRAIN_DEADLINE = 1 };

/* Sends `body` as one step and empties it. */
static void send_step(struct tributary_subscriber *subscriber, uint32_t step, struct buf *body)
{
    struct buf request = {0};

    settings_write_text(&request, step, (struct bytes){body->data, body->size});
    if (request.broken || body->broken) {
        stream_cancel(&subscriber->stream, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    } else {
        subscriber->consume.steps++;
        stream_send(&subscriber->stream,
                    grpc_slice_from_copied_buffer((const char *)request.data, request.size));
    }
    buf_fini(&request);
    buf_fini(body);
}

void consume_open(struct tributary_subscriber *subscriber, struct buf *init)
{
    struct consume *consume = &subscriber->consume;

    consume->steps = 0;
    consume->drain_sent = false;
    consume->bound_sent = false;
    credit_restart(&consume->events);
    credit_restart(&consume->bytes);
    if (consume->bytes.bounded && consume->bytes.owed == 0)
        credit_add(&consume->bytes, 1); /* says that there is a bound: no event is that small */
    send_step(subscriber, STEP_INIT, init);
}

/* A stream without credit for events is not bounded in them until it is told of some, if only of
 * none. */
static bool send_bound(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;
    struct buf none = {0};

    if (consume->bound_sent || !consume->events.bounded)
        return false;
    consume->bound_sent = true;
    if (consume->events.owed > 0)
        return false;
    send_step(subscriber, STEP_CREDIT, &none);
    return true;
}

static bool send_credit(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;
    struct buf credit = {0};

    if (!credit_is_due(&consume->events, false) && !credit_is_due(&consume->bytes, true))
        return false;
    settings_write_number(&credit, CREDIT_EVENTS, credit_take(&consume->events));
    settings_write_number(&credit, CREDIT_BYTES, credit_take(&consume->bytes));
    send_step(subscriber, STEP_CREDIT, &credit);
    return true;
}

static bool send_select(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;

    if (consume->select_step != 0)
        return false;
    pthread_mutex_lock(&subscriber->lock);

    const bool wanted = consume->wants_select;

    if (wanted) {
        buf_fini(&consume->chosen);
        consume->chosen = consume->wanted;
        consume->wanted = (struct buf){0};
        consume->wants_select = false;
    }
    pthread_mutex_unlock(&subscriber->lock);
    if (!wanted)
        return false;

    struct buf select = {0};

    buf_bytes(&select, consume->chosen.data, consume->chosen.size);
    send_step(subscriber, STEP_SELECT, &select);
    consume->select_step = consume->steps;
    return true;
}

static bool send_drain(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;
    struct buf drain = {0};

    if (subscriber->state != SUBSCRIBER_FINISHING || consume->drain_sent)
        return false;
    consume->drain_sent = true;
    settings_write_duration(&drain, DRAIN_DEADLINE, subscriber->drain_ns);
    send_step(subscriber, STEP_DRAIN, &drain);
    return true;
}

void consume_pump(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;

    if (!consume->on || subscriber->stream.state != STREAM_OPEN || subscriber->stream.is_sending)
        return;
    pthread_mutex_lock(&subscriber->lock);
    credit_add(&consume->events, consume->more_events);
    credit_add(&consume->bytes, consume->more_bytes);
    consume->more_events = 0;
    consume->more_bytes = 0;
    pthread_mutex_unlock(&subscriber->lock);
    if (!send_bound(subscriber) && !send_credit(subscriber) && !send_select(subscriber))
        send_drain(subscriber);
}

/* The select on its way was followed, or it was not. */
static void complete_select(struct tributary_subscriber *subscriber, bool followed)
{
    struct consume *consume = &subscriber->consume;

    consume->select_step = 0;
    if (followed) {
        buf_fini(&subscriber->selectors);
        subscriber->selectors = consume->chosen;
        consume->chosen = (struct buf){0};
    } else {
        buf_clear(&consume->chosen);
    }
}

void consume_handled(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;
    const struct decoder *decoder = &subscriber->decoder;

    if (!consume->on)
        return;
    credit_use(&consume->events, decoder->events);
    credit_use(&consume->bytes, decoder->bytes);
    if (consume->select_step != 0 && decoder->has_settings)
        complete_select(subscriber, true);
    else if (consume->select_step != 0 && decoder->answered >= consume->select_step)
        complete_select(subscriber, false);
    consume_pump(subscriber);
}

/* A select that nobody answered is asked again on the next stream, unless a newer one waits. */
void consume_lost(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;

    if (consume->select_step == 0)
        return;
    consume->select_step = 0;
    pthread_mutex_lock(&subscriber->lock);
    if (!consume->wants_select) {
        buf_fini(&consume->wanted);
        consume->wanted = consume->chosen;
        consume->chosen = (struct buf){0};
        consume->wants_select = true;
    }
    pthread_mutex_unlock(&subscriber->lock);
}

void consume_fini(struct consume *consume)
{
    buf_fini(&consume->chosen);
    buf_fini(&consume->wanted);
}

/* Any thread. */
enum tributary_code tributary_subscriber_credit(struct tributary_subscriber *subscriber, uint64_t events,
                                                uint64_t bytes)
{
    struct consume *consume = &subscriber->consume;

    if (!consume->on || !consume->events.by_hand)
        return TRIBUTARY_FAILED_PRECONDITION;
    pthread_mutex_lock(&subscriber->lock);
    consume->more_events += MIN_OF(events, UINT64_MAX - consume->more_events);
    consume->more_bytes += MIN_OF(bytes, UINT64_MAX - consume->more_bytes);
    pthread_mutex_unlock(&subscriber->lock);
    client_post(subscriber->client, &subscriber->work);
    return TRIBUTARY_OK;
}

enum tributary_code tributary_subscriber_select(struct tributary_subscriber *subscriber,
                                                const struct tributary_selection *selection)
{
    struct consume *consume = &subscriber->consume;
    struct buf wanted = {0};

    if (!consume->on)
        return TRIBUTARY_FAILED_PRECONDITION;
    if (settings_write_selectors(selection, &wanted) != NULL) {
        buf_fini(&wanted);
        return TRIBUTARY_INVALID_ARGUMENT;
    }
    if (wanted.broken) {
        buf_fini(&wanted);
        return TRIBUTARY_RESOURCE_EXHAUSTED;
    }
    pthread_mutex_lock(&subscriber->lock);
    buf_fini(&consume->wanted);
    consume->wanted = wanted;
    consume->wants_select = true;
    pthread_mutex_unlock(&subscriber->lock);
    client_post(subscriber->client, &subscriber->work);
    return TRIBUTARY_OK;
}
