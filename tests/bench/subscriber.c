/* subscriber.c - Subscribe, a call on a connection of its own. */
#include "bench/subscriber.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batches.h"
#include "bench/fields.h"
#include "lib/h2/h2.h"

/* Fields of SubscribeRequest, Buffer, Duration and Selector. */
enum {
    REQUEST_SELECTORS = 1,
    REQUEST_EXCLUDE = 2,
    REQUEST_BUFFER = 4,
    REQUEST_NOTICES = 10,
    REQUEST_SORT_WINDOW = 14,
    NOTICES_NONE = 2
};
enum {
    BUFFER_EVENTS = 1,
    BUFFER_BYTES = 2,
    BUFFER_OVERFLOW = 4,
    BUFFER_BLOCK_TIMEOUT = 5,
    DURATION_SECONDS = 1,
    DURATION_NANOS = 2,
    WINDOW_DURATION = 2
};
enum { SELECTOR_PRODUCER = 1, SELECTOR_TOPIC = 2, SELECTOR_KEYS = 3, SELECTOR_TYPES = 4 };
enum { MAX_WAITING_EVENTS = 65536, MAX_WAITING_BYTES = 64 << 20, BLOCK_TIMEOUT_S = 10 };

struct h2_consumer {
    struct consumer base;
    struct h2 *h2;
    uint32_t stream;
    struct batches batches;
};

static struct h2_consumer *own_consumer(struct consumer *consumer)
{
    return container_of(consumer, struct h2_consumer, base);
}

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

/* Writes a SortWindow. It has space for half of the buffer. */
static size_t put_window(const struct plan *plan, uint8_t *at)
{
    uint8_t duration[32], *end = put_number(duration, DURATION_SECONDS, plan->sort_window_ms / 1000);

    end = put_number(end, DURATION_NANOS, (uint64_t)(plan->sort_window_ms % 1000) * 1000000);
    uint8_t *body = put_head(at, WINDOW_DURATION, (size_t)(end - duration));
    memcpy(body, duration, (size_t)(end - duration));
    return (size_t)(body - at) + (size_t)(end - duration);
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
    if (checker->load->plan.sort_window_ms > 0) {
        size = put_window(&checker->load->plan, part);
        end = put_head(end, REQUEST_SORT_WINDOW, size);
        memcpy(end, part, size);
        end += size;
    }
    size = (size_t)(end - message);
    put_prefix(message, size - GRPC_PREFIX_BYTES);
    memcpy(h2_data(own->h2, own->stream, size, true), message, size);
}

void subscriber_free(struct consumer *consumer)
{
    h2_free(own_consumer(consumer)->h2);
    batches_fini(&own_consumer(consumer)->batches);
    checker_fini(&consumer->checker);
    free(own_consumer(consumer));
}

struct consumer *subscriber_new(struct load *load, uint32_t number)
{
    struct h2_consumer *own = calloc(1, sizeof(*own));
    struct shape shape;

    if (!own)
        return NULL;
    shape.head_size = batches_event_head(&load->plan, number, shape.head, NULL);
    shape.step = shape.head_size + load->plan.payload_bytes + plan_tail_bytes(&load->plan);
    own->h2 = h2_connect(load->plan.server,
                         &(struct h2_port){.data = on_batches, .ended = on_subscription_ended, .ctx = own});
    if (own->h2 && checker_init(&own->base.checker, load, number, &shape))
        own->stream = h2_open(own->h2, "/tributary.v1.Subscriber/Subscribe");
    if (!own->stream) {
        load_fail(load, "consumer %u: %s: %s", number, load->plan.server, strerror(errno));
        subscriber_free(&own->base);
        return NULL;
    }
    own->base.fd = h2_fd(own->h2);
    batches_init(&own->batches, &own->base.checker);
    subscribe(own);
    return &own->base;
}

void subscriber_flush(struct consumer *consumer)
{
    struct h2_consumer *own = own_consumer(consumer);

    if (!h2_flush(own->h2))
        load_fail(consumer->checker.load, "consumer %u: the connection is lost", consumer->checker.number);
    consumer->pending = h2_pending(own->h2);
}

void subscriber_read(struct consumer *consumer)
{
    struct h2_consumer *own = own_consumer(consumer);

    if (!h2_read(own->h2))
        load_fail(consumer->checker.load, "consumer %u: the connection is lost", consumer->checker.number);
    if (h2_pending(own->h2))
        subscriber_flush(consumer);
}
