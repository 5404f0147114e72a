/* batch_observer.c - Batch.WatchBatches: a record of each batch that ends.
 *
 * A record is encoded once, within the lock of its processor, and copied into the ring of each
 * observer that wants it. Without an observer it costs nothing. */
#include "server/rpc/batch_records.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/peer_charge.h"
#include "event/field_write.h"
#include "event/glob.h"
#include "proto/field_numbers.h"
#include "server/rpc/batch_write.h"
#include "server/rpc/decode.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"
#include "tributary/v1/batch.pb-c.h"

/* Of one observer. */
#define RING_BYTES ((size_t)64 << 10)
/* How long a loss may wait for a record that says it. */
#define LOSS_NS NS_PER_S

struct observer {
    struct rpc *rpc;
    struct call *call;
    ProtobufCMessage *request; /* the pattern is in it */
    struct glob pattern;
    uint64_t masks[MAX_GLOB_MASKS];
    struct peer_charge charge;
    struct post_poll_hook send_hook;
    struct cq_timer loss_timer, write_timer;
    bool sending, draining;

    /* Within the lock of the records. */
    struct list node; /* in records->observers */
    struct buf ring;  /* records, each behind its size (uint32_t) */
    size_t dequeued;  /* bytes of it */
    uint64_t lost;    /* since the last record in the ring */
    struct cq_wake wake;
};

void batch_records_init(struct batch_records *records)
{
    CHECK(pthread_mutex_init(&records->lock, NULL) == 0);
    list_init(&records->observers);
    atomic_init(&records->count, 0);
}

void batch_records_fini(struct batch_records *records)
{
    pthread_mutex_destroy(&records->lock);
}

/* ---- records ---- */

static uint32_t outcome_of(const struct processor_record *record)
{
    switch (record->of_engine->outcome) {
    case BATCH_SAVED:
        return TRIBUTARY__V1__BATCH_OUTCOME__BATCH_OUTCOME_SAVED;
    case BATCH_LOAD_FAILED:
    case BATCH_NOT_LOADED:
    case BATCH_STOPPED:
        return TRIBUTARY__V1__BATCH_OUTCOME__BATCH_OUTCOME_LOAD_FAILED;
    case BATCH_SAVE_FAILED:
        break;
    case BATCH_LOST:
        if (record->was_lost)
            return TRIBUTARY__V1__BATCH_OUTCOME__BATCH_OUTCOME_WORKER_LOST;
        break;
    }
    return TRIBUTARY__V1__BATCH_OUTCOME__BATCH_OUTCOME_SAVE_FAILED;
}

static void write_error(struct buf *buf, const struct processor_record *record)
{
    struct buf body = {0};

    write_run_error(&body, record->reason, record->error, record->may_have_run);
    field_message(buf, PB_BATCH_RECORD_ERROR, &body);
}

static void write_record(struct buf *buf, const struct processor_record *record)
{
    const struct batch_record *engine = record->of_engine;
    const int64_t started_ns = clock_wall_ns() - (clock_mono_ns() - engine->started_ns);

    field_bytes(buf, PB_BATCH_RECORD_PROCESSOR, record->processor);
    field_bytes(buf, PB_BATCH_RECORD_KEY, engine->key);
    field_varint(buf, PB_BATCH_RECORD_BATCH, record->batch);
    field_bytes(buf, PB_BATCH_RECORD_WORKER, record->worker);
    field_fixed64(buf, PB_BATCH_RECORD_STARTED, (uint64_t)started_ns);
    field_duration(buf, PB_BATCH_RECORD_LOAD, engine->load_ns);
    field_duration(buf, PB_BATCH_RECORD_SAVE, engine->save_ns);
    field_duration(buf, PB_BATCH_RECORD_TOTAL, engine->total_ns);
    field_varint(buf, PB_BATCH_RECORD_OPERATIONS, engine->operations);
    field_varint(buf, PB_BATCH_RECORD_LOADS, engine->loads);
    field_varint(buf, PB_BATCH_RECORD_SAVES, engine->saves);
    field_varint(buf, PB_BATCH_RECORD_OUTCOME, outcome_of(record));
    if (engine->outcome != BATCH_SAVED)
        write_error(buf, record);
    field_fixed64(buf, PB_BATCH_RECORD_GENERATION, record->generation);
}

/* Within the lock. */
static void add_to(struct observer *observer, struct bytes record)
{
    OWNED(buf_fini) struct buf loss = {0};

    field_varint(&loss, PB_BATCH_RECORD_LOST, observer->lost);
    const uint32_t size = (uint32_t)(record.size + loss.size);

    if (observer->ring.size - observer->dequeued + size > RING_BYTES || observer->ring.broken ||
        loss.broken) {
        observer->lost++;
    } else {
        buf_bytes(&observer->ring, &size, sizeof(size));
        buf_bytes(&observer->ring, record.data, record.size);
        buf_bytes(&observer->ring, loss.data, loss.size);
        observer->lost = 0;
    }
    cq_wake_up(&observer->wake);
}

void batch_records_add(void *ctx, const struct processor_record *record)
{
    struct batch_records *records = ctx;
    OWNED(buf_fini) struct buf bytes = {0};

    if (atomic_load_explicit(&records->count, memory_order_relaxed) == 0)
        return;
    write_record(&bytes, record);
    if (bytes.broken)
        bytes.size = RING_BYTES + 1; /* it fits nowhere, and counts as lost */
    pthread_mutex_lock(&records->lock);
    list_each(node, next, &records->observers) {
        struct observer *observer = container_of(node, struct observer, node);

        if (glob_matches(&observer->pattern, record->processor))
            add_to(observer, (struct bytes){bytes.data, bytes.size});
    }
    pthread_mutex_unlock(&records->lock);
}

/* ---- sending ---- */

static struct batch_records *records_of(const struct observer *observer)
{
    return &observer->rpc->batch_records;
}

static void dequeue(struct observer *observer, struct buf *record)
{
    uint32_t size = 0;

    if (observer->dequeued < observer->ring.size) {
        memcpy(&size, observer->ring.data + observer->dequeued, sizeof(size));
        buf_bytes(record, observer->ring.data + observer->dequeued + sizeof(size), size);
        observer->dequeued += sizeof(size) + size;
    }
    if (observer->dequeued > observer->ring.size / 2) {
        buf_drop(&observer->ring, observer->dequeued);
        observer->dequeued = 0;
    }
}

static void send_record(struct observer *observer, struct buf *record, int64_t now_ns)
{
    cq_timer_stop(call_cq(observer->call), &observer->loss_timer);
    observer->sending = call_send(observer->call, record);
    cq_timer_set(call_cq(observer->call), &observer->write_timer,
                 clock_add_ns(now_ns, loop_settings(observer->rpc->loop)->write_timeout_ns));
}

static void on_send(struct post_poll_hook *hook, int64_t now_ns)
{
    struct observer *observer = container_of(hook, struct observer, send_hook);
    OWNED(buf_fini) struct buf record = {0};
    struct fault fault;

    if (observer->sending || !call_alive(observer->call))
        return;
    pthread_mutex_lock(&records_of(observer)->lock);
    dequeue(observer, &record);
    const bool lost = observer->lost > 0;

    pthread_mutex_unlock(&records_of(observer)->lock);
    if (record.size > 0) {
        send_record(observer, &record, now_ns);
    } else if (observer->draining) {
        fault_set(&fault, FAULT_DRAINING, NULL, NULL);
        call_finish(observer->call, &fault);
    } else if (lost && !heap_holds(&observer->loss_timer.node)) {
        cq_timer_set(call_cq(observer->call), &observer->loss_timer, clock_add_ns(now_ns, LOSS_NS));
    }
}

static void on_loss(struct cq_timer *timer, int64_t now_ns)
{
    struct observer *observer = container_of(timer, struct observer, loss_timer);
    OWNED(buf_fini) struct buf record = {0};

    if (observer->sending || !call_alive(observer->call))
        return;
    pthread_mutex_lock(&records_of(observer)->lock);
    if (observer->dequeued == observer->ring.size) {
        field_varint(&record, PB_BATCH_RECORD_LOST, observer->lost);
        observer->lost = 0;
    }
    pthread_mutex_unlock(&records_of(observer)->lock);
    if (record.size > 0)
        send_record(observer, &record, now_ns);
}

static void on_woken(struct cq_wake *wake)
{
    struct observer *observer = container_of(wake, struct observer, wake);

    cq_add_post_poll_hook(call_cq(observer->call), &observer->send_hook);
}

static void on_write_timeout(struct cq_timer *timer, int64_t now_ns)
{
    struct observer *observer = container_of(timer, struct observer, write_timer);
    struct fault fault;

    (void)now_ns;
    fault_not_reading(&fault, "write", loop_settings(observer->rpc->loop)->write_timeout_ns);
    call_abort(observer->call, &fault);
}

static void sent(struct call *call, bool ok)
{
    struct observer *observer = call_owned(call);

    (void)ok; /* after a failure the call is about to end */
    observer->sending = false;
    cq_timer_stop(call_cq(call), &observer->write_timer);
    cq_add_post_poll_hook(call_cq(call), &observer->send_hook);
}

/* ---- the call ---- */

static enum fault_reason begin(struct observer *observer, struct message *message, struct fault *fault)
{
    struct batch_records *records = records_of(observer);
    struct bytes pattern = {NULL, 0};

    if (decode_message(message, &tributary__v1__watch_batches_request__descriptor, &observer->request, fault))
        return fault->reason;
    pattern =
        text_bytes(((const Tributary__V1__WatchBatchesRequest *)(const void *)observer->request)->processor);
    if (pattern.size > MAX_PATTERN_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "processor", pattern, "at most 256 bytes");
    if (peer_charge_add(&observer->rpc->answers, loop_settings(observer->rpc->loop), &observer->charge,
                        call_peer_key(observer->call), sizeof(*observer) + 2 * RING_BYTES, fault))
        return fault->reason;
    observer->pattern = glob_compile(pattern, observer->masks);
    pthread_mutex_lock(&records->lock);
    list_append(&records->observers, &observer->node);
    pthread_mutex_unlock(&records->lock);
    atomic_fetch_add(&records->count, 1);
    return FAULT_NONE;
}

static void message(struct call *call, struct message *message)
{
    struct fault fault;

    if (begin(call_owned(call), message, &fault))
        call_finish(call, &fault);
}

/* Only one message is ever asked for, so this half-close came in place of it. */
static void half_closed(struct call *call)
{
    struct fault fault;

    fault_set(&fault, FAULT_NO_MESSAGE, NULL, NULL);
    call_finish(call, &fault);
}

static void freed(struct cq_wake *wake)
{
    struct observer *observer = container_of(wake, struct observer, wake);

    peer_charge_give_back(&observer->rpc->answers, &observer->charge);
    decoded_free(observer->request);
    buf_fini(&observer->ring);
    free(observer);
}

static void opened(struct call *call, void *ctx)
{
    struct observer *observer = calloc(1, sizeof(*observer));
    struct fault fault;

    if (!observer) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        call_finish(call, &fault);
        return;
    }
    observer->rpc = ctx;
    observer->call = call;
    list_init(&observer->node);
    list_init(&observer->send_hook.link);
    observer->send_hook.post_poll = on_send;
    observer->loss_timer.fired = on_loss;
    observer->write_timer.fired = on_write_timeout;
    cq_wake_init(&observer->wake, call_cq(call), on_woken, freed);
    call_own(call, observer);
    call_read(call);
}

static void draining(struct call *call)
{
    struct observer *observer = call_owned(call);

    if (!observer)
        return;
    observer->draining = true;
    cq_add_post_poll_hook(call_cq(call), &observer->send_hook);
}

static void closed(struct call *call, bool ok)
{
    struct observer *observer = call_owned(call);

    (void)ok; /* nothing is kept of how it ended */
    if (!observer)
        return;
    pthread_mutex_lock(&records_of(observer)->lock);
    if (!list_empty(&observer->node))
        atomic_fetch_sub(&records_of(observer)->count, 1);
    list_remove(&observer->node);
    pthread_mutex_unlock(&records_of(observer)->lock);
    cq_timer_stop(call_cq(call), &observer->loss_timer);
    cq_timer_stop(call_cq(call), &observer->write_timer);
    list_remove(&observer->send_hook.link);
    cq_wake_free(&observer->wake);
}

static const struct call_port records_port = {.opened = opened,
                                              .message = message,
                                              .half_closed = half_closed,
                                              .sent = sent,
                                              .draining = draining,
                                              .closed = closed};

enum err batch_records_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Batch/WatchBatches", &records_port, rpc);
}
