/* pubsub.c - NATS and Redis: one event in a message, every message on one subject, text around it.
 *
 * DESIGN. Both protocols send one or more lines, then the payload, then "\r\n". The bytes before a
 * payload are the same for all messages of a run, so they are the head of the shape. Everything
 * else that a server sends is read as a line, and the dialect judges it. NATS reports only errors
 * (verbose false), and its PONG says that it has read everything before the PING. Redis answers
 * each PUBLISH. */
#include "bench/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/link.h"

enum { MAX_LINE = 16384, MAX_HELLO = 256, TAIL_BYTES = 2 };

struct text_producer {
    struct producer base;
    struct link link;
    uint64_t answered; /* events (Redis) */
};

struct text_consumer {
    struct consumer base;
    struct link link;
};

/* What a line of the server means. */
enum line { LINE_NOTHING, LINE_READY, LINE_ANSWER, LINE_PING, LINE_WRONG };

struct dialect {
    /* The texts of this run, and their sizes without the closing NUL: what producers and consumers
     * send first, and what precedes a payload. */
    size_t (*producer_hello)(const struct plan *plan, char *text, size_t capacity);
    size_t (*consumer_hello)(const struct plan *plan, char *text, size_t capacity);
    size_t (*publish_head)(const struct plan *plan, char *text, size_t capacity);
    size_t (*message_head)(const struct plan *plan, char *text, size_t capacity);
    enum line (*line)(struct bytes line);
    /* Requests LINE_READY once more, after the last message. NULL: each message is answered. */
    const char *final_request;
};

static struct text_producer *text_of(struct producer *producer)
{
    return container_of(producer, struct text_producer, base);
}

static struct text_consumer *text_of_consumer(struct consumer *consumer)
{
    return container_of(consumer, struct text_consumer, base);
}

static const struct dialect *dialect_of(const struct load *load)
{
    return load->plan.protocol->dialect;
}

static bool send_text(struct link *link, const char *text, size_t size)
{
    uint8_t *at = link_reserve(link, size);

    if (at)
        memcpy(at, text, size);
    return at;
}

static bool begins(struct bytes line, const char *word)
{
    return line.size >= strlen(word) && memcmp(line.data, word, strlen(word)) == 0;
}

/* ---- NATS ---- */

#define NATS_CONNECT                                                                                         \
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\",\"protocol\":0}\r\n"

static size_t nats_producer_hello(const struct plan *plan, char *text, size_t capacity)
{
    (void)plan;
    return (size_t)snprintf(text, capacity, NATS_CONNECT "PING\r\n");
}

static size_t nats_consumer_hello(const struct plan *plan, char *text, size_t capacity)
{
    return (size_t)snprintf(text, capacity, NATS_CONNECT "SUB load.%d 1\r\nPING\r\n", plan->run);
}

static size_t nats_publish_head(const struct plan *plan, char *text, size_t capacity)
{
    return (size_t)snprintf(text, capacity, "PUB load.%d %u\r\n", plan->run, plan->payload_bytes);
}

static size_t nats_message_head(const struct plan *plan, char *text, size_t capacity)
{
    return (size_t)snprintf(text, capacity, "MSG load.%d 1 %u\r\n", plan->run, plan->payload_bytes);
}

static enum line nats_line(struct bytes line)
{
    if (begins(line, "PING"))
        return LINE_PING;
    if (begins(line, "PONG"))
        return LINE_READY;
    return begins(line, "INFO") || begins(line, "+OK") ? LINE_NOTHING : LINE_WRONG;
}

static const struct dialect nats = {nats_producer_hello, nats_consumer_hello, nats_publish_head,
                                    nats_message_head,   nats_line,           "PING\r\n"};

/* ---- Redis ---- */

static size_t redis_producer_hello(const struct plan *plan, char *text, size_t capacity)
{
    (void)plan;
    return (size_t)snprintf(text, capacity, "*1\r\n$4\r\nPING\r\n");
}

static size_t redis_words(const struct plan *plan, const char *frame, char *text, size_t capacity)
{
    char channel[32];
    int size = snprintf(channel, sizeof(channel), "load.%d", plan->run);

    return (size_t)snprintf(text, capacity, "%s\r\n$%d\r\n%s\r\n", frame, size, channel);
}

static size_t redis_consumer_hello(const struct plan *plan, char *text, size_t capacity)
{
    return redis_words(plan, "*2\r\n$9\r\nSUBSCRIBE", text, capacity);
}

static size_t redis_with_payload(const struct plan *plan, const char *frame, char *text, size_t capacity)
{
    size_t size = redis_words(plan, frame, text, capacity);

    return size + (size_t)snprintf(text + size, capacity - size, "$%u\r\n", plan->payload_bytes);
}

static size_t redis_publish_head(const struct plan *plan, char *text, size_t capacity)
{
    return redis_with_payload(plan, "*3\r\n$7\r\nPUBLISH", text, capacity);
}

static size_t redis_message_head(const struct plan *plan, char *text, size_t capacity)
{
    return redis_with_payload(plan, "*3\r\n$7\r\nmessage", text, capacity);
}

/* A producer receives "+PONG", and ":7" for a message that seven consumers received. A consumer
 * receives six lines that confirm its subscription; the last one is ":1". */
static enum line redis_line(struct bytes line)
{
    if (begins(line, "+PONG"))
        return LINE_READY;
    if (begins(line, ":"))
        return LINE_ANSWER;
    return begins(line, "*3") || begins(line, "$") || begins(line, "subscribe") || begins(line, "load.")
               ? LINE_NOTHING
               : LINE_WRONG;
}

static const struct dialect redis = {
    redis_producer_hello, redis_consumer_hello, redis_publish_head, redis_message_head, redis_line, NULL,
};

/* ---- producer ---- */

static void producer_free(struct producer *producer)
{
    link_close(&text_of(producer)->link);
    free(producer->layout.bytes);
    free(text_of(producer));
}

static bool lay_out(struct producer *producer)
{
    const struct plan *plan = &producer->load->plan;
    char head[MAX_HELLO];
    size_t head_size = dialect_of(producer->load)->publish_head(plan, head, sizeof(head));
    size_t size = head_size + plan->payload_bytes + TAIL_BYTES;

    producer->layout =
        (struct layout){.bytes = malloc(size), .size = size, .first_mark = head_size, .mark_step = size};
    if (!producer->layout.bytes)
        return false;
    memset(producer->layout.bytes, '.', size);
    memcpy(producer->layout.bytes, head, head_size);
    memcpy(producer->layout.bytes + size - TAIL_BYTES, "\r\n", TAIL_BYTES);
    return true;
}

static struct producer *producer_new(struct load *load, uint32_t number)
{
    struct text_producer *text = calloc(1, sizeof(*text));
    char hello[MAX_HELLO];
    size_t size = dialect_of(load)->producer_hello(&load->plan, hello, sizeof(hello));

    if (!text)
        return NULL;
    text->base = (struct producer){.load = load, .number = number};
    if (!link_open(&text->link, load->plan.server) || !send_text(&text->link, hello, size) ||
        !lay_out(&text->base)) {
        load_fail(load, "producer %u: %s: %s", number, load->plan.server, strerror(errno));
        producer_free(&text->base);
        return NULL;
    }
    text->base.fd = text->link.fd;
    return &text->base;
}

static uint8_t *producer_reserve(struct producer *producer)
{
    return link_reserve(&text_of(producer)->link, producer->layout.size);
}

static void producer_flush(struct producer *producer)
{
    struct text_producer *text = text_of(producer);

    if (!link_flush(&text->link))
        load_fail(producer->load, "producer %u: the connection is lost: %s", producer->number,
                  strerror(errno));
    producer->pending = link_pending(&text->link);
}

static void note_done(struct text_producer *text)
{
    if (text->base.finishing && !dialect_of(text->base.load)->final_request)
        text->base.done = text->answered == text->base.next;
}

static void producer_finish(struct producer *producer)
{
    const char *final_request = dialect_of(producer->load)->final_request;

    producer->finishing = true;
    if (final_request && !send_text(&text_of(producer)->link, final_request, strlen(final_request)))
        load_fail(producer->load, "producer %u: too much output waits", producer->number);
    note_done(text_of(producer));
    producer_flush(producer);
}

static bool on_producer_line(struct text_producer *text, struct bytes line)
{
    struct producer *producer = &text->base;

    switch (dialect_of(producer->load)->line(line)) {
    case LINE_NOTHING:
        return true;
    case LINE_READY:
        producer->done = producer->finishing;
        producer->ready = true;
        return true;
    case LINE_ANSWER:
        text->answered++;
        return true;
    case LINE_PING:
        return send_text(&text->link, "PONG\r\n", 6);
    case LINE_WRONG:
        load_fail(producer->load, "producer %u: the server says %.*s", producer->number,
                  (int)MIN_OF(line.size, (size_t)200), (const char *)line.data);
    }
    return false;
}

/* The line at the beginning, with its end; size 0: it is not whole. */
static struct bytes line_in(struct bytes input)
{
    const uint8_t *end = input.size ? memchr(input.data, '\n', input.size) : NULL;

    return (struct bytes){input.data, end ? (size_t)(end + 1 - input.data) : 0};
}

static size_t take_lines(void *ctx, struct bytes input)
{
    struct text_producer *text = ctx;
    size_t at = 0;

    for (;;) {
        struct bytes line = line_in((struct bytes){input.data + at, input.size - at});
        if (!line.size)
            return input.size - at > MAX_LINE ? PIECES_BAD : at;
        if (!on_producer_line(text, line))
            return PIECES_BAD;
        at += line.size;
    }
}

static void producer_read(struct producer *producer)
{
    struct text_producer *text = text_of(producer);
    enum link_state state = LINK_MORE;

    while (state == LINK_MORE)
        state = link_read(&text->link, take_lines, text);
    if (state != LINK_DRAINED)
        load_fail(producer->load, "producer %u: the connection is lost, or says what makes no sense",
                  producer->number);
    note_done(text);
}

/* ---- consumer ---- */

static void consumer_free(struct consumer *consumer)
{
    link_close(&text_of_consumer(consumer)->link);
    checker_fini(&consumer->checker);
    free(text_of_consumer(consumer));
}

static struct consumer *consumer_new(struct load *load, uint32_t number)
{
    struct text_consumer *text = calloc(1, sizeof(*text));
    struct shape shape;
    char hello[MAX_HELLO];
    size_t size = dialect_of(load)->consumer_hello(&load->plan, hello, sizeof(hello));

    if (!text)
        return NULL;
    shape.head_size = dialect_of(load)->message_head(&load->plan, (char *)shape.head, sizeof(shape.head));
    shape.step = shape.head_size + load->plan.payload_bytes + TAIL_BYTES;
    if (!link_open(&text->link, load->plan.server) || !send_text(&text->link, hello, size) ||
        !checker_init(&text->base.checker, load, number, &shape)) {
        load_fail(load, "consumer %u: %s: %s", number, load->plan.server, strerror(errno));
        consumer_free(&text->base);
        return NULL;
    }
    text->base.fd = text->link.fd;
    return &text->base;
}

static bool on_consumer_line(struct text_consumer *text, struct bytes line)
{
    struct consumer *consumer = &text->base;

    switch (dialect_of(consumer->checker.load)->line(line)) {
    case LINE_NOTHING:
        return true;
    case LINE_READY:
    case LINE_ANSWER:
        consumer->started = true;
        return true;
    case LINE_PING:
        consumer->pending = true;
        return send_text(&text->link, "PONG\r\n", 6);
    case LINE_WRONG:
        load_fail(consumer->checker.load, "consumer %u: the server says %.*s", consumer->checker.number,
                  (int)MIN_OF(line.size, (size_t)200), (const char *)line.data);
    }
    return false;
}

static size_t consume(void *ctx, struct bytes input)
{
    struct text_consumer *text = ctx;
    struct checker *checker = &text->base.checker;
    size_t at = 0;

    for (;;) {
        struct bytes rest = {input.data + at, input.size - at};
        size_t taken = 0;
        if (rest.size &&
            !memcmp(rest.data, checker->shape.head, MIN_OF(rest.size, checker->shape.head_size))) {
            taken = checker_messages(checker, rest);
        } else {
            struct bytes line = line_in(rest);
            taken = line.size;
            if (taken ? !on_consumer_line(text, line) : rest.size > MAX_LINE)
                return PIECES_BAD;
        }
        if (taken == PIECES_BAD)
            return PIECES_BAD;
        if (!taken)
            return at;
        at += taken;
    }
}

static void consumer_flush(struct consumer *consumer)
{
    struct text_consumer *text = text_of_consumer(consumer);

    if (!link_flush(&text->link))
        load_fail(consumer->checker.load, "consumer %u: the connection is lost: %s", consumer->checker.number,
                  strerror(errno));
    consumer->pending = link_pending(&text->link);
}

static void consumer_read(struct consumer *consumer)
{
    struct text_consumer *text = text_of_consumer(consumer);
    enum link_state state = link_read(&text->link, consume, text);

    if (state != LINK_DRAINED && state != LINK_MORE)
        load_fail(consumer->checker.load, "consumer %u: the connection is lost, or says what makes no sense",
                  consumer->checker.number);
    if (link_pending(&text->link))
        consumer_flush(consumer);
}

#define TEXT_PROTOCOL(title, speaks)                                                                         \
    {                                                                                                        \
        .name = (title), .dialect = (speaks), .producer_new = producer_new, .producer_read = producer_read,  \
        .producer_reserve = producer_reserve, .producer_flush = producer_flush,                              \
        .producer_finish = producer_finish, .producer_free = producer_free, .consumer_new = consumer_new,    \
        .consumer_read = consumer_read, .consumer_flush = consumer_flush, .consumer_free = consumer_free     \
    }

const struct protocol protocol_nats = TEXT_PROTOCOL("nats", &nats);
const struct protocol protocol_redis = TEXT_PROTOCOL("redis", &redis);
