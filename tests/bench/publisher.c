/* publisher.c - one connection that publishes as fast as bounds and windows allow.
 *
 * A message is laid out once; for each one sent only time and number of its events are written anew. */
#include "bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/framing.h"

enum { EVENTS_FIELD = 1, PRODUCER_FIELD = 2, DATA_FIELD = 8, REFUSED_FIELD = 2, ROUND_EVENTS = 256, PREFIX_BYTES = 5 };

struct publisher {
    struct load *load;
    uint32_t number;
    struct h2 *h2;
    uint32_t stream;
    uint64_t next;    /* the next event's number */
    uint8_t *message; /* with gRPC's prefix */
    size_t message_size, first_mark, mark_step;
    struct gather gather;
    bool introduced, half_closed, ended;
};

static void on_answer(void *ctx, struct bytes message)
{
    struct publisher *publisher = ctx;
    struct walk walk = {message.at, message.at + message.size};
    uint64_t tag, number;
    struct bytes value;

    while (walk_next(&walk, &tag, &number, &value))
        if (tag == (REFUSED_FIELD << 3 | WIRE_LEN))
            load_fail(publisher->load, "publisher %u: a batch was refused", publisher->number);
}

static void on_data(void *ctx, uint32_t stream, struct bytes data)
{
    struct publisher *publisher = ctx;

    (void)stream;
    if (!gather_add(&publisher->gather, data, on_answer, publisher))
        load_fail(publisher->load, "publisher %u: an answer cannot be read", publisher->number);
}

static void on_ended(void *ctx, uint32_t stream, const struct h2_end *end)
{
    struct publisher *publisher = ctx;

    (void)stream;
    publisher->ended = true;
    if (end->status != 0 || !publisher->half_closed)
        load_fail(publisher->load, "publisher %u: the stream ended with %d %s", publisher->number, end->status, end->message);
}

static uint8_t *put_length(uint8_t *at, unsigned field, size_t size)
{
    at += varint_write(at, field << 3 | WIRE_LEN);
    return at + varint_write(at, size);
}

static void put_prefix(uint8_t *at, size_t size)
{
    at[0] = 0;
    at[1] = (uint8_t)(size >> 24), at[2] = (uint8_t)(size >> 16), at[3] = (uint8_t)(size >> 8), at[4] = (uint8_t)size;
}

/* Every event has the same size, so the marks lie at equal distances. */
static bool lay_out(struct publisher *publisher)
{
    const struct load_plan *plan = &publisher->load->plan;
    size_t body = 1 + varint_size(plan->payload_bytes) + plan->payload_bytes;
    size_t step = 1 + varint_size(body) + body;

    publisher->message_size = PREFIX_BYTES + step * plan->per_message;
    publisher->message = malloc(publisher->message_size);
    if (!publisher->message)
        return false;
    memset(publisher->message, '.', publisher->message_size);
    put_prefix(publisher->message, publisher->message_size - PREFIX_BYTES);
    for (uint32_t i = 0; i < plan->per_message; i++)
        put_length(put_length(publisher->message + PREFIX_BYTES + i * step, EVENTS_FIELD, body), DATA_FIELD, plan->payload_bytes);
    publisher->mark_step = step;
    publisher->first_mark = PREFIX_BYTES + step - plan->payload_bytes;
    return true;
}

/* The first message says who publishes, and holds no event. */
static void introduce(struct publisher *publisher)
{
    char name[LOAD_NAME_BYTES];
    int size = snprintf(name, sizeof(name), LOAD_NAME, publisher->load->process, publisher->number);
    size_t whole = PREFIX_BYTES + 2 + (size_t)size;

    if (h2_room(publisher->h2, publisher->stream) < whole)
        return;
    uint8_t *at = h2_data(publisher->h2, publisher->stream, whole, false);
    put_prefix(at, whole - PREFIX_BYTES);
    memcpy(put_length(at + PREFIX_BYTES, PRODUCER_FIELD, (size_t)size), name, (size_t)size);
    publisher->introduced = true;
}

static void send_message(struct publisher *publisher)
{
    uint32_t events = publisher->load->plan.per_message;
    uint8_t *at = h2_data(publisher->h2, publisher->stream, publisher->message_size, false);
    struct load_mark mark = {.time_ns = (uint64_t)clock_mono_ns(), .producer = publisher->number};

    memcpy(at, publisher->message, publisher->message_size);
    for (uint32_t i = 0; i < events; i++) {
        mark.number = publisher->next++;
        memcpy(at + publisher->first_mark + i * publisher->mark_step, &mark, sizeof(mark));
    }
    publisher->load->published += events;
}

void publisher_publish(struct publisher *publisher)
{
    struct load *load = publisher->load;
    const struct load_plan *plan = &load->plan;

    if (publisher->ended)
        return;
    if (!publisher->introduced)
        introduce(publisher);
    for (uint32_t sent = 0; publisher->introduced && !load->stopping && sent < ROUND_EVENTS; sent += plan->per_message) {
        if (load->published - load->received + plan->per_message > plan->in_flight_most ||
            h2_room(publisher->h2, publisher->stream) < publisher->message_size)
            break;
        send_message(publisher);
    }
    if (load->stopping && !publisher->half_closed) {
        h2_data(publisher->h2, publisher->stream, 0, true);
        publisher->half_closed = true;
    }
    if (!h2_flush(publisher->h2))
        load_fail(load, "publisher %u: the connection is lost", publisher->number);
}

bool publisher_done(const struct publisher *publisher)
{
    return publisher->ended;
}

struct h2 *publisher_connection(struct publisher *publisher)
{
    return publisher->h2;
}

struct publisher *publisher_new(struct load *load, uint32_t number)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));

    if (!publisher)
        return NULL;
    publisher->load = load;
    publisher->number = number;
    publisher->h2 = h2_connect(load->plan.server, &(struct h2_port){on_data, on_ended, publisher});
    if (publisher->h2 && lay_out(publisher))
        publisher->stream = h2_open(publisher->h2, "/tributary.v1.Publisher/PublishStream");
    if (publisher->stream)
        return publisher;
    load_fail(load, "publisher %u: %s: %s", number, load->plan.server, strerror(errno));
    publisher_free(publisher);
    return NULL;
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    h2_free(publisher->h2);
    gather_fini(&publisher->gather);
    free(publisher->message);
    free(publisher);
}
