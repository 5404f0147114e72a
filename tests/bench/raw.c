/* raw.c - the relay's protocol: frames of events that are nothing but payload.
 *
 * A connection begins with one byte, 'P' or 'C'. A frame is its length, in four bytes with the
 * least significant first, and that many bytes. The relay sends a consumer an empty frame first,
 * and closes a producer's connection after it has received everything. */
#include "bench/protocol.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/link.h"

enum { HEAD_BYTES = 4 };

struct raw_producer {
    struct producer base;
    struct link link;
    bool half_closed;
};

struct raw_consumer {
    struct consumer base;
    struct link link;
    uint32_t left; /* bytes left of the frame */
};

static struct raw_producer *raw_of(struct producer *producer)
{
    return container_of(producer, struct raw_producer, base);
}

/* ---- producer ---- */

static void producer_free(struct producer *producer)
{
    link_close(&raw_of(producer)->link);
    free(producer->layout.bytes);
    free(raw_of(producer));
}

static bool lay_out(struct producer *producer)
{
    const struct plan *plan = &producer->load->plan;
    uint32_t size = plan->per_message * plan->payload_bytes, head = htole32(size);

    producer->layout = (struct layout){.bytes = malloc(HEAD_BYTES + size),
                                       .size = HEAD_BYTES + size,
                                       .first_mark = HEAD_BYTES,
                                       .mark_step = plan->payload_bytes};
    if (!producer->layout.bytes)
        return false;
    memset(producer->layout.bytes, '.', producer->layout.size);
    memcpy(producer->layout.bytes, &head, sizeof(head));
    return true;
}

/* Sends the role of this connection. */
static bool send_role(struct link *link, char role)
{
    uint8_t *at = link_reserve(link, 1);

    if (at)
        *at = (uint8_t)role;
    return at;
}

static struct producer *producer_new(struct load *load, uint32_t number)
{
    struct raw_producer *raw = calloc(1, sizeof(*raw));

    if (!raw)
        return NULL;
    raw->base = (struct producer){.load = load, .number = number, .ready = true};
    if (!link_open(&raw->link, load->plan.server) || !send_role(&raw->link, 'P') || !lay_out(&raw->base)) {
        load_fail(load, "producer %u: %s: %s", number, load->plan.server, strerror(errno));
        producer_free(&raw->base);
        return NULL;
    }
    raw->base.fd = raw->link.fd;
    return &raw->base;
}

static uint8_t *producer_reserve(struct producer *producer)
{
    return link_reserve(&raw_of(producer)->link, producer->layout.size);
}

static void producer_flush(struct producer *producer)
{
    struct raw_producer *raw = raw_of(producer);

    if (!link_flush(&raw->link))
        load_fail(producer->load, "producer %u: the connection is lost: %s", producer->number,
                  strerror(errno));
    producer->pending = link_pending(&raw->link);
    if (producer->finishing && !producer->pending && !raw->half_closed)
        raw->half_closed = shutdown(producer->fd, SHUT_WR) == 0;
}

static void producer_finish(struct producer *producer)
{
    producer->finishing = true;
    producer_flush(producer);
}

static size_t take_nothing(void *ctx, struct bytes input)
{
    (void)ctx;
    return input.size ? PIECES_BAD : 0; /* the relay sends nothing to producers */
}

static void producer_read(struct producer *producer)
{
    struct raw_producer *raw = raw_of(producer);
    enum link_state state = producer->done ? LINK_DRAINED : link_read(&raw->link, take_nothing, NULL);

    if (state == LINK_ENDED && raw->half_closed)
        producer->done = true;
    else if (state != LINK_DRAINED)
        load_fail(producer->load, "producer %u: the connection is lost", producer->number);
}

/* ---- consumer ---- */

static void consumer_free(struct consumer *consumer)
{
    struct raw_consumer *raw = container_of(consumer, struct raw_consumer, base);

    link_close(&raw->link);
    checker_fini(&consumer->checker);
    free(raw);
}

static struct consumer *consumer_new(struct load *load, uint32_t number)
{
    struct raw_consumer *raw = calloc(1, sizeof(*raw));
    struct shape shape = {.step = load->plan.payload_bytes};
    uint32_t head = htole32(load->plan.payload_bytes);

    if (!raw)
        return NULL;
    if (load->plan.per_message == 1) { /* then whole frames look alike */
        memcpy(shape.head, &head, sizeof(head));
        shape.head_size = sizeof(head);
        shape.step += sizeof(head);
    }
    if (!link_open(&raw->link, load->plan.server) || !send_role(&raw->link, 'C') ||
        !checker_init(&raw->base.checker, load, number, &shape)) {
        load_fail(load, "consumer %u: %s: %s", number, load->plan.server, strerror(errno));
        consumer_free(&raw->base);
        return NULL;
    }
    raw->base.fd = raw->link.fd;
    return &raw->base;
}

/* Checks the events of a frame, as many as are there. Returns how many bytes. */
static size_t take_events(struct raw_consumer *raw, struct bytes input)
{
    struct checker *checker = &raw->base.checker;
    size_t step = checker->shape.step, whole = MIN_OF(input.size, (size_t)raw->left) / step * step;

    if (!whole)
        return 0;
    uint32_t producer = checker_producer(checker, input.data);
    if (producer == MAX_PLAN_PRODUCERS)
        return PIECES_BAD;
    const uint8_t *end = input.data + whole, *at = checker_row(checker, producer, input.data, end);
    if (at != end)
        checker_event(checker, producer, (struct bytes){at, step}); /* reports what is wrong */
    raw->left -= (uint32_t)whole;
    return whole;
}

/* Reads a frame's length; or, if a message holds one event, checks whole frames. Returns how many
 * bytes. */
static size_t take_frame(struct raw_consumer *raw, struct bytes input)
{
    const struct plan *plan = &raw->base.checker.load->plan;
    uint32_t size;

    if (input.size < HEAD_BYTES)
        return 0;
    memcpy(&size, input.data, HEAD_BYTES);
    size = le32toh(size);
    raw->base.started = true; /* the first frame is the empty one */
    if (size && size != plan->per_message * plan->payload_bytes)
        return PIECES_BAD;
    if (size && plan->per_message == 1)
        return checker_messages(&raw->base.checker, input);
    raw->left = size;
    raw->base.checker.messages += size > 0;
    return HEAD_BYTES;
}

static size_t consume(void *ctx, struct bytes input)
{
    struct raw_consumer *raw = ctx;
    size_t at = 0;

    for (;;) {
        struct bytes rest = {input.data + at, input.size - at};
        size_t taken = raw->left ? take_events(raw, rest) : take_frame(raw, rest);
        if (taken == PIECES_BAD)
            return PIECES_BAD;
        if (!taken)
            return at;
        at += taken;
    }
}

static void consumer_read(struct consumer *consumer)
{
    struct raw_consumer *raw = container_of(consumer, struct raw_consumer, base);
    enum link_state state = link_read(&raw->link, consume, raw);

    if (state == LINK_MALFORMED)
        load_fail(consumer->checker.load, "consumer %u: a frame makes no sense", consumer->checker.number);
    else if (state == LINK_ENDED || state == LINK_LOST)
        load_fail(consumer->checker.load, "consumer %u: the connection is lost", consumer->checker.number);
}

static void consumer_flush(struct consumer *consumer)
{
    struct raw_consumer *raw = container_of(consumer, struct raw_consumer, base);

    if (!link_flush(&raw->link))
        load_fail(consumer->checker.load, "consumer %u: the connection is lost: %s", consumer->checker.number,
                  strerror(errno));
    consumer->pending = link_pending(&raw->link);
}

const struct protocol protocol_raw = {
    .name = "raw",
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
