/* schema_fetch.c - see schema_fetch.h. The call's thread does everything but what says
 * otherwise. */
#include "server/dial/schema_fetch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/whole_characters.h"
#include "grpc/client_call.h"
#include "grpc/inflate.h"
#include "grpc/slices.h"
#include "loop/loop.h"
#include "server/dial/fetched_files.h"
#include "server/dial/peer_words.h"
#include "server/dial/upstream_plan.h"
#include "reflect/answer.h"
#include "reflect/schema.h"

#define FETCH_NS (5 * NS_PER_S)

struct schema_fetch {
    /* Constant. */
    const struct upstream_plan *plan;
    void (*done)(void *ctx, const struct schema_fetch_result *result);
    void *ctx;
    size_t service_count;
    struct bytes *services; /* their bytes follow them */

    _Atomic uint32_t refs;
    struct task begin_task, cancel_task, done_task;
    bool is_cancelled; /* loop */

    /* The call's thread, until `done_task` is posted. */
    struct client_call call;
    struct connection *connection;
    struct connection_call in_connection;
    struct upstream_cost cost; /* no peer has asked for it */
    struct cq_timer timer;
    unsigned version; /* of `reflection_methods` */
    int64_t due_ns;   /* when the timer fires */
    bool is_accepted, is_over, is_complete;
    bool is_given_up; /* by this side: however the call ends, it is not opened again */
    size_t next_service;
    struct bytes asked;
    bool is_asking; /* an answer is to come */
    struct fetched_files files;
    struct schema *schema;
    uint64_t connections;
};

static void release(struct schema_fetch *fetch)
{
    if (atomic_fetch_sub_explicit(&fetch->refs, 1, memory_order_acq_rel) != 1)
        return;
    fetched_files_fini(&fetch->files);
    schema_release(fetch->schema);
    free(fetch->services);
    free(fetch);
}

static struct cq_thread *cq_of(const struct schema_fetch *fetch)
{
    return fetch->plan->thread->cq;
}

static void note_failure(struct schema_fetch *fetch, const char *text)
{
    snprintf(fetch->files.failure, sizeof(fetch->files.failure), "%.*s", whole_characters(text, 150), text);
}

/* ---- the end ---- */

/* Loop. */
static void on_done(struct task *task)
{
    struct schema_fetch *fetch = container_of(task, struct schema_fetch, done_task);
    const char *failure = fetch->files.failure;
    struct schema_fetch_result result = {.schema = fetch->schema, .connections = fetch->connections};

    fetch->schema = NULL;
    if (failure[0] != '\0' || !result.schema)
        result.failure = failure[0] != '\0' ? failure : "its reflection has sent no files";
    fetch->done(fetch->ctx, &result);
    release(fetch);
}

static void make_schema(struct schema_fetch *fetch)
{
    const struct bytes set = {fetch->files.set.data, fetch->files.set.size};
    struct fault fault;
    char text[FETCHED_TEXT];

    if (set.size == 0 || schema_new("reflection", set, &fetch->schema, &fault) == FAULT_NONE)
        return;
    snprintf(text, sizeof(text), "its reflection: %.*s %.*s", whole_characters(fault.bound, 60), fault.bound,
             whole_characters(fault.value, 70), fault.value);
    note_failure(fetch, text);
}

/* The last act of the call's thread. */
static void finish(struct schema_fetch *fetch)
{
    upstream_cost_give_back(fetch->plan->costs, &fetch->cost);
    fetch->is_over = true;
    cq_timer_stop(cq_of(fetch), &fetch->timer);
    if (fetch->is_complete)
        make_schema(fetch);
    fetch->connections = atomic_load(&fetch->plan->connections->begun);
    cq_unhold(cq_of(fetch));
    loop_post(fetch->plan->loop, &fetch->done_task);
}

static void set_timer(struct schema_fetch *fetch, int64_t limit_ns)
{
    fetch->due_ns = cq_now_ns(cq_of(fetch)) + limit_ns;
    cq_timer_set(cq_of(fetch), &fetch->timer, fetch->due_ns);
}

static void leave_connection(struct schema_fetch *fetch, bool is_lost)
{
    list_remove(&fetch->in_connection.link);
    fetch->in_connection.is_waiting = false;
    connection_leave(fetch->connection, fetch->is_accepted, is_lost);
}

static void accept(struct schema_fetch *fetch)
{
    if (fetch->is_accepted)
        return;
    fetch->is_accepted = true;
    connection_accepted(fetch->connection, &fetch->in_connection);
    set_timer(fetch, FETCH_NS);
}

/* ---- the call ---- */

/* The call may have ended already, with a status that has not been seen here. */
static void cancel(struct schema_fetch *fetch, grpc_status_code code, const char *text)
{
    fetch->is_given_up = true;
    client_call_cancel(&fetch->call, code, text);
}

/* Asks for the next service, then for the next file that was imported. */
static void request_next(struct schema_fetch *fetch)
{
    const bool has_service = fetch->next_service < fetch->service_count;
    struct buf message = {0};

    fetch->asked = has_service ? fetch->services[fetch->next_service++] : fetched_files_next(&fetch->files);
    if (fetch->asked.size == 0) {
        fetch->is_complete = true;
        client_call_half_close(&fetch->call);
        return;
    }
    reflection_request_write(has_service ? REFLECTION_SYMBOL : REFLECTION_FILE, fetch->asked, &message);
    grpc_slice slice = slice_copy_of((struct bytes){message.data, message.size});
    buf_fini(&message);
    fetch->is_asking = true;
    client_call_send(&fetch->call, slice);
    grpc_slice_unref(slice);
}

static void sent(struct client_call *call, bool ok)
{
    struct schema_fetch *fetch = container_of(call, struct schema_fetch, call);

    if (!ok)
        return; /* the status follows */
    accept(fetch);
    if (call->state == CLIENT_CALL_OPEN && !fetch->is_asking)
        request_next(fetch);
}

static bool take_answer(struct schema_fetch *fetch, const grpc_byte_buffer *message)
{
    struct bytes bytes;
    grpc_slice copy;
    bool is_copied = true;

    if (message->data.raw.compression == GRPC_COMPRESS_NONE) {
        bytes = message_whole(message, &copy, &is_copied);
    } else if (inflate_message(message, MAX_SCHEMA_BYTES, &copy) == INFLATE_OK) {
        bytes = slice_bytes(&copy);
    } else {
        note_failure(fetch, "its reflection has sent a compressed message that is damaged or too large");
        return false;
    }
    const bool is_good = fetched_files_add(&fetch->files, bytes, fetch->asked);
    if (is_copied)
        grpc_slice_unref(copy);
    return is_good;
}

/* An answer may come before what it answers is reported as sent. */
static void received(struct client_call *call, grpc_byte_buffer **message)
{
    struct schema_fetch *fetch = container_of(call, struct schema_fetch, call);

    accept(fetch);
    if (call->state != CLIENT_CALL_OPEN)
        return;
    if (!fetch->is_asking) {
        if (!fetch->is_complete)
            note_failure(fetch, "its reflection has sent more than was asked for");
        cancel(fetch, GRPC_STATUS_CANCELLED, "");
        return;
    }
    if (!take_answer(fetch, *message)) {
        cancel(fetch, GRPC_STATUS_CANCELLED, "");
        return;
    }
    fetch->is_asking = false;
    client_call_read(call);
    if (!call->base.sending)
        request_next(fetch);
}

static void open_call(struct connection_call *in_connection);

/* Of servers that know only the older name. */
static bool may_try_again(const struct schema_fetch *fetch, const struct client_call_end *end)
{
    return !fetch->is_given_up && end->code == GRPC_STATUS_UNIMPLEMENTED &&
           fetch->version + 1 < REFLECTION_METHODS;
}

static void ended(struct client_call *call, const struct client_call_end *end)
{
    struct schema_fetch *fetch = container_of(call, struct schema_fetch, call);
    char words[PEER_WORDS_BYTES + 1], text[FETCHED_TEXT];

    if (may_try_again(fetch, end)) {
        accept(fetch);
        fetch->version++;
        fetch->next_service = 0;
        fetch->is_asking = false;
        open_call(&fetch->in_connection);
        return;
    }
    if (!fetch->is_complete && fetch->files.failure[0] == '\0') {
        peer_words_copy(words, slice_bytes(&end->message));
        snprintf(text, sizeof(text), "its reflection has ended with %s: %.*s",
                 fault_code_name((enum fault_code)end->code), whole_characters(words, 90), words);
        note_failure(fetch, text);
    }
    leave_connection(fetch,
                     !fetch->is_accepted || (end->code == GRPC_STATUS_UNAVAILABLE && !fetch->is_given_up));
    finish(fetch);
}

static void open_call(struct connection_call *in_connection)
{
    struct schema_fetch *fetch = container_of(in_connection, struct schema_fetch, in_connection);
    static const struct client_call_port port = {.sent = sent, .received = received, .ended = ended};
    const struct client_call_opening opening = {.channel = fetch->connection->channel,
                                                .method = reflection_methods[fetch->version],
                                                .metadata = fetch->plan->metadata,
                                                .metadata_count = fetch->plan->metadata_count,
                                                .deadline_ns = INT64_MAX};

    client_call_init(&fetch->call, cq_of(fetch), &port);
    client_call_open(&fetch->call, &opening);
    cq_timer_set(cq_of(fetch), &fetch->timer, fetch->due_ns);
    request_next(fetch);
}

/* ---- the beginning, and what ends it early ---- */

static void give_up(struct schema_fetch *fetch, const char *text)
{
    if (fetch->is_over)
        return;
    if (!fetch->is_complete)
        note_failure(fetch, text);
    if (fetch->in_connection.is_waiting) {
        leave_connection(fetch, false);
        finish(fetch);
    } else {
        cancel(fetch, GRPC_STATUS_UNAVAILABLE, text);
    }
}

static void on_timer(struct cq_timer *timer, int64_t now_ns)
{
    struct schema_fetch *fetch = container_of(timer, struct schema_fetch, timer);

    (void)now_ns;
    give_up(fetch, fetch->is_accepted ? "its reflection did not answer within 5 s" : "it is not connected");
}

static void yield(struct connection_call *call, int64_t ran_ns)
{
    (void)ran_ns;
    give_up(container_of(call, struct schema_fetch, in_connection), "it is not connected, and others wait");
}

static void on_begin(struct task *task)
{
    struct schema_fetch *fetch = container_of(task, struct schema_fetch, begin_task);
    const struct upstream_plan *plan = fetch->plan;
    struct fault fault;

    cq_hold(cq_of(fetch));
    if (upstream_cost_add(plan->costs, &fetch->cost, NO_PEER, CONNECTION_CALL_BYTES, &fault) == FAULT_NONE)
        fetch->connection = connection_enter(plan->connections, NO_PEER, &fault);
    if (!fetch->connection) {
        note_failure(fetch, fault_text(fault.reason));
        finish(fetch);
        return;
    }
    set_timer(fetch, plan->connect_timeout_ns);
    connection_add(fetch->connection, &fetch->in_connection);
}

static void on_cancel(struct task *task)
{
    struct schema_fetch *fetch = container_of(task, struct schema_fetch, cancel_task);

    give_up(fetch, "the endpoint was removed");
    release(fetch);
}

static bool copy_services(struct schema_fetch *fetch, const struct schema_fetch_params *params)
{
    size_t size = params->count * sizeof(*fetch->services);

    for (size_t i = 0; i < params->count; i++)
        size += params->services[i].size;
    fetch->services = malloc(size);
    if (!fetch->services)
        return false;
    uint8_t *at = (uint8_t *)(fetch->services + params->count);
    for (size_t i = 0; i < params->count; i++) {
        memcpy(at, params->services[i].data, params->services[i].size);
        fetch->services[i] = (struct bytes){at, params->services[i].size};
        at += params->services[i].size;
    }
    fetch->service_count = params->count;
    return true;
}

struct schema_fetch *schema_fetch_begin(const struct schema_fetch_params *params)
{
    struct schema_fetch *fetch = calloc(1, sizeof(*fetch));

    if (!fetch || !copy_services(fetch, params)) {
        free(fetch);
        return NULL;
    }
    fetch->plan = params->plan;
    fetch->done = params->done;
    fetch->ctx = params->ctx;
    atomic_init(&fetch->refs, 1);
    fetched_files_init(&fetch->files);
    fetch->begin_task.run = on_begin;
    fetch->cancel_task.run = on_cancel;
    fetch->done_task.run = on_done;
    fetch->timer.fired = on_timer;
    fetch->in_connection.begun = open_call;
    fetch->in_connection.yield = yield;
    list_init(&fetch->in_connection.link);
    cq_post(cq_of(fetch), &fetch->begin_task);
    return fetch;
}

void schema_fetch_cancel(struct schema_fetch *fetch)
{
    if (fetch->is_cancelled)
        return;
    fetch->is_cancelled = true;
    atomic_fetch_add_explicit(&fetch->refs, 1, memory_order_relaxed);
    cq_post(cq_of(fetch), &fetch->cancel_task);
}
