/* send_queue.c - the send queues of a session. Any thread puts events into the queue of an
 * activation; the client thread takes messages out of the queues in turn.
 *
 * DESIGN. A queue is in `by_id` from its start until its end is sent, in `queues` for as long as
 * it exists, and in `ready` while it has something to send and is not paused. A message is in
 * exactly one place: it is being filled, or it is in `queued` of its queue, or in `sent` of the
 * session. The queue counts the messages in `sent` as unconfirmed. A queue that has left `by_id`
 * exists until this count is zero, because its messages point to it. */
#include "client/lib/session/send_queue.h"

#include <stdlib.h>

#include "client/lib/core/encode.h"
#include "client/lib/session/session_state.h"

#define MIN_CAPACITY 1024u
/* A message is well filled with this many events or bytes. */
#define LOAD_EVENTS 256u
#define LOAD_BYTES 16384u

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
    if (map_add(&session->by_id, &queue->node) != ERR_OK) {
        free(queue);
        return NULL;
    }
    list_init(&queue->ready);
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

static struct batch *begin_message(struct send_queue *queue, size_t min)
{
    uint8_t head[MAX_SEND_QUEUE_HEAD];
    const size_t size = session_write_head(head, queue->id);
    struct batch *batch =
        batch_new_after((struct tributary_bytes){head, size}, MAX_OF(queue->capacity_guess, size + min));

    if (batch) {
        batch->queue = queue;
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
    if (!batch && !(batch = begin_message(queue, field_size)))
        return false;
    if (!batch_add(batch, event, size)) {
        if (batch != queue->filling)
            batch_release(batch);
        return false;
    }
    queue->filling = batch;
    queue->held_bytes += field_size;
    queue->held_events++;
    session->stats.accepted++;
    session->stats.bytes += field_size;
    return true;
}

static void leave_map(struct tributary_session *session, struct send_queue *queue)
{
    if (queue->gone)
        return;
    queue->gone = true;
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
        batch = batch_new_after((struct tributary_bytes){request.data, request.size}, 0);
    buf_fini(&request);
    if (!batch)
        return false;
    batch->queue = queue;
    close_filling(queue);
    list_append(&queue->queued, &batch->node);
    queue->ended = true;
    return true;
}

static bool is_loaded(const struct batch *batch)
{
    return batch && (batch->events >= LOAD_EVENTS || batch->size >= LOAD_BYTES);
}

/* Whether the message that is being filled waits for more events: it is small, and comes right
 * after a well filled one. */
static bool lingers(const struct tributary_session *session, const struct send_queue *queue, int64_t now_ns)
{
    return queue->loaded && list_empty(&queue->queued) && !is_loaded(queue->filling) &&
           now_ns < queue->filling->born_ns + session->options.linger_ns;
}

static bool may_send(const struct tributary_session *session, const struct send_queue *queue)
{
    if (list_empty(&queue->queued) && !queue->filling)
        return false;
    if (queue->id == SHARED_QUEUE && session->hold_shared)
        return false;
    return !queue->paused;
}

bool send_queue_touch(struct tributary_session *session, struct send_queue *queue)
{
    if (!may_send(session, queue)) {
        list_remove(&queue->ready);
        return false;
    }
    if (list_empty(&queue->ready))
        list_append(&session->ready, &queue->ready);
    if (session->wake == SESSION_WAKE_NOT)
        return false;
    if (session->wake == SESSION_WAKE_LOAD && queue->loaded && list_empty(&queue->queued) &&
        !is_loaded(queue->filling))
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
    list_remove(&queue->ready);
    if (session->waiters > 0)
        pthread_cond_broadcast(&session->changed);
}

void send_queue_drop(struct tributary_session *session, struct send_queue *queue)
{
    send_queue_clear(session, queue);
    leave_map(session, queue);
    free_if_unused(queue);
}

struct batch *send_queues_next(struct tributary_session *session, int64_t now_ns, int64_t *linger_until_ns)
{
    *linger_until_ns = INT64_MAX;
    list_each(node, safe, &session->ready) {
        struct send_queue *queue = container_of(node, struct send_queue, ready);

        if (lingers(session, queue, now_ns)) {
            *linger_until_ns = MIN_OF(*linger_until_ns, queue->filling->born_ns + session->options.linger_ns);
            continue;
        }
        if (list_empty(&queue->queued))
            close_filling(queue);

        struct batch *batch = first_queued(queue);

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
    session->wake = *linger_until_ns == INT64_MAX ? SESSION_WAKE_FIRST : SESSION_WAKE_LOAD;
    return NULL;
}

bool send_queues_are_empty(const struct tributary_session *session)
{
    list_each(node, safe, &session->queues) {
        const struct send_queue *queue = container_of(node, struct send_queue, link);

        if (queue->id == SHARED_QUEUE && session->hold_shared)
            continue;
        if (!list_empty(&queue->queued) || queue->filling)
            return false;
    }
    return true;
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
    free_if_unused(queue);
    if (session->waiters > 0)
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
    queue->unconfirmed--;
    list_append(queue->queued.next, &batch->node); /* in front of the first message */
}
