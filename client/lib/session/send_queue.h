/* send_queue.h - the send queues of a session: one for each activation, or one for the shared
 * stream. The caller holds the session's lock. */
#ifndef TRIBUTARY_CLIENT_SEND_QUEUE_H
#define TRIBUTARY_CLIENT_SEND_QUEUE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "client/lib/core/batch.h"
#include "client/lib/session/session_encode.h"
#include "tributary/tributary.h"

/* Everything is under the session's lock. */
struct send_queue {
    struct map_node node; /* in session->by_id, while events may be emitted or the end waits */
    struct list link;     /* in session->queues, for as long as the queue exists */
    struct list ready;    /* in session->ready, while it may send and does not linger */
    /* in session->lingering, by the time at which it may send what it is filling */
    struct heap_node linger;
    /* in session->stopping, by `stop_at_ns`, while it is paused and its stop has a deadline */
    struct heap_node stop;
    struct list waiters; /* threads that wait for space: struct space_waiter */
    uint64_t id;
    struct list queued;    /* full messages, and perhaps the end */
    struct batch *filling; /* the message that takes the next event; NULL: none */
    size_t capacity_guess;
    uint64_t accepted; /* events, so far */
    size_t held_bytes; /* emitted and not confirmed */
    uint32_t held_events;
    uint32_t unconfirmed; /* messages in session->sent */
    /* the deadline of a stop; the queue is not paused after it; clock_mono_ns(); 0: none */
    int64_t stop_at_ns;
    bool paused;
    bool ended;  /* its end is queued or sent */
    bool gone;   /* not in session->by_id any more; freed with its last message */
    bool loaded; /* its last message was well filled */
    bool full;   /* an emit failed, so writable() must be called */
    bool waits;  /* a message waits to be sent: it counts in session->waiting */
};

/* Creates a queue. NULL: out of memory. */
struct send_queue *send_queue_open(struct tributary_session *session, uint64_t id);

/* NULL: no such activation, or it has ended. */
struct send_queue *send_queue_find(const struct tributary_session *session, uint64_t id);

/* The same, but it also finds a queue whose end still waits to be sent. */
struct send_queue *send_queue_find_any(const struct tributary_session *session, uint64_t id);

/* Whether the queue has no space for an event of `size` bytes. */
bool send_queue_is_full(const struct tributary_session *session, const struct send_queue *queue, size_t size);

/* Adds an event. The queue must not be full. `size` is event_size(). False: out of memory. */
bool send_queue_add(struct tributary_session *session, struct send_queue *queue,
                    const struct tributary_event *event, size_t size);

/* Queues the end behind everything else. No event can be emitted afterwards. False: out of memory,
 * and nothing changed. */
bool send_queue_end(struct tributary_session *session, struct send_queue *queue, enum tributary_code code,
                    const char *message);

/* Updates the session's lists after the queue changed. True: the caller must wake the client
 * thread. */
bool send_queue_touch(struct tributary_session *session, struct send_queue *queue);

/* Drops everything that is queued and removes the queue. The queue is freed with its last
 * unconfirmed message, so do not use it afterwards. */
void send_queue_drop(struct tributary_session *session, struct send_queue *queue);

/* Drops everything that is queued and keeps the queue. */
void send_queue_clear(struct tributary_session *session, struct send_queue *queue);

/* Removes the next message to send and returns it. NULL: none; *linger_until_ns is when to call
 * this again (INT64_MAX: when an event is emitted). */
struct batch *send_queues_next(struct tributary_session *session, int64_t now_ns, int64_t *linger_until_ns);

/* Ends the pause of queues whose stop has passed its deadline: the server takes no more of their
 * events, so waiting for a resume makes no sense. Returns the next such deadline; INT64_MAX: none.
 * */
int64_t send_queues_end_pauses(struct tributary_session *session, int64_t now_ns);

/* Waits until the queue may have space. The lock is free meanwhile, and the queue may be freed.
 * False: `deadline_ns` has passed. Not on the client thread. */
bool send_queue_wait_for_space(struct tributary_session *session, struct send_queue *queue,
                               int64_t deadline_ns);

/* Wakes all threads that wait for space, because emitting fails from now on. */
void send_queues_wake_waiters(struct tributary_session *session);

/* Whether no message waits to be sent. Shared events that are held do not count. */
bool send_queues_are_empty(const struct tributary_session *session);

/* Counts a sent message as confirmed or dropped, and releases it. It must be in no list. True: call
 * writable() for *activation_out, which may be SHARED_QUEUE. */
bool send_queues_complete(struct tributary_session *session, struct batch *batch, bool confirmed,
                          uint64_t *activation_out);

/* Handles a sent message that must be sent again. A shared message goes back into its queue, in
 * front of those that were emitted later; another one is dropped. It must be in no list. */
void send_queues_requeue(struct tributary_session *session, struct batch *batch);

#endif
