/* processor_records.c - records of tributary/processors.h: one stream of Batch.WatchBatches, opened
 * again whenever it is lost.
 *
 *   OPEN --lost--> BACKOFF --in time--> OPEN     A stream of a server without batches brings no
 *    |               |                           message. So there is no limit for the first one.
 *    +--refused------+--freed--> ENDED           */
#include <stdlib.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "client/lib/admin/admin_call.h"
#include "client/lib/core/status.h"
#include "client/lib/core/stream.h"
#include "grpc/slices.h"
#include "tributary/processors.h"
#include "tributary/v1/batch.pb-c.h"

#define METHOD "/tributary.v1.Batch/WatchBatches"

enum records_state { RECORDS_OPEN, RECORDS_BACKOFF, RECORDS_ENDED };

static const struct fsm machine = {
    .name = "client.processor_records",
    .states = {[RECORDS_OPEN] = {"OPEN", BIT(RECORDS_BACKOFF) | BIT(RECORDS_ENDED)},
               [RECORDS_BACKOFF] = {"BACKOFF", BIT(RECORDS_OPEN) | BIT(RECORDS_ENDED)},
               [RECORDS_ENDED] = {"ENDED", 0}},
};

struct tributary_processor_records {
    /* Set once. */
    struct tributary *client;
    struct tributary_processor_records_callbacks callbacks;
    struct buf request; /* WatchBatchesRequest */
    bool no_reconnect;

    /* Client thread only. */
    enum records_state state;
    struct stream stream;
    struct cq_timer retry;
    uint32_t attempt;
    bool is_freed;
    struct post begin, end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool released;
};

/* ---- what arrives ---- */

static void pass_on(const struct tributary_processor_records *records, const Tributary__V1__BatchRecord *from)
{
    const Tributary__V1__RunError *error = from->error;
    const struct tributary_processor_record record = {
        .processor = from->processor,
        .key = {from->key.data, from->key.len},
        .batch = from->batch,
        .worker = from->worker,
        .started_unix_nano = from->started,
        .load_ns = admin_duration_ns(from->load),
        .save_ns = admin_duration_ns(from->save),
        .total_ns = admin_duration_ns(from->total),
        .operations = from->operations,
        .loads = from->loads,
        .saves = from->saves,
        .outcome = (int)from->outcome,
        .code = error ? (enum tributary_code)error->code : TRIBUTARY_OK,
        .reason = error ? error->reason : "",
        .message = error ? error->message : "",
        .may_have_run = error && error->may_have_run,
        .generation = from->generation,
        .lost = from->lost,
    };

    if (records->callbacks.record)
        records->callbacks.record(records->callbacks.ctx, &record);
}

static void on_message(struct stream *stream, struct bytes message)
{
    struct tributary_processor_records *records =
        container_of(stream, struct tributary_processor_records, stream);
    Tributary__V1__BatchRecord *record = NULL;

    if (records->is_freed)
        return;
    record = tributary__v1__batch_record__unpack(NULL, message.size, message.data);
    if (!record) {
        stream_cancel(stream, TRIBUTARY_INTERNAL, "the message of the server cannot be read");
        return;
    }
    records->attempt = 0;
    pass_on(records, record);
    tributary__v1__batch_record__free_unpacked(record, NULL);
}

/* ---- the stream ---- */

static void open_stream(struct tributary_processor_records *records)
{
    grpc_slice request = slice_copy_of((struct bytes){records->request.data, records->request.size});
    const struct stream_opening opening = {
        .method = METHOD, .first = &request, .deadline_ns = INT64_MAX, .wait_for_connection = true};

    stream_open(&records->stream, &opening);
    grpc_slice_unref(request);
}

/* The last use of it on the client thread. After the unlock it may be freed. */
static void release(struct tributary_processor_records *records)
{
    pthread_mutex_lock(&records->lock);
    records->released = true;
    pthread_cond_broadcast(&records->changed);
    pthread_mutex_unlock(&records->lock);
}

static void end(struct tributary_processor_records *records, const struct tributary_status *status)
{
    cq_timer_stop(records->client->thread, &records->retry);
    fsm_move(&machine, records, RECORDS_ENDED);
    if (records->callbacks.ended)
        records->callbacks.ended(records->callbacks.ctx, status);
    if (records->is_freed)
        release(records);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_processor_records *records =
        container_of(stream, struct tributary_processor_records, stream);

    if (records->is_freed || records->no_reconnect || !status_is_retryable(status)) {
        end(records, status);
        return;
    }
    const int64_t retry_ns = client_backoff_ns(records->client, records->attempt++);

    fsm_move(&machine, records, RECORDS_BACKOFF);
    cq_timer_set(records->client->thread, &records->retry, clock_mono_ns() + retry_ns);
    if (records->callbacks.interrupted)
        records->callbacks.interrupted(records->callbacks.ctx, status, retry_ns);
}

static void on_retry(struct cq_timer *timer, int64_t now_ns)
{
    struct tributary_processor_records *records =
        container_of(timer, struct tributary_processor_records, retry);

    (void)now_ns;
    fsm_move(&machine, records, RECORDS_OPEN);
    open_stream(records);
}

static void on_begin(struct post *post)
{
    open_stream(container_of(post, struct tributary_processor_records, begin));
}

static void on_free(struct post *post)
{
    struct tributary_processor_records *records = container_of(post, struct tributary_processor_records, end);
    struct tributary_status status;

    records->is_freed = true;
    if (records->state == RECORDS_ENDED) {
        release(records);
    } else if (records->state == RECORDS_BACKOFF) {
        status_set(&status, TRIBUTARY_CANCELLED, "freed while there was no connection");
        end(records, &status);
    } else {
        stream_cancel(&records->stream, TRIBUTARY_CANCELLED, "freed");
    }
}

/* ---- any thread ---- */

static void write_request(const struct tributary_processor_records_options *options, struct buf *packed)
{
    Tributary__V1__WatchBatchesRequest request = TRIBUTARY__V1__WATCH_BATCHES_REQUEST__INIT;

    request.processor = admin_text(options->pattern);
    uint8_t *to = buf_extend(packed, tributary__v1__watch_batches_request__get_packed_size(&request));
    if (to)
        tributary__v1__watch_batches_request__pack(&request, to);
}

enum tributary_code tributary_processor_records_open(
    struct tributary *client, const struct tributary_processor_records_options *options,
    const struct tributary_processor_records_callbacks *callbacks,
    struct tributary_processor_records **records_out, struct tributary_status *status)
{
    static const struct stream_port port = {.received = on_message, .ended = on_ended};
    struct tributary_processor_records *records = calloc(1, sizeof(*records));

    if (records)
        write_request(options, &records->request);
    if (!records || records->request.broken) {
        free(records);
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    }
    records->client = client;
    records->callbacks = *callbacks;
    records->no_reconnect = options->no_reconnect;
    CHECK(pthread_mutex_init(&records->lock, NULL) == 0);
    cond_init(&records->changed);
    stream_init(&records->stream, client, &port);
    records->retry.fired = on_retry;
    records->begin.run = on_begin;
    records->end.run = on_free;
    atomic_fetch_add(&client->users, 1);
    *records_out = records; /* before a callback can run */
    client_post(client, &records->begin);
    return status_set(status, TRIBUTARY_OK, "");
}

void tributary_processor_records_free(struct tributary_processor_records *records)
{
    if (!records)
        return;
    struct tributary *client = records->client;

    CHECK(!on_client_thread(client));
    client_post(client, &records->end);
    pthread_mutex_lock(&records->lock);
    while (!records->released)
        cond_wait_until(&records->changed, &records->lock, INT64_MAX);
    pthread_mutex_unlock(&records->lock);
    pthread_cond_destroy(&records->changed);
    pthread_mutex_destroy(&records->lock);
    buf_fini(&records->request);
    free(records);
    atomic_fetch_sub(&client->users, 1);
}
