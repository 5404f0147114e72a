/* dialled.c - producers that the server dials: each listens at a port of its own on 127.0.0.1, is
 * added as an endpoint (Admin.AddProducer), and serves one upstream call.
 *
 * So each has a connection of its own, as those that dial in have. The endpoint is removed again at
 * the end. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/batches.h"
#include "bench/fields.h"
#include "bench/listen.h"
#include "bench/outgoing.h"
#include "bench/subscriber.h"

#define PRODUCE "/tributary.v1.Upstream/Produce"
#define RAW_METHOD "/tributary.bench.Load/Events"

/* Fields of AddProducerRequest, Endpoint, RemoveProducerRequest, EventBatch, and of the messages
 * in these. */
enum { ADD_ENDPOINT = 1, REMOVE_NAME = 1, REMOVE_MODE = 2, MODE_CANCEL = 2, BATCH_RUNS = 1 };
enum {
    ENDPOINT_NAME = 1,
    ENDPOINT_ADDRESS = 2,
    ENDPOINT_METHOD = 3,
    ENDPOINT_ACTIVATION = 8,
    ENDPOINT_RESTART = 9,
    ENDPOINT_DECODE = 15
};
enum { ACTIVATION_PER_CONSUMER = 1, ACTIVATION_SHARED = 2, RESTART_NEVER = 3, DECODE_RAW = 3 };
enum { ANSWER_MS = 10000, MAX_ADMIN_MESSAGE = 512 };

struct dialled {
    struct producer base;
    struct outgoing out; /* no connection before the server has dialled */
};

static struct dialled *dialled_of(struct producer *producer)
{
    return container_of(producer, struct dialled, base);
}

/* ---- endpoints ---- */

static void on_answer(void *ctx, uint32_t stream, struct bytes data)
{
    (void)ctx, (void)stream, (void)data;
}

struct answer {
    bool ended;
    struct h2_end end;
};

static void on_answered(void *ctx, uint32_t stream, const struct h2_end *end)
{
    (void)stream;
    *(struct answer *)ctx = (struct answer){true, *end};
}

/* Makes a unary call and waits for its end. Calls load_fail() unless that is OK. */
static void call_admin(struct load *load, const char *path, const uint8_t *message, size_t size)
{
    struct answer answer = {.end.status = -1};
    struct h2 *h2 = h2_connect(load->plan.server,
                               &(struct h2_port){.data = on_answer, .ended = on_answered, .ctx = &answer});
    uint32_t stream = h2 ? h2_open(h2, path) : 0;
    struct pollfd readable = {.fd = h2 ? h2_fd(h2) : -1, .events = POLLIN};

    if (!stream) {
        load_fail(load, "%s: %s", load->plan.server, strerror(errno));
        h2_free(h2);
        return;
    }
    uint8_t *at = h2_data(h2, stream, GRPC_PREFIX_BYTES + size, true);
    put_prefix(at, size);
    memcpy(at + GRPC_PREFIX_BYTES, message, size);
    bool connected = true;
    while (!answer.ended && connected)
        connected = h2_flush(h2) && poll(&readable, 1, ANSWER_MS) == 1 && h2_read(h2);
    if (!answer.ended || answer.end.status != 0)
        load_fail(load, "%s: %s", path, answer.ended ? answer.end.message : "no answer");
    h2_free(h2);
}

static size_t put_endpoint(const struct producer *producer, const char *address, uint8_t *at)
{
    const struct plan *plan = &producer->load->plan;
    char name[32];
    uint8_t *end = at;

    snprintf(name, sizeof(name), BATCHES_NAME, plan->run, producer->number);
    end = put_text(end, ENDPOINT_NAME, name);
    end = put_text(end, ENDPOINT_ADDRESS, address);
    end = put_text(end, ENDPOINT_METHOD, plan->endpoint == ENDPOINT_RAW ? RAW_METHOD : PRODUCE);
    end = put_number(end, ENDPOINT_ACTIVATION,
                     plan->endpoint == ENDPOINT_PER_CONSUMER ? ACTIVATION_PER_CONSUMER : ACTIVATION_SHARED);
    end = put_number(end, ENDPOINT_RESTART, RESTART_NEVER);
    if (plan->endpoint == ENDPOINT_RAW)
        end = put_number(end, ENDPOINT_DECODE, DECODE_RAW);
    return (size_t)(end - at);
}

static void add_endpoint(struct producer *producer, const char *address)
{
    uint8_t message[MAX_ADMIN_MESSAGE], endpoint[MAX_ADMIN_MESSAGE / 2];
    size_t size = put_endpoint(producer, address, endpoint);
    uint8_t *end = put_head(message, ADD_ENDPOINT, size);

    memcpy(end, endpoint, size);
    call_admin(producer->load, "/tributary.v1.Admin/AddProducer", message, (size_t)(end + size - message));
}

static void remove_endpoint(const struct producer *producer)
{
    uint8_t message[MAX_ADMIN_MESSAGE], *end;
    char name[32];

    snprintf(name, sizeof(name), BATCHES_NAME, producer->load->plan.run, producer->number);
    end = put_text(message, REMOVE_NAME, name);
    end = put_number(end, REMOVE_MODE, MODE_CANCEL);
    call_admin(producer->load, "/tributary.v1.Admin/RemoveProducer", message, (size_t)(end - message));
}

/* ---- the upstream's side ---- */

/* Lays out the message: an EventBatch of one run; with RAW nothing but the payload of its event. */
static bool lay_out(struct producer *producer)
{
    const struct plan *plan = &producer->load->plan;
    bool raw = plan->endpoint == ENDPOINT_RAW;
    uint8_t head[96], run_head[16];
    size_t digits = 0, head_size = raw ? 0 : batches_event_head(plan, 0, head, &digits),
           step = head_size + plan->payload_bytes, events = (size_t)plan->per_message,
           run_size = raw ? 0 : (size_t)(put_head(run_head, BATCH_RUNS, step * events) - run_head);
    struct layout *layout = &producer->layout;

    *layout = (struct layout){.size = GRPC_PREFIX_BYTES + run_size + step * events,
                              .first_mark = GRPC_PREFIX_BYTES + run_size + head_size,
                              .mark_step = step,
                              .label_before = head_size - digits,
                              .label_digits = plan->filter == FILTER_NONE ? 0 : (size_t)batches_digits(plan)};
    layout->bytes = malloc(layout->size);
    if (!layout->bytes)
        return false;
    memset(layout->bytes, '.', layout->size);
    put_prefix(layout->bytes, layout->size - GRPC_PREFIX_BYTES);
    memcpy(layout->bytes + GRPC_PREFIX_BYTES, run_head, run_size);
    for (size_t i = 0; i < events; i++)
        memcpy(layout->bytes + GRPC_PREFIX_BYTES + run_size + i * step, head, head_size);
    return true;
}

static void on_opened(void *ctx, uint32_t stream, const char *path)
{
    struct dialled *own = ctx;
    const char *method = own->base.load->plan.endpoint == ENDPOINT_RAW ? RAW_METHOD : PRODUCE;

    if (own->out.stream || strcmp(path, method) != 0)
        return load_fail(own->base.load, "producer %u: a second call, or one of %s", own->base.number, path);
    own->out.stream = stream;
    own->base.ready = true;
    h2_answer(own->out.h2, stream);
}

/* What the server says to an upstream needs no answer here. */
static void on_control(void *ctx, uint32_t stream, struct bytes data)
{
    (void)ctx, (void)stream, (void)data;
}

static void on_ended(void *ctx, uint32_t stream, const struct h2_end *end)
{
    struct dialled *own = ctx;

    (void)stream, (void)end;
    load_fail(own->base.load, "producer %u: the server has ended the call", own->base.number);
}

static void producer_free(struct producer *producer)
{
    struct dialled *own = dialled_of(producer);

    if (!load_failed(producer->load))
        remove_endpoint(producer);
    if (!own->out.h2 && producer->fd >= 0)
        close(producer->fd);
    outgoing_fini(&own->out);
    free(producer->layout.bytes);
    free(own);
}

static struct producer *producer_new(struct load *load, uint32_t number)
{
    struct dialled *own = calloc(1, sizeof(*own));
    char bound[64] = "";

    if (!own)
        return NULL;
    own->base = (struct producer){.load = load, .number = number, .fd = -1};
    own->base.fd = lay_out(&own->base) ? listen_at("127.0.0.1:0", bound, sizeof(bound)) : -1;
    bound[strcspn(bound, "\n")] = 0;
    if (own->base.fd < 0)
        load_fail(load, "producer %u: %s", number, strerror(errno));
    else
        add_endpoint(&own->base, bound);
    if (!load_failed(load))
        return &own->base;
    producer_free(&own->base);
    return NULL;
}

/* The server has dialled: its connection takes the place of the listener. */
static void accept_call(struct dialled *own)
{
    int fd = accept4(own->base.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), yes = 1;

    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
        return;
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    own->out.h2 =
        fd < 0 ? NULL
               : h2_serve(fd, &(struct h2_port){
                                  .data = on_control, .opened = on_opened, .ended = on_ended, .ctx = own});
    if (!own->out.h2)
        return load_fail(own->base.load, "producer %u: %s", own->base.number, strerror(errno));
    close(own->base.fd);
    own->base.fd = fd;
}

static uint8_t *producer_reserve(struct producer *producer)
{
    return outgoing_reserve(&dialled_of(producer)->out, producer->layout.size);
}

static void producer_flush(struct producer *producer)
{
    struct dialled *own = dialled_of(producer);

    if (producer->done || !own->out.h2)
        return;
    outgoing_continue(&own->out);
    if (producer->finishing && !own->out.size && own->out.stream) {
        h2_finish(own->out.h2, own->out.stream, 0);
        own->out.stream = 0;
    }
    if (!h2_flush(own->out.h2))
        load_fail(producer->load, "producer %u: the connection is lost", producer->number);
    producer->pending = outgoing_pending(&own->out);
    producer->done = producer->finishing && !producer->pending;
}

static void producer_finish(struct producer *producer)
{
    producer->finishing = true;
    producer_flush(producer);
}

static void producer_read(struct producer *producer)
{
    struct dialled *own = dialled_of(producer);

    if (!own->out.h2)
        accept_call(own);
    while (own->out.h2 && !producer->done && !load_failed(producer->load)) {
        if (!h2_read(own->out.h2))
            load_fail(producer->load, "producer %u: the connection is lost", producer->number);
        else if (!h2_more(own->out.h2))
            break;
    }
}

const struct protocol protocol_dialled = {
    .name = "dialled",
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
