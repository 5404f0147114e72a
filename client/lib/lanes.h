/* lanes.h - the queues of a session. The caller holds the session's lock, except where the comment says otherwise. */
#ifndef TRIBUTARY_CLIENT_LANES_H
#define TRIBUTARY_CLIENT_LANES_H

#include "client/lib/session_state.h"

/* NULL: out of memory. */
struct lane *lane_open(struct tributary_session *session, uint64_t id);
struct lane *lane_find(const struct tributary_session *session, uint64_t id); /* NULL: no such activation, or it has ended */
struct lane *lane_look(const struct tributary_session *session, uint64_t id); /* the same, also where its end still waits to be sent */

bool lane_is_full(const struct tributary_session *session, const struct lane *lane, size_t size);

/* The lane must not be full. `size` is event_size(). False: out of memory. */
bool lane_add(struct tributary_session *session, struct lane *lane, const struct tributary_event *event, size_t size);

/* Queues the end behind everything else; nothing more can be emitted. False: out of memory, and nothing changed. */
bool lane_end(struct tributary_session *session, struct lane *lane, enum tributary_code code, const char *message);

/* Whether the lane may send, after it changed; true: somebody must wake the client thread. */
bool lane_touch(struct tributary_session *session, struct lane *lane);

/* What is queued is dropped, and the lane goes with its last unconfirmed message: do not touch it afterwards. */
void lane_drop(struct tributary_session *session, struct lane *lane);

/* Drops what waits in it and keeps it. */
void lane_clear(struct tributary_session *session, struct lane *lane);

/* The next message to send, or NULL: then *linger_until_ns is when to look again (INT64_MAX: when something is emitted). */
struct batch *lanes_take(struct tributary_session *session, int64_t now_ns, int64_t *linger_until_ns);

/* Nothing waits to be sent; held shared events do not count. */
bool lanes_are_empty(const struct tributary_session *session);

/* The message was dealt with, or dropped. It must stand in no list. Returns the lane where room() is to be called, SHARED_LANE included, in
 * *room_out; false: nowhere. */
bool lanes_settle(struct tributary_session *session, struct batch *batch, bool confirmed, uint64_t *room_out);

/* The stream is lost: shared messages go back to the front of their queue. `batch` comes from the back of what was sent. */
void lanes_take_back(struct tributary_session *session, struct batch *batch);

#endif
