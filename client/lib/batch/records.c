/* records.c - see records.h. A record is made outside of any lock of the rings, and copied into
 * each. */
#include "client/lib/batch/records.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/threads.h"

struct tributary_batch_observer {
    struct list node;
    struct records *records;
    pthread_mutex_t lock;
    pthread_cond_t added;
    uint32_t capacity, first, count;
    bool closed;
    uint64_t lost;
    struct tributary_batch_record ring[];
};

void records_init(struct records *records)
{
    pthread_mutex_init(&records->lock, NULL);
    list_init(&records->observers);
    atomic_init(&records->count, 0);
    records->closed = false;
}

void records_fini(struct records *records)
{
    CHECK(list_empty(&records->observers));
    pthread_mutex_destroy(&records->lock);
}

static void put(struct tributary_batch_observer *observer, const struct tributary_batch_record *record)
{
    pthread_mutex_lock(&observer->lock);
    if (observer->count < observer->capacity) {
        observer->ring[(observer->first + observer->count) % observer->capacity] = *record;
        observer->count++;
        pthread_cond_signal(&observer->added);
    } else {
        observer->lost++;
    }
    pthread_mutex_unlock(&observer->lock);
}

void records_make(const struct batch_record *record, const struct tributary_status *failure,
                  struct tributary_batch_record *record_out)
{
    const int64_t ago_ns = clock_mono_ns() - record->started_ns;
    *record_out = (struct tributary_batch_record){.key_size = record->key.size,
                                                  .started_unix_nano = (uint64_t)(clock_wall_ns() - ago_ns),
                                                  .operations = record->operations,
                                                  .load_ns = record->load_ns,
                                                  .save_ns = record->save_ns,
                                                  .total_ns = record->total_ns,
                                                  .loads = record->loads,
                                                  .saves = record->saves};

    memcpy(record_out->key, record->key.data, record->key.size);
    if (failure)
        record_out->status = *failure;
}

void records_put(struct records *records, const struct tributary_batch_record *record)
{
    pthread_mutex_lock(&records->lock);
    list_each(node, next, &records->observers)
        put(container_of(node, struct tributary_batch_observer, node), record);
    pthread_mutex_unlock(&records->lock);
}

static void close_observer(struct tributary_batch_observer *observer)
{
    pthread_mutex_lock(&observer->lock);
    observer->closed = true;
    pthread_cond_signal(&observer->added);
    pthread_mutex_unlock(&observer->lock);
}

void records_close(struct records *records)
{
    pthread_mutex_lock(&records->lock);
    records->closed = true;
    list_each(node, next, &records->observers)
        close_observer(container_of(node, struct tributary_batch_observer, node));
    pthread_mutex_unlock(&records->lock);
}

struct tributary_batch_observer *records_observe(struct records *records, uint32_t capacity)
{
    struct tributary_batch_observer *observer =
        calloc(1, sizeof(*observer) + capacity * sizeof(observer->ring[0]));

    if (!observer)
        return NULL;
    observer->records = records;
    observer->capacity = capacity;
    pthread_mutex_init(&observer->lock, NULL);
    cond_init(&observer->added);
    pthread_mutex_lock(&records->lock);
    observer->closed = records->closed;
    list_append(&records->observers, &observer->node);
    atomic_fetch_add(&records->count, 1);
    pthread_mutex_unlock(&records->lock);
    return observer;
}

enum tributary_code tributary_batch_record_next(struct tributary_batch_observer *observer, int64_t timeout_ns,
                                                struct tributary_batch_record *record_out)
{
    const int64_t deadline_ns = timeout_ns == TRIBUTARY_FOREVER ? INT64_MAX : clock_from_now_ns(timeout_ns);
    enum tributary_code code = TRIBUTARY_OK;

    pthread_mutex_lock(&observer->lock);
    while (observer->count == 0 && !observer->closed && code == TRIBUTARY_OK)
        if (!cond_wait_until(&observer->added, &observer->lock, deadline_ns))
            code = TRIBUTARY_DEADLINE_EXCEEDED;
    if (observer->count > 0) {
        *record_out = observer->ring[observer->first];
        observer->first = (observer->first + 1) % observer->capacity;
        observer->count--;
        code = TRIBUTARY_OK;
    } else if (observer->closed) {
        code = TRIBUTARY_UNAVAILABLE;
    }
    pthread_mutex_unlock(&observer->lock);
    return code;
}

uint64_t tributary_batch_records_lost(struct tributary_batch_observer *observer)
{
    pthread_mutex_lock(&observer->lock);

    const uint64_t lost = observer->lost;

    pthread_mutex_unlock(&observer->lock);
    return lost;
}

void tributary_batch_observer_free(struct tributary_batch_observer *observer)
{
    if (!observer)
        return;

    struct records *records = observer->records;

    pthread_mutex_lock(&records->lock);
    list_remove(&observer->node);
    atomic_fetch_sub(&records->count, 1);
    pthread_mutex_unlock(&records->lock);
    pthread_cond_destroy(&observer->added);
    pthread_mutex_destroy(&observer->lock);
    free(observer);
}
