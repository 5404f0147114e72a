/* send_queue.c - the send queues of a session. Any thread puts events into the queue of an
 * activation; the client thread takes messages out of the queues in turn.
 *
 * DESIGN. A queue is in `by_id` from its start until its end is sent, and in `queues` for as long
 * as it exists. A queue that has something to send and is not paused is either in `ready` or, while
 * it lingers, in `lingering`. A session may have many thousands of queues, so nothing that happens
 * for each message walks over all of them: a message costs the queue that it is of, and a place in
 * a heap.
 *
 * A message is in exactly one place: it is being filled, or it is in `queued` of its queue, or in
 * `sent` of the session. The queue counts the messages in `sent` as unconfirmed. A queue that has
 * left `by_id` exists until this count is zero, because its messages point to it. */
#include "client/lib/session/send_queue.h"

#include <stdlib.h>

#include "client/lib/core/encode.h"
#include "client/lib/session/session_state.h"

#define MIN_CAPACITY 1024u
/* A message is well filled with this many events or bytes. */
#define LOAD_EVENTS 256u
#define LOAD_BYTES 16384u

/* A thread that waits for space in one queue. */
struct space_waiter {
    struct list link; /* in queue->waiters; alone: it was woken */
    pthread_cond_t woken;
};

static struct batch *first_queued(const struct send_queue *queue)
{
    return list_empty(&queue->queued) ? NULL : container_of(queue->queued.next, struct batch, node);
}

struct send_queue *send_queue_open(struct tributary_session *session, uint64_t id)
{
    struct send_queue *queue = calloc(1, sizeof(*queue));

    if (!queue)
        return NULL;
    queue->id = id;
    queue->capacity_guess = MIN_CAPACITY;
    queue->node.key = (struct bytes){(const uint8_t *)&queue->id, sizeof(queue->id)};
    if (heap_reserve(&session->lingering, session->by_id.count + 1) != ERR_OK ||
        heap_reserve(&session->stopping, session->by_id.count + 1) != ERR_OK ||
        map_add(&session->by_id, &queue->node) != ERR_OK) {
        free(queue);
        return NULL;
    }
    list_init(&queue->ready);
    list_init(&queue->waiters);
    list_init(&queue->queued);
    list_append(&session->queues, &queue->link);
    if (id != SHARED_QUEUE)
        session->stats.activations++;
    return queue;
}

struct send_queue *send_queue_find_any(const struct tributary_session *session, uint64_t id)
{
    struct map_node *node = map_find(&session->by_id, (struct bytes){(const uint8_t *)&id, sizeof(id)});

    return node ? container_of(node, struct send_queue, node) : NULL;
}

struct send_queue *send_queue_find(const struct tributary_session *session, uint64_t id)
{
    struct send_queue *queue = send_queue_find_any(session, id);

    return queue && !queue->ended ? queue : NULL;
}

bool send_queue_is_full(const struct tributary_session *session, const struct send_queue *queue, size_t size)
{
    if (queue->held_events == 0)
        return false;
    return queue->held_events >= session->options.queue_events ||
           queue->held_bytes + size > session->options.queue_bytes;
}

static void close_filling(struct send_queue *queue)
{
    if (!queue->filling)
        return;
    queue->capacity_guess = MAX_OF(queue->filling->size, MIN_CAPACITY);
    list_append(&queue->queued, &queue->filling->node);
    queue->filling = NULL;
}

static struct batch *begin_message(struct tributary_session *session, struct send_queue *queue, size_t min)
{
    uint8_t activation[MAX_SEND_QUEUE_HEAD];
    const bool numbered = queue->id == SHARED_QUEUE && session->numbers_size > 0;
    const uint8_t *head = numbered ? session->numbers : activation;
    const size_t size = numbered ? session->numbers_size : session_write_head(activation, queue->id);
    struct batch *batch =
        batch_new((struct tributary_bytes){head, size}, MAX_OF(queue->capacity_guess, size + min));

    if (batch) {
        batch->queue = queue;
        batch->numbers_end = numbered ? size : 0;
        batch->first_event = queue->accepted + 1;
        batch->born_ns = clock_mono_ns();
    }
    return batch;
}

bool send_queue_add(struct tributary_session *session, struct send_queue *queue,
                    const struct tributary_event *event, size_t size)
{
    const size_t field_size = event_field_size(size);
    struct batch *batch = queue->filling;

    if (batch && (batch->size + field_size > session->options.batch_bytes ||
                  batch->events >= session->options.batch_events)) {
        close_filling(queue);
        batch = NULL;
    }
    if (!batch && !(batch = begin_message(session, queue, field_size)))
        return false;
    if (!batch_add(batch, event, size)) {
        if (batch != queue->filling)
            batch_release(batch);
        return false;
    }
    queue->filling = batch;
    queue->held_bytes += field_size;
    queue->held_events++;
    queue->accepted++;
    session->stats.accepted++;
    session->stats.bytes += field_size;
    return true;
}

static void wake_waiters(struct send_queue *queue)
{
    struct list *link = NULL;

    while ((link = list_first(&queue->waiters))) {
        list_remove(link);
        pthread_cond_signal(&container_of(link, struct space_waiter, link)->woken);
    }
}

bool send_queue_wait_for_space(struct tributary_session *session, struct send_queue *queue,
                               int64_t deadline_ns)
{
    struct space_waiter waiter;
    bool in_time = true;

    cond_init(&waiter.woken);
    list_append(&queue->waiters, &waiter.link);
    in_time = cond_wait_until(&waiter.woken, &session->lock, deadline_ns);
    list_remove(&waiter.link);
    pthread_cond_destroy(&waiter.woken);
    return in_time;
}

void send_queues_wake_waiters(struct tributary_session *session)
{
    list_each(node, safe, &session->queues)
        wake_waiters(container_of(node, struct send_queue, link));
}

static void leave_map(struct tributary_session *session, struct send_queue *queue)
{
    if (queue->gone)
        return;
    queue->gone = true;
    heap_remove(&session->lingering, &queue->linger);
    heap_remove(&session->stopping, &queue->stop);
    map_remove(&session->by_id, &queue->node);
    if (queue->id != SHARED_QUEUE)
        session->stats.activations--;
}

bool send_queue_end(struct tributary_session *session, struct send_queue *queue, enum tributary_code code,
                    const char *message)
{
    struct buf request = {0};
    struct batch *batch = NULL;

    (void)session;
    session_write_end(&request, queue->id, code, message);
    if (!request.broken)
        batch = batch_new((struct tributary_bytes){request.data, request.size}, 0);
    buf_fini(&request);
    if (!batch)
        return false;
    batch->queue = queue;
    close_filling(queue);
    list_append(&queue->queued, &batch->node);
    queue->ended = true;
    wake_waiters(queue);
    return true;
}

static bool is_loaded(const struct batch *batch)
{
    return batch && (batch->events >= LOAD_EVENTS || batch->size >= LOAD_BYTES);
}

/* Whether all that the queue has to send is a small message that comes right after a well filled
 * one. Such a message lingers. */
static bool is_small(const struct send_queue *queue)
{
    return queue->loaded && list_empty(&queue->queued) && !is_loaded(queue->filling);
}

static bool may_send(const struct tributary_session *session, const struct send_queue *queue)
{
    if (list_empty(&queue->queued) && !queue->filling)
        return false;
    if (queue->id == SHARED_QUEUE && session->hold_shared)
        return false;
    return !queue->paused;
}

static void update_waiting(struct tributary_session *session, struct send_queue *queue)
{
    const bool waits = !list_empty(&queue->queued) || queue->filling;

    if (waits == queue->waits)
        return;
    queue->waits = waits;
    session->waiting = waits ? session->waiting + 1 : session->waiting - 1;
}

static void update_stopping(struct tributary_session *session, struct send_queue *queue)
{
    if (queue->paused && queue->stop_at_ns != 0 && !queue->gone)
        CHECK(heap_set(&session->stopping, &queue->stop, queue->stop_at_ns) == ERR_OK); /* reserved */
    else
        heap_remove(&session->stopping, &queue->stop);
}

bool send_queue_touch(struct tributary_session *session, struct send_queue *queue)
{
    update_waiting(session, queue);
    update_stopping(session, queue);
    if (!may_send(session, queue)) {
        list_remove(&queue->ready);
        heap_remove(&session->lingering, &queue->linger);
        return false;
    }
    if (heap_holds(&queue->linger) && !is_small(queue))
        heap_remove(&session->lingering, &queue->linger);
    if (list_empty(&queue->ready) && !heap_holds(&queue->linger))
        list_append(&session->ready, &queue->ready);
    if (session->wake == SESSION_WAKE_NOT)
        return false;
    if (session->wake == SESSION_WAKE_LOAD && is_small(queue))
        return false;
    session->wake = SESSION_WAKE_NOT;
    return true;
}

/* Frees a queue that has left `by_id` and has no unconfirmed message. */
static void free_if_unused(struct send_queue *queue)
{
    if (!queue->gone || queue->unconfirmed > 0)
        return;
    list_remove(&queue->link);
    free(queue);
}

static void discard(struct tributary_session *session, struct send_queue *queue, struct batch *batch)
{
    list_remove(&batch->node);
    queue->held_bytes -= batch->events > 0 ? batch_charge(batch) : 0;
    queue->held_events -= batch->events;
    session->stats.dropped += batch->events;
    batch_release(batch);
}

void send_queue_clear(struct tributary_session *session, struct send_queue *queue)
{
    struct batch *batch = NULL;

    close_filling(queue);
    while ((batch = first_queued(queue)))
        discard(session, queue, batch);
    send_queue_touch(session, queue);
    wake_waiters(queue);
    if (session->flush_waiters > 0)
        pthread_cond_broadcast(&session->changed);
}

void send_queue_drop(struct tributary_session *session, struct send_queue *queue)
{
    send_queue_clear(session, queue);
    leave_map(session, queue);
    free_if_unused(queue);
}

int64_t send_queues_end_pauses(struct tributary_session *session, int64_t now_ns)
{
    struct heap_node *first = NULL;

    while ((first = heap_first(&session->stopping)) && first->key <= now_ns) {
        struct send_queue *queue = container_of(first, struct send_queue, stop);

        session->visits++;
        queue->paused = false;
        send_queue_touch(session, queue);
    }
    return first ? first->key : INT64_MAX;
}

/* Moves queues that have lingered long enough to the ready ones. */
static void end_lingering(struct tributary_session *session, int64_t now_ns)
{
    struct heap_node *first = NULL;

    while ((first = heap_first(&session->lingering)) && first->key <= now_ns) {
        session->visits++;
        heap_remove(&session->lingering, first);
        list_append(&session->ready, &container_of(first, struct send_queue, linger)->ready);
    }
}

/* Removes the next message of a queue that is ready. */
static struct batch *dequeue(struct tributary_session *session, struct send_queue *queue)
{
    struct batch *batch = NULL;

    if (list_empty(&queue->queued))
        close_filling(queue);
    batch = first_queued(queue);
    list_remove(&batch->node);
    /* send_queue_touch() puts the queue behind the others, if more waits in it. */
    list_remove(&queue->ready);
    queue->loaded = is_loaded(batch);
    queue->unconfirmed++;
    session->wake = SESSION_WAKE_NOT;
    send_queue_touch(session, queue);
    if (batch->events == 0)
        leave_map(session, queue); /* this is its end: nothing follows */
    return batch;
}

struct batch *send_queues_next(struct tributary_session *session, int64_t now_ns, int64_t *linger_until_ns)
{
    struct list *node = NULL;

    *linger_until_ns = INT64_MAX;
    end_lingering(session, now_ns);
    while ((node = list_first(&session->ready))) {
        struct send_queue *queue = container_of(node, struct send_queue, ready);
        const int64_t until_ns =
            is_small(queue) ? queue->filling->born_ns + session->options.linger_ns : now_ns;

        session->visits++;
        if (until_ns <= now_ns)
            return dequeue(session, queue);
        list_remove(node);
        CHECK(heap_set(&session->lingering, &queue->linger, until_ns) == ERR_OK); /* reserved */
    }

    const struct heap_node *first = heap_first(&session->lingering);

    session->wake = first ? SESSION_WAKE_LOAD : SESSION_WAKE_FIRST;
    if (first)
        *linger_until_ns = first->key;
    return NULL;
}

bool send_queues_are_empty(const struct tributary_session *session)
{
    const struct send_queue *shared =
        session->hold_shared ? send_queue_find_any(session, SHARED_QUEUE) : NULL;

    return session->waiting == (shared && shared->waits ? 1 : 0);
}

bool send_queues_complete(struct tributary_session *session, struct batch *batch, bool confirmed,
                          uint64_t *activation_out)
{
    struct send_queue *queue = batch->queue;
    bool writable = false;

    queue->unconfirmed--;
    queue->held_bytes -= batch->events > 0 ? batch_charge(batch) : 0;
    queue->held_events -= batch->events;
    if (confirmed)
        session->stats.confirmed += batch->events;
    else
        session->stats.dropped += batch->events;
    if (queue->full && queue->held_bytes <= session->options.queue_bytes / 2 &&
        queue->held_events <= session->options.queue_events / 2) {
        queue->full = false;
        *activation_out = queue->id;
        writable = !queue->gone && !queue->ended;
    }
    batch_release(batch);
    wake_waiters(queue);
    free_if_unused(queue);
    if (session->flush_waiters > 0)
        pthread_cond_broadcast(&session->changed);
    return writable;
}

void send_queues_requeue(struct tributary_session *session, struct batch *batch)
{
    struct send_queue *queue = batch->queue;
    uint64_t unused = 0;

    if (queue->id != SHARED_QUEUE) {
        send_queues_complete(session, batch, false, &unused);
        return;
    }
    struct list *behind = queue->queued.next;

    while (behind != &queue->queued &&
           container_of(behind, struct batch, node)->first_event < batch->first_event)
        behind = behind->next;
    queue->unconfirmed--;
    list_append(behind, &batch->node);
    update_waiting(session, queue);
}
