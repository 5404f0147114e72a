/* tributary.c - the protocol of tributaryd: PublishStream and Subscribe, each call on a connection
 * of its own. */
#include "bench/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batches.h"
#include "bench/fields.h"
#include "lib/h2/h2.h"

/* Fields of PublishStreamRequest and its answer. */
enum { REQUEST_PRODUCER = 2, ANSWER_CONFIRMED = TAG_VARINT(1), ANSWER_REFUSED = TAG_LEN(2) };
/* Fields of SubscribeRequest, Buffer, Duration and Selector. */
enum {
    REQUEST_SELECTORS = 1,
    REQUEST_EXCLUDE = 2,
    REQUEST_BUFFER = 4,
    REQUEST_NOTICES = 10,
    NOTICES_NONE = 2
};
enum {
    BUFFER_EVENTS = 1,
    BUFFER_BYTES = 2,
    BUFFER_OVERFLOW = 4,
    BUFFER_BLOCK_TIMEOUT = 5,
    DURATION_SECONDS = 1
};
enum { SELECTOR_PRODUCER = 1, SELECTOR_TOPIC = 2, SELECTOR_KEYS = 3, SELECTOR_TYPES = 4 };
enum { MAX_WAITING_EVENTS = 65536, MAX_WAITING_BYTES = 64 << 20, BLOCK_TIMEOUT_S = 10 };

struct h2_producer {
    struct producer base;
    struct h2 *h2;
    uint32_t stream;
    struct pieces pieces;
    uint64_t sent, confirmed; /* messages */
    bool half_closed;
    uint8_t *staged; /* what is left of a message that the windows did not allow as a whole */
    size_t staged_first, staged_size;
};

struct h2_consumer {
    struct consumer base;
    struct h2 *h2;
    uint32_t stream;
    struct batches batches;
};

static struct h2_producer *own_producer(struct producer *producer)
{
    return container_of(producer, struct h2_producer, base);
}

static struct h2_consumer *own_consumer(struct consumer *consumer)
{
    return container_of(consumer, struct h2_consumer, base);
}

/* ---- producer ---- */

static void on_answer(struct h2_producer *own, struct bytes message)
{
    struct walk walk = {message.data, message.data + message.size};
    uint64_t tag, number;
    struct bytes value;

    while (walk_next(&walk, &tag, &number, &value)) {
        if (tag == ANSWER_CONFIRMED)
            own->confirmed = number;
        if (tag == ANSWER_REFUSED)
            load_fail(own->base.load, "producer %u: a batch was refused", own->base.number);
    }
    own->base.ready = own->confirmed > 0;
}

static size_t take_answer(void *ctx, struct bytes input)
{
    if (input.size < GRPC_PREFIX_BYTES)
        return 0;
    size_t size = (size_t)input.data[1] << 24 | (size_t)input.data[2] << 16 | (size_t)input.data[3] << 8 |
                  input.data[4];
    if (input.data[0])
        return PIECES_BAD;
    if (input.size - GRPC_PREFIX_BYTES < size)
        return 0;
    on_answer(ctx, (struct bytes){input.data + GRPC_PREFIX_BYTES, size});
    return GRPC_PREFIX_BYTES + size;
}

static size_t take_answers(void *ctx, struct bytes input)
{
    size_t at = 0;

    for (size_t taken; (taken = take_answer(ctx, (struct bytes){input.data + at, input.size - at})) > 0;
         at += taken)
        if (taken == PIECES_BAD)
            return PIECES_BAD;
    return at;
}

static void on_answers(void *ctx, uint32_t stream, struct bytes data)
{
    struct h2_producer *own = ctx;

    (void)stream;
    if (!pieces_add(&own->pieces, data, take_answers, own))
        load_fail(own->base.load, "producer %u: an answer cannot be read", own->base.number);
}

static void on_publishing_ended(void *ctx, uint32_t stream, const struct h2_end *end)
{
    struct h2_producer *own = ctx;

    (void)stream;
    own->base.done = true;
    if (end->status != 0 || !own->half_closed)
        load_fail(own->base.load, "producer %u: the stream ended with %d %s", own->base.number, end->status,
                  end->message);
    else if (own->confirmed != own->sent)
        load_fail(own->base.load, "producer %u: %llu messages were sent, and %llu confirmed",
                  own->base.number, (unsigned long long)own->sent, (unsigned long long)own->confirmed);
}

/* Lays out the message. Every event has the same size, so the marks lie at equal distances. */
static bool lay_out(struct producer *producer)
{
    const struct plan *plan = &producer->load->plan;
    uint8_t head[96];
    uint32_t events = plan_message_events(plan, producer->number);
    size_t digits, head_size = batches_event_head(plan, 0, head, &digits),
                   step = head_size + plan->payload_bytes;
    struct layout *layout = &producer->layout;

    *layout = (struct layout){.size = GRPC_PREFIX_BYTES + step * events,
                              .first_mark = GRPC_PREFIX_BYTES + head_size,
                              .mark_step = step,
                              .label_before = head_size - digits,
                              .label_digits = plan->filter == FILTER_NONE ? 0 : (size_t)batches_digits(plan)};
    layout->bytes = malloc(layout->size);
    if (!layout->bytes)
        return false;
    memset(layout->bytes, '.', layout->size);
    put_prefix(layout->bytes, layout->size - GRPC_PREFIX_BYTES);
    for (uint32_t i = 0; i < events; i++)
        memcpy(layout->bytes + GRPC_PREFIX_BYTES + i * step, head, head_size);
    return true;
}

/* Sends the first message, which names the producer and holds no event. When it is confirmed, the
 * server knows the producer. */
static void send_producer_name(struct h2_producer *own)
{
    uint8_t message[64];
    char name[32];

    snprintf(name, sizeof(name), BATCHES_NAME, own->base.load->plan.run, own->base.number);
    size_t size = (size_t)(put_text(message + GRPC_PREFIX_BYTES, REQUEST_PRODUCER, name) - message);
    put_prefix(message, size - GRPC_PREFIX_BYTES);
    memcpy(h2_data(own->h2, own->stream, size, false), message, size);
    own->sent++;
}

static void producer_free(struct producer *producer)
{
    h2_free(own_producer(producer)->h2);
    pieces_fini(&own_producer(producer)->pieces);
    free(producer->layout.bytes);
    free(own_producer(producer)->staged);
    free(own_producer(producer));
}

static struct producer *producer_new(struct load *load, uint32_t number)
{
    struct h2_producer *own = calloc(1, sizeof(*own));

    if (!own)
        return NULL;
    own->base = (struct producer){.load = load, .number = number};
    own->h2 = h2_connect(load->plan.server, &(struct h2_port){on_answers, on_publishing_ended, own});
    if (own->h2 && lay_out(&own->base))
        own->stream = h2_open(own->h2, "/tributary.v1.Publisher/PublishStream");
    if (!own->stream) {
        load_fail(load, "producer %u: %s: %s", number, load->plan.server, strerror(errno));
        producer_free(&own->base);
        return NULL;
    }
    own->base.fd = h2_fd(own->h2);
    send_producer_name(own);
    return &own->base;
}

/* Sends as much of the staged message as the windows allow. */
static void send_staged(struct h2_producer *own)
{
    while (own->staged_size) {
        size_t part = MIN_OF(own->staged_size, h2_writable(own->h2, own->stream));
        if (!part)
            return;
        memcpy(h2_data(own->h2, own->stream, part, false), own->staged + own->staged_first, part);
        own->staged_first += part;
        own->staged_size -= part;
    }
}

static uint8_t *producer_reserve(struct producer *producer)
{
    struct h2_producer *own = own_producer(producer);
    size_t size = producer->layout.size;

    send_staged(own);
    size_t capacity = h2_writable(own->h2, own->stream);
    if (!capacity || own->staged_size)
        return NULL;
    if (capacity < size && !own->staged)
        own->staged = malloc(size);
    if (capacity < size && !own->staged)
        return NULL;
    own->sent++;
    if (capacity >= size)
        return h2_data(own->h2, own->stream, size, false);
    own->staged_first = 0;
    own->staged_size = size;
    return own->staged;
}

static void producer_flush(struct producer *producer)
{
    struct h2_producer *own = own_producer(producer);

    if (producer->done)
        return;
    send_staged(own);
    if (producer->finishing && !own->staged_size && !own->half_closed) {
        h2_data(own->h2, own->stream, 0, true);
        own->half_closed = true;
    }
    if (!h2_flush(own->h2))
        load_fail(producer->load, "producer %u: the connection is lost", producer->number);
    producer->pending = h2_pending(own->h2) || own->staged_size;
}

static void producer_finish(struct producer *producer)
{
    producer->finishing = true;
    producer_flush(producer);
}

static void producer_read(struct producer *producer)
{
    struct h2_producer *own = own_producer(producer);

    while (!producer->done && !load_failed(producer->load)) {
        if (!h2_read(own->h2))
            load_fail(producer->load, "producer %u: the connection is lost", producer->number);
        else if (!h2_more(own->h2))
            break;
    }
}

/* ---- consumer ---- */

static void on_batches(void *ctx, uint32_t stream, struct bytes data)
{
    struct h2_consumer *own = ctx;

    (void)stream;
    batches_add(&own->batches, data);
    own->base.started = own->batches.started;
}

static void on_subscription_ended(void *ctx, uint32_t stream, const struct h2_end *end)
{
    struct h2_consumer *own = ctx;

    (void)stream;
    load_fail(own->base.checker.load, "consumer %u: the stream ended with %d %s", own->base.checker.number,
              end->status, end->message);
}

/* Writes a field that holds Selector { producer: PRODUCER }, with the pattern of the filter. */
static uint8_t *put_selector(const struct plan *plan, uint32_t number, unsigned field, const char *producer,
                             uint8_t *at)
{
    static const unsigned fields[] = {
        [FILTER_KEY] = SELECTOR_KEYS, [FILTER_TYPE] = SELECTOR_TYPES, [FILTER_TOPIC] = SELECTOR_TOPIC};
    uint8_t selector[128], *end = put_text(selector, SELECTOR_PRODUCER, producer);
    char pattern[32];

    if (plan->filter != FILTER_NONE) {
        batches_label(plan, number, true, pattern, sizeof(pattern));
        end = put_text(end, fields[plan->filter], pattern);
    }
    at = put_head(at, field, (size_t)(end - selector));
    memcpy(at, selector, (size_t)(end - selector));
    return at + (end - selector);
}

/* Writes what the consumer wants. */
static uint8_t *put_selectors(const struct plan *plan, uint32_t number, uint8_t *at)
{
    char flooder[32];

    snprintf(flooder, sizeof(flooder), BATCHES_NAME, plan->run, plan->producers - 1);
    if (plan->flood_apart && number == plan->consumers - 1)
        return put_selector(plan, number, REQUEST_SELECTORS, flooder, at);
    at = put_selector(plan, number, REQUEST_SELECTORS, "*", at);
    return plan->flood_apart ? put_selector(plan, number, REQUEST_EXCLUDE, flooder, at) : at;
}

/* Writes a Buffer that holds more events than may be in flight: only a consumer that does not read
 * can block a producer. */
static size_t put_buffer(const struct plan *plan, uint8_t *at)
{
    uint8_t *end = put_number(at, BUFFER_EVENTS, MAX_WAITING_EVENTS);

    end = put_number(end, BUFFER_BYTES, MAX_WAITING_BYTES);
    end = put_number(end, BUFFER_OVERFLOW, plan->overflow);
    if (plan->overflow == OVERFLOW_BLOCK) {
        end = put_head(end, BUFFER_BLOCK_TIMEOUT, 2);
        end = put_number(end, DURATION_SECONDS, BLOCK_TIMEOUT_S);
    }
    return (size_t)(end - at);
}

static void subscribe(struct h2_consumer *own)
{
    const struct checker *checker = &own->base.checker;
    uint8_t message[256], part[128], *end = message + GRPC_PREFIX_BYTES;

    end = put_selectors(&checker->load->plan, checker->number, end);
    size_t size = put_buffer(&checker->load->plan, part);
    end = put_head(end, REQUEST_BUFFER, size);
    memcpy(end, part, size);
    end = put_number(end + size, REQUEST_NOTICES, NOTICES_NONE);
    size = (size_t)(end - message);
    put_prefix(message, size - GRPC_PREFIX_BYTES);
    memcpy(h2_data(own->h2, own->stream, size, true), message, size);
}

static void consumer_free(struct consumer *consumer)
{
    h2_free(own_consumer(consumer)->h2);
    batches_fini(&own_consumer(consumer)->batches);
    checker_fini(&consumer->checker);
    free(own_consumer(consumer));
}

static struct consumer *consumer_new(struct load *load, uint32_t number)
{
    struct h2_consumer *own = calloc(1, sizeof(*own));
    struct shape shape;

    if (!own)
        return NULL;
    shape.head_size = batches_event_head(&load->plan, number, shape.head, NULL);
    shape.step = shape.head_size + load->plan.payload_bytes;
    own->h2 = h2_connect(load->plan.server, &(struct h2_port){on_batches, on_subscription_ended, own});
    if (own->h2 && checker_init(&own->base.checker, load, number, &shape))
        own->stream = h2_open(own->h2, "/tributary.v1.Subscriber/Subscribe");
    if (!own->stream) {
        load_fail(load, "consumer %u: %s: %s", number, load->plan.server, strerror(errno));
        consumer_free(&own->base);
        return NULL;
    }
    own->base.fd = h2_fd(own->h2);
    batches_init(&own->batches, &own->base.checker);
    subscribe(own);
    return &own->base;
}

static void consumer_flush(struct consumer *consumer)
{
    struct h2_consumer *own = own_consumer(consumer);

    if (!h2_flush(own->h2))
        load_fail(consumer->checker.load, "consumer %u: the connection is lost", consumer->checker.number);
    consumer->pending = h2_pending(own->h2);
}

static void consumer_read(struct consumer *consumer)
{
    struct h2_consumer *own = own_consumer(consumer);

    if (!h2_read(own->h2))
        load_fail(consumer->checker.load, "consumer %u: the connection is lost", consumer->checker.number);
    if (h2_pending(own->h2))
        consumer_flush(consumer);
}

const struct protocol protocol_tributary = {
    .name = "tributary",
    .packs = true,
    .producer_new = producer_new,
    .producer_read = producer_read,
    .producer_reserve = producer_reserve,
    .producer_flush = producer_flush,
    .producer_finish = producer_finish,
    .producer_free = producer_free,
    .consumer_new = consumer_new,
    .consumer_read = consumer_read,
    .consumer_flush = consumer_flush,
    .consumer_free = consumer_free,
};
