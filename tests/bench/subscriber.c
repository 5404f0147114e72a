/* subscriber.c - one connection that receives everything and believes nothing: each sequence number and each payload is checked. */
#include "bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/framing.h"

/* Fields of EventBatch, Run and Event, with their wire types. */
#define LEN(field) ((field) << 3 | WIRE_LEN)
#define FIXED64(field) ((field) << 3 | WIRE_FIXED64)
enum { BATCH_RUNS = LEN(1), BATCH_LOST = LEN(2), BATCH_CLOSING = LEN(5), BATCH_STARTED = LEN(6) };
enum { RUN_EVENTS = LEN(1), RUN_SOURCE = LEN(2), RUN_FIRST = FIXED64(4), RUN_SEQUENCES = LEN(7) };
enum { EVENT_DATA = LEN(8) };

struct subscriber {
    struct load *load;
    struct h2 *h2;
    uint32_t stream;
    bool started;
    uint64_t next[LOAD_PUBLISHERS_MOST]; /* the number expected of each publisher */
    uint64_t bytes, messages;
    struct gather gather;
};

static void check_event(struct subscriber *subscriber, struct bytes event, uint64_t source)
{
    struct walk walk = {event.at, event.at + event.size};
    struct load_mark mark = {0};
    uint64_t tag, number;
    struct bytes value;

    while (walk_next(&walk, &tag, &number, &value))
        if (tag == EVENT_DATA && value.size == subscriber->load->plan.payload_bytes)
            memcpy(&mark, value.at, sizeof(mark));
    if (mark.producer != source || mark.number != subscriber->next[source] || !mark.time_ns)
        load_fail(subscriber->load, "source p%llu: expected payload %llu, got %llu of %llu", (unsigned long long)source,
                  (unsigned long long)subscriber->next[source], (unsigned long long)mark.number, (unsigned long long)mark.producer);
    subscriber->next[source]++;
}

/* LOAD_PUBLISHERS_MOST where it is none of ours. */
static uint64_t source_number(const struct load *load, struct bytes name)
{
    char text[LOAD_NAME_BYTES] = {0};
    int process = 0;
    unsigned number = 0;

    memcpy(text, name.at, MIN_OF(name.size, sizeof(text) - 1));
    if (sscanf(text, LOAD_NAME, &process, &number) != 2 || process != load->process || number >= LOAD_PUBLISHERS_MOST)
        return LOAD_PUBLISHERS_MOST;
    return number;
}

/* Fields come in any order, so the header is read in a first walk: it skips each event by its length. */
static void check_run(struct subscriber *subscriber, struct bytes run)
{
    struct walk walk = {run.at, run.at + run.size};
    struct bytes source_name = {0}, value;
    uint64_t tag, number, first = 0, events = 0;
    bool holes = false;

    while (walk_next(&walk, &tag, &number, &value)) {
        events += tag == RUN_EVENTS;
        holes |= tag == RUN_SEQUENCES;
        if (tag == RUN_SOURCE)
            source_name = value;
        if (tag == RUN_FIRST)
            first = number;
    }
    uint64_t source = source_number(subscriber->load, source_name);
    if (source >= subscriber->load->plan.publishers || holes || !walk.at) {
        load_fail(subscriber->load, "a run of nobody, with holes, or malformed: \"%.*s\"", (int)source_name.size,
                  (const char *)source_name.at);
        return;
    }
    if (first != subscriber->next[source] + 1)
        load_fail(subscriber->load, "source p%llu: expected sequence %llu, got %llu", (unsigned long long)source,
                  (unsigned long long)subscriber->next[source] + 1, (unsigned long long)first);
    walk = (struct walk){run.at, run.at + run.size};
    while (walk_next(&walk, &tag, &number, &value))
        if (tag == RUN_EVENTS)
            check_event(subscriber, value, source);
    subscriber->load->received += events;
}

static void on_batch(void *ctx, struct bytes message)
{
    struct subscriber *subscriber = ctx;
    struct walk walk = {message.at, message.at + message.size};
    uint64_t tag, number;
    struct bytes value;

    subscriber->messages++;
    subscriber->bytes += message.size;
    while (walk_next(&walk, &tag, &number, &value)) {
        if (tag == BATCH_RUNS)
            check_run(subscriber, value);
        else if (tag == BATCH_STARTED)
            subscriber->started = true;
        else if (tag == BATCH_LOST || tag == BATCH_CLOSING)
            load_fail(subscriber->load, "the subscriber was told of a %s", tag == BATCH_LOST ? "loss" : "closing");
    }
    if (!walk.at)
        load_fail(subscriber->load, "the subscriber got a malformed batch");
}

static void on_data(void *ctx, uint32_t stream, struct bytes data)
{
    struct subscriber *subscriber = ctx;

    (void)stream;
    if (!gather_add(&subscriber->gather, data, on_batch, subscriber))
        load_fail(subscriber->load, "the subscriber's stream cannot be read");
}

static void on_ended(void *ctx, uint32_t stream, const struct h2_end *end)
{
    struct subscriber *subscriber = ctx;

    (void)stream;
    load_fail(subscriber->load, "the subscriber's stream ended with %d %s", end->status, end->message);
}

/* SubscribeRequest { selectors { producer "*" } buffer { max_events 65536, max_bytes 64 MiB, overflow BLOCK, block_timeout 10 s } notices
 * NONE }, behind gRPC's prefix. */
static const uint8_t request[] = "\0\0\0\0\x18"
                                 "\x0a\x03\x0a\x01*"
                                 "\x22\x0f\x08\x80\x80\x04\x10\x80\x80\x80\x20\x20\x01\x2a\x02\x08\x0a"
                                 "\x50\x02";
enum { REQUEST_BYTES = sizeof(request) - 1 };

struct subscriber *subscriber_new(struct load *load)
{
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));

    if (!subscriber)
        return NULL;
    subscriber->load = load;
    subscriber->h2 = h2_connect(load->plan.server, &(struct h2_port){on_data, on_ended, subscriber});
    if (subscriber->h2)
        subscriber->stream = h2_open(subscriber->h2, "/tributary.v1.Subscriber/Subscribe");
    if (!subscriber->stream) {
        load_fail(load, "subscriber: %s: %s", load->plan.server, strerror(errno));
        subscriber_free(subscriber);
        return NULL;
    }
    memcpy(h2_data(subscriber->h2, subscriber->stream, REQUEST_BYTES, true), request, REQUEST_BYTES);
    return subscriber;
}

void subscriber_free(struct subscriber *subscriber)
{
    if (!subscriber)
        return;
    h2_free(subscriber->h2);
    gather_fini(&subscriber->gather);
    free(subscriber);
}

struct h2 *subscriber_connection(struct subscriber *subscriber)
{
    return subscriber->h2;
}

bool subscriber_started(const struct subscriber *subscriber)
{
    return subscriber->started;
}

uint64_t subscriber_bytes(const struct subscriber *subscriber)
{
    return subscriber->bytes;
}

uint64_t subscriber_messages(const struct subscriber *subscriber)
{
    return subscriber->messages;
}
