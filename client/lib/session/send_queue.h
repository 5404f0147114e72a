/* lanes.h - the queues of a session. The caller holds the session's lock, except where the comment
 * says otherwise. */
#ifndef TRIBUTARY_CLIENT_SEND_QUEUE_H
#define TRIBUTARY_CLIENT_SEND_QUEUE_H

#include "client/lib/session/session_state.h"

/* NULL: out of memory. */
struct send_queue *send_queue_open(struct tributary_session *session, uint64_t id);
/* NULL: no such activation, or it has ended */
struct send_queue *send_queue_find(const struct tributary_session *session, uint64_t id);
/* the same, also where its end still waits to be sent */
struct send_queue *send_queue_find_any(const struct tributary_session *session, uint64_t id);

bool send_queue_is_full(const struct tributary_session *session, const struct send_queue *queue, size_t size);

/* The lane must not be full. `size` is event_size(). False: out of memory. */
bool send_queue_add(struct tributary_session *session, struct send_queue *queue,
                    const struct tributary_event *event, size_t size);

/* Queues the end behind everything else; nothing more can be emitted. False: out of memory, and
 * nothing changed. */
bool send_queue_end(struct tributary_session *session, struct send_queue *queue, enum tributary_code code,
                    const char *message);

/* Whether the lane may send, after it changed; true: somebody must wake the client thread. */
bool send_queue_touch(struct tributary_session *session, struct send_queue *queue);

/* What is queued is dropped, and the lane goes with its last unconfirmed message: do not touch it
 * afterwards. */
void send_queue_drop(struct tributary_session *session, struct send_queue *queue);

/* Drops what waits in it and keeps it. */
void send_queue_clear(struct tributary_session *session, struct send_queue *queue);

/* The next message to send, or NULL: then *linger_until_ns is when to look again (INT64_MAX: when
 * something is emitted). */
struct batch *send_queues_next(struct tributary_session *session, int64_t now_ns, int64_t *linger_until_ns);

/* Nothing waits to be sent; held shared events do not count. */
bool send_queues_are_empty(const struct tributary_session *session);

/* The message was dealt with, or dropped. It must stand in no list. Returns the lane where
 * writable() is to be called, SHARED_QUEUE included, in *capacity_out; false: nowhere. */
bool send_queues_complete(struct tributary_session *session, struct batch *batch, bool confirmed,
                          uint64_t *capacity_out);

/* The stream is lost: shared messages go back to the front of their queue. `batch` comes from the
 * back of what was sent. */
void send_queues_requeue(struct tributary_session *session, struct batch *batch);

#endif
