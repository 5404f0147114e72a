/* publisher.c - the queue of a publisher. Any thread puts events into it; the client thread takes
 * messages out of it. */
#include "client/lib/publish/publisher.h"

#include "client/lib/core/encode.h"

const char *tributary_event_fault(const struct tributary_event *event)
{
    size_t size = 0;
    const char *fault = event_check(event, &size);

    return fault ? fault : "";
}

static bool is_full(const struct tributary_publisher *publisher, size_t size)
{
    if (publisher->held_events == 0)
        return false;
    return publisher->held_events >= publisher->options.queue_events ||
           publisher->held_bytes + size > publisher->options.queue_bytes;
}

/* Whether to wake the threads that wait for space: an eighth of the queue is free. So a thread
 * wakes for many events at once, and not for each confirmation. */
static bool has_space(const struct tributary_publisher *publisher)
{
    const uint32_t events = publisher->options.queue_events;
    const size_t bytes = publisher->options.queue_bytes;

    return publisher->held_events < events && publisher->held_events <= events - events / 8 &&
           publisher->held_bytes <= bytes - bytes / 8;
}

/* Under the lock, which is free while this waits. Returns why there is no space, or OK. */
static enum tributary_code wait_for_space(struct tributary_publisher *publisher, size_t size)
{
    const int64_t limit_ns = publisher->options.wait_timeout_ns;
    const int64_t deadline_ns = limit_ns > 0 ? clock_from_now_ns(limit_ns) : INT64_MAX;
    bool in_time = true;

    if (publisher->options.when_full == TRIBUTARY_WHEN_FULL_FAIL)
        return TRIBUTARY_RESOURCE_EXHAUSTED;
    if (on_client_thread(publisher->client))
        return TRIBUTARY_FAILED_PRECONDITION;
    publisher->space_waiters++;
    while (in_time && publisher->failed == TRIBUTARY_OK && is_full(publisher, size))
        in_time = cond_wait_until(&publisher->space, &publisher->lock, deadline_ns);
    publisher->space_waiters--;
    if (publisher->failed != TRIBUTARY_OK)
        return publisher->failed;
    return is_full(publisher, size) ? TRIBUTARY_DEADLINE_EXCEEDED : TRIBUTARY_OK;
}

static void close_filling(struct tributary_publisher *publisher)
{
    publisher->capacity_guess = MAX_OF(publisher->filling->size, MIN_PUBLISHER_CAPACITY);
    list_append(&publisher->queued, &publisher->filling->node);
    publisher->filling = NULL;
}

/* Under the lock. Adds the event to the message that is being filled, or to a new one. */
static enum tributary_code add(struct tributary_publisher *publisher, const struct tributary_event *event,
                               size_t size)
{
    const size_t field_size = event_field_size(size);
    struct batch *batch = publisher->filling;

    if (batch && (batch->size + field_size > publisher->options.batch_bytes ||
                  batch->events >= publisher->options.batch_events)) {
        close_filling(publisher);
        batch = NULL;
    }
    if (!batch) {
        batch = batch_new((struct tributary_bytes){publisher->head.data, publisher->head.size},
                          MAX_OF(publisher->capacity_guess, field_size + publisher->head.size));
        if (!batch)
            return TRIBUTARY_RESOURCE_EXHAUSTED;
        batch->numbers_end = publisher->numbers_end;
        batch->first_event = publisher->stats.accepted + 1;
        batch->born_ns = clock_mono_ns();
    }
    if (!batch_add(batch, event, size)) {
        if (batch != publisher->filling)
            batch_release(batch);
        return TRIBUTARY_RESOURCE_EXHAUSTED;
    }
    publisher->filling = batch;
    publisher->held_bytes += field_size;
    publisher->held_events++;
    publisher->stats.accepted++;
    publisher->stats.bytes += field_size;
    return TRIBUTARY_OK;
}

static bool is_loaded(const struct batch *batch)
{
    return batch->events >= LOAD_EVENTS || batch->size >= LOAD_BYTES;
}

/* Under the lock. Whether the caller must wake the client thread. */
static bool must_wake(struct tributary_publisher *publisher)
{
    if (publisher->wake == WAKE_NOT)
        return false;
    if (publisher->wake == WAKE_LOAD && list_empty(&publisher->queued) && !is_loaded(publisher->filling))
        return false;
    publisher->wake = WAKE_NOT;
    return true;
}

enum tributary_code tributary_publish(struct tributary_publisher *publisher,
                                      const struct tributary_event *event)
{
    enum tributary_code code = TRIBUTARY_OK;
    size_t size = 0;
    bool wake = false;

    if (event_check(event, &size))
        return TRIBUTARY_INVALID_ARGUMENT;

    const size_t field_size = event_field_size(size);

    pthread_mutex_lock(&publisher->lock);
    if (publisher->failed != TRIBUTARY_OK)
        code = publisher->failed;
    else if (is_full(publisher, field_size))
        code = wait_for_space(publisher, field_size);
    if (code == TRIBUTARY_OK)
        code = add(publisher, event, size);
    if (code == TRIBUTARY_OK)
        wake = must_wake(publisher);
    pthread_mutex_unlock(&publisher->lock);
    if (wake)
        client_post(publisher->client, &publisher->work);
    return code;
}

struct batch *publisher_dequeue_any(struct tributary_publisher *publisher)
{
    struct batch *batch = NULL;

    pthread_mutex_lock(&publisher->lock);
    if (publisher->filling)
        close_filling(publisher);
    if (!list_empty(&publisher->queued)) {
        batch = container_of(publisher->queued.next, struct batch, node);
        list_remove(&batch->node);
    }
    pthread_mutex_unlock(&publisher->lock);
    return batch;
}

/* Under the lock. Whether the message that is being filled waits for more events: it is small, and
 * comes right after a well filled one. */
static bool lingers(struct tributary_publisher *publisher)
{
    const struct batch *batch = publisher->filling;

    return publisher->loaded && list_empty(&publisher->queued) && !is_loaded(batch) &&
           clock_mono_ns() < batch->born_ns + publisher->options.linger_ns;
}

struct batch *publisher_dequeue(struct tributary_publisher *publisher)
{
    struct batch *batch = NULL;

    pthread_mutex_lock(&publisher->lock);
    if (publisher->filling && lingers(publisher)) {
        publisher->wake = WAKE_LOAD;
        cq_timer_set(publisher->client->thread, &publisher->linger,
                     publisher->filling->born_ns + publisher->options.linger_ns);
    } else {
        if (list_empty(&publisher->queued) && publisher->filling)
            close_filling(publisher);
        if (list_empty(&publisher->queued)) {
            publisher->wake = WAKE_FIRST;
        } else {
            publisher->wake = WAKE_NOT;
            batch = container_of(publisher->queued.next, struct batch, node);
            list_remove(&batch->node);
            publisher->loaded = is_loaded(batch);
        }
    }
    pthread_mutex_unlock(&publisher->lock);
    return batch;
}

void publisher_complete(struct tributary_publisher *publisher, struct batch *batch, bool confirmed)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->held_bytes -= batch_charge(batch);
    publisher->held_events -= batch->events;
    if (confirmed)
        publisher->stats.confirmed += batch->events;
    else
        publisher->stats.refused += batch->events;
    if (publisher->flush_waiters > 0)
        pthread_cond_broadcast(&publisher->changed);
    if (publisher->space_waiters > 0 && has_space(publisher))
        pthread_cond_broadcast(&publisher->space);
    pthread_mutex_unlock(&publisher->lock);
    list_remove(&batch->node);
    batch_release(batch);
}

enum tributary_code tributary_publisher_flush(struct tributary_publisher *publisher, int64_t timeout_ns)
{
    const int64_t deadline_ns = clock_from_now_ns(timeout_ns);
    bool in_time = true;

    if (on_client_thread(publisher->client))
        return TRIBUTARY_FAILED_PRECONDITION;
    pthread_mutex_lock(&publisher->lock);

    const struct tributary_publisher_stats *stats = &publisher->stats;
    const uint64_t goal = stats->accepted;

    publisher->flush_waiters++;
    while (in_time && stats->confirmed + stats->refused < goal)
        in_time = cond_wait_until(&publisher->changed, &publisher->lock, deadline_ns);
    publisher->flush_waiters--;
    in_time = stats->confirmed + stats->refused >= goal;
    pthread_mutex_unlock(&publisher->lock);
    return in_time ? TRIBUTARY_OK : TRIBUTARY_DEADLINE_EXCEEDED;
}

void tributary_publisher_stats(struct tributary_publisher *publisher,
                               struct tributary_publisher_stats *stats_out)
{
    pthread_mutex_lock(&publisher->lock);
    *stats_out = publisher->stats;
    pthread_mutex_unlock(&publisher->lock);
}
