/* tributary.c - producers that dial in: PublishStream, a call on a connection of its own. */
#include "bench/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batches.h"
#include "bench/fields.h"
#include "bench/outgoing.h"
#include "bench/subscriber.h"

/* Fields of PublishStreamRequest and its answer. */
enum { REQUEST_PRODUCER = 2, ANSWER_CONFIRMED = TAG_VARINT(1), ANSWER_REFUSED = TAG_LEN(2) };
struct h2_producer {
    struct producer base;
    struct outgoing out;
    struct pieces pieces;
    uint64_t sent, confirmed; /* messages */
    bool half_closed;
};

static struct h2_producer *own_producer(struct producer *producer)
{
    return container_of(producer, struct h2_producer, base);
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
                   step = head_size + plan->payload_bytes + plan_tail_bytes(plan);
    struct layout *layout = &producer->layout;

    *layout = (struct layout){.size = GRPC_PREFIX_BYTES + step * events,
                              .first_mark = GRPC_PREFIX_BYTES + head_size,
                              .mark_step = step,
                              .time_at = plan->timed ? plan->payload_bytes : 0,
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
    memcpy(h2_data(own->out.h2, own->out.stream, size, false), message, size);
    own->sent++;
}

static void producer_free(struct producer *producer)
{
    outgoing_fini(&own_producer(producer)->out);
    pieces_fini(&own_producer(producer)->pieces);
    free(producer->layout.bytes);
    free(own_producer(producer));
}

static struct producer *producer_new(struct load *load, uint32_t number)
{
    struct h2_producer *own = calloc(1, sizeof(*own));

    if (!own)
        return NULL;
    own->base = (struct producer){.load = load, .number = number};
    own->out.h2 = h2_connect(load->plan.server,
                             &(struct h2_port){.data = on_answers, .ended = on_publishing_ended, .ctx = own});
    if (own->out.h2 && lay_out(&own->base))
        own->out.stream = h2_open(own->out.h2, "/tributary.v1.Publisher/PublishStream");
    if (!own->out.stream) {
        load_fail(load, "producer %u: %s: %s", number, load->plan.server, strerror(errno));
        producer_free(&own->base);
        return NULL;
    }
    own->base.fd = h2_fd(own->out.h2);
    send_producer_name(own);
    return &own->base;
}

static uint8_t *producer_reserve(struct producer *producer)
{
    struct h2_producer *own = own_producer(producer);
    uint8_t *at = outgoing_reserve(&own->out, producer->layout.size);

    if (at)
        own->sent++;
    return at;
}

static void producer_flush(struct producer *producer)
{
    struct h2_producer *own = own_producer(producer);

    if (producer->done)
        return;
    outgoing_continue(&own->out);
    if (producer->finishing && !own->out.size && !own->half_closed) {
        h2_data(own->out.h2, own->out.stream, 0, true);
        own->half_closed = true;
    }
    if (!h2_flush(own->out.h2))
        load_fail(producer->load, "producer %u: the connection is lost", producer->number);
    producer->pending = outgoing_pending(&own->out);
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
        if (!h2_read(own->out.h2))
            load_fail(producer->load, "producer %u: the connection is lost", producer->number);
        else if (!h2_more(own->out.h2))
            break;
    }
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
    .consumer_new = subscriber_new,
    .consumer_read = subscriber_read,
    .consumer_flush = subscriber_flush,
    .consumer_free = subscriber_free,
};
