/* test_send_queue.c - the send queues of a session without a call: which message is sent when,
 * which one is sent again, and which one is dropped. There is one thread, so no lock is needed. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client/lib/core/encode.h"
#include "client/lib/session/send_queue.h"
#include "client/lib/session/session_options.h"
#include "client/lib/session/session_state.h"

static struct tributary_session *session_new(uint32_t queue_events, uint32_t batch_events)
{
    struct tributary_session *session = calloc(1, sizeof(*session));

    session->options = (struct tributary_session_options){
        .name = "x", .queue_events = queue_events, .batch_events = batch_events, .linger_ns = TRIBUTARY_NONE};
    cr_assert_null(session_apply_defaults(&session->options));
    map_init(&session->by_id);
    list_init(&session->queues);
    list_init(&session->ready);
    list_init(&session->sent);
    session->wake = SESSION_WAKE_FIRST;
    return session;
}

static void session_free(struct tributary_session *session)
{
    list_each(node, safe, &session->queues)
        send_queue_drop(session, container_of(node, struct send_queue, link));
    cr_assert_eq(session->stats.accepted, session->stats.confirmed + session->stats.dropped);
    cr_assert_eq(session->by_id.count, 0);
    cr_assert(list_empty(&session->queues) && list_empty(&session->ready));
    cr_assert_eq(session->lingering.count + session->stopping.count + session->waiting, 0);
    heap_fini(&session->lingering);
    heap_fini(&session->stopping);
    map_fini(&session->by_id);
    free(session);
}

#define NO_QUEUE UINT64_MAX

/* Adds `count` events. True: the caller must wake the client thread. */
static bool add(struct tributary_session *session, uint64_t id, int count)
{
    const struct tributary_event event = {.data = {"x", 1}};
    bool wake = false;

    for (int i = 0; i < count; i++) {
        cr_assert(send_queue_add(session, send_queue_find(session, id), &event, event_size(&event)));
        wake = send_queue_touch(session, send_queue_find(session, id)) || wake;
    }
    return wake;
}

static struct batch *next_message(struct tributary_session *session)
{
    int64_t linger_ns = 0;

    return send_queues_next(session, clock_mono_ns(), &linger_ns);
}

/* Sends the next message, which must have `events` events, and confirms it. Returns its queue. */
static uint64_t sent_from(struct tributary_session *session, uint32_t events)
{
    struct batch *batch = next_message(session);
    uint64_t id = NO_QUEUE;
    uint64_t unused = 0;

    if (!batch)
        return id;
    cr_assert_eq(batch->events, events);
    id = batch->queue->id;
    send_queues_complete(session, batch, true, &unused);
    return id;
}

Test(send_queue, queues_send_in_turn_and_wake_the_client_thread_once)
{
    struct tributary_session *session = session_new(100, 2);

    send_queue_open(session, 1);
    send_queue_open(session, 2);
    cr_assert(add(session, 1, 5), "the first event wakes");
    cr_assert_not(add(session, 2, 3), "the client thread is awake already");
    cr_assert_eq(sent_from(session, 2), 1);
    cr_assert_eq(sent_from(session, 2), 2);
    cr_assert_eq(sent_from(session, 2), 1);
    cr_assert_eq(sent_from(session, 1), 2);
    cr_assert_eq(sent_from(session, 1), 1);
    cr_assert_eq(sent_from(session, 0), NO_QUEUE);
    cr_assert(add(session, 2, 1), "the client thread found nothing, so it is woken again");
    session_free(session);
}

Test(send_queue, a_paused_queue_is_skipped_and_keeps_its_order)
{
    struct tributary_session *session = session_new(100, 10);
    struct send_queue *queue = send_queue_open(session, 1);

    send_queue_open(session, 2);
    add(session, 1, 3);
    queue->paused = true;
    send_queue_touch(session, queue);
    add(session, 1, 3);
    add(session, 2, 1);
    cr_assert_eq(sent_from(session, 1), 2);
    cr_assert_eq(sent_from(session, 0), NO_QUEUE);
    cr_assert(send_queue_end(session, queue, TRIBUTARY_OK, NULL));
    cr_assert_not(send_queue_touch(session, queue), "the end waits, too");
    cr_assert_null(send_queue_find(session, 1));
    cr_assert_eq(send_queue_find_any(session, 1), queue);
    cr_assert_not(send_queues_are_empty(session));
    queue->paused = false;
    cr_assert(send_queue_touch(session, queue));
    cr_assert_eq(sent_from(session, 6), 1);
    cr_assert_eq(session->stats.activations, 2);
    cr_assert_eq(sent_from(session, 0), 1, "its end, in a message of its own");
    cr_assert_eq(session->stats.activations, 1);
    cr_assert_null(send_queue_find_any(session, 1));
    cr_assert(send_queues_are_empty(session));
    session_free(session);
}

Test(send_queue, a_queue_is_full_at_its_bound_and_writable_at_its_low_watermark)
{
    struct tributary_session *session = session_new(4, 1);
    struct send_queue *queue = send_queue_open(session, 1);
    struct batch *batches[4];
    uint64_t activation = 0;

    cr_assert_not(send_queue_is_full(session, queue, session->options.queue_bytes * 2),
                  "one event is always taken");
    add(session, 1, 3);
    cr_assert_not(send_queue_is_full(session, queue, 3));
    cr_assert(send_queue_is_full(session, queue, session->options.queue_bytes));
    add(session, 1, 1);
    cr_assert(send_queue_is_full(session, queue, 3));
    queue->full = true;
    for (int i = 0; i < 4; i++)
        batches[i] = next_message(session);
    cr_assert(send_queue_is_full(session, queue, 3), "sent is not confirmed");
    cr_assert_not(send_queues_complete(session, batches[0], true, &activation));
    cr_assert(send_queues_complete(session, batches[1], true, &activation), "half of the bound is free");
    cr_assert_eq(activation, 1);
    cr_assert_not(send_queues_complete(session, batches[2], true, &activation), "reported once");
    cr_assert_not(send_queues_complete(session, batches[3], true, &activation));
    session_free(session);
}

Test(send_queue, a_lost_stream_requeues_shared_messages_and_drops_others)
{
    struct tributary_session *session = session_new(100, 2);
    struct batch *batches[4];

    send_queue_open(session, SHARED_QUEUE);
    send_queue_open(session, 1);
    add(session, SHARED_QUEUE, 6);
    for (int i = 0; i < 2; i++)
        batches[i] = next_message(session);
    add(session, 1, 1);
    batches[2] = next_message(session);
    batches[3] = next_message(session);
    for (int i = 3; i >= 0; i--)
        send_queues_requeue(session, batches[i]);
    cr_assert_eq(session->stats.dropped, 1);
    send_queue_touch(session, send_queue_find_any(session, SHARED_QUEUE));
    for (int i = 0; i < 3; i++) {
        struct batch *batch = next_message(session);
        struct list *node = list_first(&session->sent);

        cr_assert(batch == batches[i] || i == 2 || node, "in the order of before");
        send_queues_complete(session, batch, true, &(uint64_t){0});
    }
    cr_assert_null(next_message(session));
    cr_assert_eq(session->stats.confirmed, 6);
    session_free(session);
}

Test(send_queue, held_shared_events_wait_for_the_next_registration)
{
    struct tributary_session *session = session_new(100, 2);

    send_queue_open(session, SHARED_QUEUE);
    session->hold_shared = true;
    add(session, SHARED_QUEUE, 2);
    cr_assert_null(next_message(session));
    cr_assert(send_queues_are_empty(session), "so the registration may end");
    session->hold_shared = false;
    cr_assert(send_queue_touch(session, send_queue_find_any(session, SHARED_QUEUE)));
    cr_assert_eq(sent_from(session, 2), SHARED_QUEUE);
    session_free(session);
}

Test(send_queue, a_dropped_queue_exists_until_its_last_message_is_completed)
{
    struct tributary_session *session = session_new(100, 2);
    struct send_queue *queue = send_queue_open(session, 1);
    struct batch *batch = NULL;

    add(session, 1, 5);
    batch = next_message(session);
    send_queue_drop(session, queue);
    cr_assert_null(send_queue_find_any(session, 1));
    cr_assert_eq(session->stats.dropped, 3);
    cr_assert_eq(session->stats.activations, 0);
    cr_assert_not(list_empty(&session->queues));
    send_queue_open(session, 1); /* the same number on another registration */
    cr_assert_not(send_queues_complete(session, batch, false, &(uint64_t){0}));
    cr_assert_eq(session->stats.dropped, 5);
    session_free(session);
}

Test(send_queue, a_small_message_after_a_full_one_lingers)
{
    struct tributary_session *session = session_new(10000, 300);
    int64_t linger_ns = 0;
    const int64_t now_ns = clock_mono_ns();

    session->options.linger_ns = NS_PER_S;
    send_queue_open(session, 1);
    add(session, 1, 301);
    cr_assert_eq(sent_from(session, 300), 1);
    cr_assert_null(send_queues_next(session, now_ns, &linger_ns));
    cr_assert(linger_ns > now_ns && linger_ns < now_ns + 2 * NS_PER_S);
    cr_assert_not(add(session, 1, 10), "not worth waking");
    cr_assert(add(session, 1, 300), "well filled");
    cr_assert_eq(sent_from(session, 300), 1);
    cr_assert_null(send_queues_next(session, now_ns, &linger_ns));
    cr_assert_not_null(send_queue_find(session, 1)->filling);

    struct batch *batch = send_queues_next(session, linger_ns, &linger_ns);

    cr_assert_eq(batch->events, 11);
    send_queues_complete(session, batch, true, &(uint64_t){0});
    session_free(session);
}

Test(send_queue, queues_linger_apart_and_the_first_that_is_due_is_sent_first)
{
    struct tributary_session *session = session_new(10000, 300);
    const int64_t now_ns = clock_mono_ns();
    int64_t linger_ns = 0;

    session->options.linger_ns = 3600 * NS_PER_S;
    for (uint64_t id = 1; id <= 2; id++) {
        send_queue_open(session, id);
        add(session, id, 300);
        cr_assert_eq(sent_from(session, 300), id);
        add(session, id, (int)id);
        send_queue_find(session, id)->filling->born_ns = now_ns - (int64_t)id;
    }
    cr_assert_null(send_queues_next(session, now_ns, &linger_ns));
    cr_assert_eq(linger_ns, now_ns - 2 + session->options.linger_ns, "the second queue began earlier");
    for (uint64_t id = 2; id >= 1; id--) {
        struct batch *batch = send_queues_next(session, linger_ns, &linger_ns);

        cr_assert_eq(batch->queue->id, id);
        send_queues_complete(session, batch, true, &(uint64_t){0});
        cr_assert_null(send_queues_next(session, now_ns, &linger_ns));
    }
    cr_assert_eq(linger_ns, INT64_MAX);
    session_free(session);
}

Test(send_queue, the_pause_of_a_queue_that_must_stop_ends_at_its_deadline)
{
    struct tributary_session *session = session_new(100, 2);
    struct send_queue *first = send_queue_open(session, 1);
    struct send_queue *second = send_queue_open(session, 2);
    int64_t next_ns = 0;

    first->stop_at_ns = 1000;
    second->stop_at_ns = 2000;
    first->paused = second->paused = true;
    add(session, 1, 1);
    send_queue_touch(session, second);
    cr_assert_eq(send_queues_end_pauses(session, 999), 1000);
    cr_assert_null(send_queues_next(session, 999, &next_ns));
    cr_assert_eq(send_queues_end_pauses(session, 1000), 2000);
    cr_assert_eq(sent_from(session, 1), 1);
    second->paused = false;
    send_queue_touch(session, second);
    cr_assert_eq(send_queues_end_pauses(session, 3000), INT64_MAX, "it was resumed before");
    session_free(session);
}

/* Opens three kinds of queues: idle ones, ones that linger, and paused ones that must stop. */
static void open_queues(struct tributary_session *session, uint32_t count)
{
    int64_t unused_ns = 0;

    for (uint64_t id = 1; id <= count; id++) {
        struct send_queue *queue = send_queue_open(session, id);

        if (id % 3 == 0) {
            add(session, id, 1);
            queue->loaded = true;
        } else if (id % 3 == 1) {
            queue->stop_at_ns = INT64_MAX - 1;
            queue->paused = true;
            add(session, id, 1);
        }
    }
    cr_assert_null(send_queues_next(session, clock_mono_ns(), &unused_ns));
}

/* How many queues are looked at for `messages` messages of one queue among `count` others. */
static uint64_t visits_for(uint32_t messages, uint32_t count)
{
    struct tributary_session *session = session_new(100, 1);
    struct list whole, broken = {.prev = &broken, .next = NULL};
    uint64_t visits = 0;

    session->options.linger_ns = 3600 * NS_PER_S;
    open_queues(session, count);
    send_queue_open(session, count + 1);
    visits = session->visits;
    whole = session->queues;
    session->queues = (struct list){&broken, &broken}; /* a walk over all queues crashes now */
    for (uint32_t i = 0; i < messages; i++) {
        struct send_queue *queue = send_queue_find(session, count + 1);

        add(session, count + 1, 2);
        queue->paused = true;
        send_queue_touch(session, queue);
        queue->paused = false;
        send_queue_touch(session, queue);
        send_queues_end_pauses(session, clock_mono_ns());
        cr_assert_eq(sent_from(session, 1), count + 1);
        cr_assert_eq(sent_from(session, 1), count + 1);
        cr_assert_null(next_message(session));
        cr_assert_eq(send_queues_are_empty(session), count == 0);
    }
    visits = session->visits - visits;
    session->queues = whole;
    session_free(session);
    return visits;
}

/* Finding 22. */
Test(send_queue, a_message_costs_the_same_however_many_queues_there_are)
{
    const uint64_t alone = visits_for(100, 0);

    cr_assert_eq(alone, 200, "each message looks at its own queue");
    cr_assert_eq(visits_for(100, 10), alone);
    cr_assert_eq(visits_for(100, 5000), alone);
}

Test(send_queue, a_queue_that_lingers_is_not_looked_at_for_each_message_of_another)
{
    struct tributary_session *session = session_new(100, 1);
    uint64_t visits = 0;

    session->options.linger_ns = 3600 * NS_PER_S;
    open_queues(session, 3000);
    visits = session->visits;
    for (int i = 0; i < 10; i++)
        cr_assert_null(next_message(session));
    cr_assert_eq(session->visits, visits);
    session_free(session);
}

struct waiting_thread {
    struct tributary_session *session;
    uint64_t id;
    pthread_t thread;
};

static void *wait_for_space(void *argument)
{
    struct waiting_thread *waiting = argument;
    struct tributary_session *session = waiting->session;

    pthread_mutex_lock(&session->lock);
    send_queue_wait_for_space(session, send_queue_find(session, waiting->id),
                              clock_from_now_ns(60 * NS_PER_S));
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

/* Returns with the lock. */
static void begin_to_wait(struct waiting_thread *waiting)
{
    const struct send_queue *queue = send_queue_find(waiting->session, waiting->id);

    cr_assert_eq(pthread_create(&waiting->thread, NULL, wait_for_space, waiting), 0);
    pthread_mutex_lock(&waiting->session->lock);
    while (list_empty(&queue->waiters)) {
        pthread_mutex_unlock(&waiting->session->lock);
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
        pthread_mutex_lock(&waiting->session->lock);
    }
}

Test(send_queue, a_thread_that_waits_for_space_is_woken_for_its_own_queue_only, .timeout = 60)
{
    struct tributary_session *session = session_new(1, 1);
    struct waiting_thread waiting = {session, 1, 0};
    struct send_queue *queue = send_queue_open(session, 1);

    pthread_mutex_init(&session->lock, NULL);
    send_queue_open(session, 2);
    add(session, 1, 1);
    add(session, 2, 1);
    for (int i = 0; i < 2; i++) {
        begin_to_wait(&waiting);
        if (i == 0) {
            struct batch *first = next_message(session);

            cr_assert_eq(sent_from(session, 1), 2);
            cr_assert_not(list_empty(&queue->waiters), "another queue has space");
            send_queues_complete(session, first, true, &(uint64_t){0});
        } else {
            send_queue_drop(session, queue); /* the thread must not touch it any more */
        }
        pthread_mutex_unlock(&session->lock);
        pthread_join(waiting.thread, NULL);
    }
    pthread_mutex_destroy(&session->lock);
    session_free(session);
}
