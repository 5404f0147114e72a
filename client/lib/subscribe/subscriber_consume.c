/* subscriber_consume.c - the requests of a subscriber that consumes: init, credit, select,
 * drain. Client thread, but for the two functions at the end.
 *
 * DESIGN. One request is on its way at a time. Meanwhile credit adds up, and a newer filter
 * replaces an older one that was not sent. The next stream uses a filter only after the server
 * has put it into force: a bad filter cannot end a stream that reconnects. */
#include "client/lib/subscribe/subscriber.h"

#include "client/lib/core/status.h"
#include "client/lib/subscribe/subscribe_encode.h"
#include "event/field_write.h"
#include "grpc/slices.h"
#include "proto/field_numbers.h"

/* Sends `body` as field `number` of a ConsumeRequest, and frees its bytes. */
static void send_request(struct tributary_subscriber *subscriber, uint32_t number, struct buf *body)
{
    struct buf request = {0};

    field_message(&request, number, body);
    if (request.broken) {
        stream_cancel(&subscriber->stream, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    } else {
        subscriber->consume.requests++;
        stream_send(&subscriber->stream, slice_of_buf(&request));
    }
    buf_fini(&request);
}

void consume_open(struct tributary_subscriber *subscriber, struct buf *init)
{
    struct consume *consume = &subscriber->consume;

    consume->requests = 0;
    consume->drain_sent = false;
    consume->bound_sent = false;
    credit_restart(&consume->events);
    credit_restart(&consume->bytes);
    if (consume->bytes.bounded && consume->bytes.owed == 0)
        credit_add(&consume->bytes, 1); /* tells the server that there is a bound; no event is that small */
    send_request(subscriber, PB_CONSUME_REQUEST_INIT, init);
}

/* Tells the server that events are bounded. The server knows of no bound before the first credit,
 * even if this credit is zero. True: a request was sent. */
static bool send_bound(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;
    struct buf none = {0};

    if (consume->bound_sent || !consume->events.bounded)
        return false;
    consume->bound_sent = true;
    if (consume->events.owed > 0)
        return false;
    send_request(subscriber, PB_CONSUME_REQUEST_CREDIT, &none);
    return true;
}

static bool send_credit(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;
    struct buf credit = {0};

    if (!credit_is_due(&consume->events, false) && !credit_is_due(&consume->bytes, true))
        return false;
    field_varint(&credit, PB_CONSUME_REQUEST_CREDIT_EVENTS, credit_grant(&consume->events));
    field_varint(&credit, PB_CONSUME_REQUEST_CREDIT_BYTES, credit_grant(&consume->bytes));
    send_request(subscriber, PB_CONSUME_REQUEST_CREDIT, &credit);
    return true;
}

static bool send_select(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;

    if (consume->select_number != 0)
        return false;
    pthread_mutex_lock(&subscriber->lock);

    const bool wanted = consume->wants_select;

    if (wanted) {
        buf_fini(&consume->sent_filter);
        consume->sent_filter = consume->wanted_filter;
        consume->wanted_filter = (struct buf){0};
        consume->wants_select = false;
    }
    pthread_mutex_unlock(&subscriber->lock);
    if (!wanted)
        return false;

    struct buf select = {0};

    buf_bytes(&select, consume->sent_filter.data, consume->sent_filter.size);
    send_request(subscriber, PB_CONSUME_REQUEST_SELECT, &select);
    consume->select_number = consume->requests;
    return true;
}

static bool send_drain(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;
    struct buf drain = {0};

    if (subscriber->state != SUBSCRIBER_FINISHING || consume->drain_sent)
        return false;
    consume->drain_sent = true;
    field_duration(&drain, PB_CONSUME_REQUEST_DRAIN_DEADLINE, subscriber->drain_ns);
    send_request(subscriber, PB_CONSUME_REQUEST_DRAIN, &drain);
    return true;
}

void consume_pump(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;

    if (!consume->enabled || !stream_may_send(&subscriber->stream))
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

/* The server has put the filter of the last select into force, or has refused it. */
static void complete_select(struct tributary_subscriber *subscriber, bool in_force)
{
    struct consume *consume = &subscriber->consume;

    consume->select_number = 0;
    if (in_force) {
        buf_fini(&subscriber->filter);
        subscriber->filter = consume->sent_filter;
        consume->sent_filter = (struct buf){0};
    } else {
        buf_clear(&consume->sent_filter);
    }
}

void consume_handled(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;
    const struct decoder *decoder = &subscriber->decoder;

    if (!consume->enabled)
        return;
    credit_use(&consume->events, decoder->events);
    credit_use(&consume->bytes, decoder->bytes);
    if (consume->select_number != 0 && decoder->has_settings)
        complete_select(subscriber, true);
    else if (consume->select_number != 0 && decoder->refused_request >= consume->select_number)
        complete_select(subscriber, false);
    consume_pump(subscriber);
}

/* A select without an answer is sent again on the next stream, unless a newer one waits. */
void consume_lost(struct tributary_subscriber *subscriber)
{
    struct consume *consume = &subscriber->consume;

    if (consume->select_number == 0)
        return;
    consume->select_number = 0;
    pthread_mutex_lock(&subscriber->lock);
    if (!consume->wants_select) {
        buf_fini(&consume->wanted_filter);
        consume->wanted_filter = consume->sent_filter;
        consume->sent_filter = (struct buf){0};
        consume->wants_select = true;
    }
    pthread_mutex_unlock(&subscriber->lock);
}

void consume_fini(struct consume *consume)
{
    buf_fini(&consume->sent_filter);
    buf_fini(&consume->wanted_filter);
}

/* Any thread, as is the next function. */
enum tributary_code tributary_subscriber_credit(struct tributary_subscriber *subscriber, uint64_t events,
                                                uint64_t bytes)
{
    struct consume *consume = &subscriber->consume;

    if (!consume->enabled || !consume->events.by_hand)
        return TRIBUTARY_FAILED_PRECONDITION;
    pthread_mutex_lock(&subscriber->lock);
    consume->more_events += MIN_OF(events, UINT64_MAX - consume->more_events);
    consume->more_bytes += MIN_OF(bytes, UINT64_MAX - consume->more_bytes);
    pthread_mutex_unlock(&subscriber->lock);
    client_post(subscriber->client, &subscriber->work);
    return TRIBUTARY_OK;
}

enum tributary_code tributary_subscriber_select(struct tributary_subscriber *subscriber,
                                                const struct tributary_filter *filter)
{
    struct consume *consume = &subscriber->consume;
    struct buf wanted = {0};

    if (!consume->enabled)
        return TRIBUTARY_FAILED_PRECONDITION;
    if (subscribe_write_filter(filter, &wanted)) {
        buf_fini(&wanted);
        return TRIBUTARY_INVALID_ARGUMENT;
    }
    if (wanted.broken) {
        buf_fini(&wanted);
        return TRIBUTARY_RESOURCE_EXHAUSTED;
    }
    pthread_mutex_lock(&subscriber->lock);
    buf_fini(&consume->wanted_filter);
    consume->wanted_filter = wanted;
    consume->wants_select = true;
    pthread_mutex_unlock(&subscriber->lock);
    client_post(subscriber->client, &subscriber->work);
    return TRIBUTARY_OK;
}
