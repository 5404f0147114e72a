/* lanes.c - the queues of a session: events go in by activation on any thread, messages come out in turn on the client thread.
 *
 * DESIGN. A lane is in the map while events may be emitted for it, in `lanes` for as long as it exists, and in `ready` while it has
 * something to send and is not paused. A message is in exactly one place: filled or queued in its lane, or in the session's `sent`, where
 * the lane counts it as unconfirmed. A lane that is gone from the map lives until that count is zero, since its messages point to it. */
#include "client/lib/lanes.h"

#include <stdlib.h>

#include "client/lib/encode.h"
#include "client/lib/session_words.h"

#define ROOM_LEAST 1024u
#define LOAD_EVENTS 256u  /* a message with this many events, */
#define LOAD_BYTES 16384u /* or bytes, is well filled */

static struct batch *first_queued(const struct lane *lane)
{
    return list_empty(&lane->queued) ? NULL : container_of(lane->queued.next, struct batch, node);
}

struct lane *lane_open(struct tributary_session *session, uint64_t id)
{
    struct lane *lane = calloc(1, sizeof(*lane));

    if (lane == NULL)
        return NULL;
    lane->id = id;
    lane->room_guess = ROOM_LEAST;
    lane->node.key = (struct bytes){(const uint8_t *)&lane->id, sizeof(lane->id)};
    if (map_add(&session->by_id, &lane->node) != ERR_OK) {
        free(lane);
        return NULL;
    }
    list_init(&lane->ready);
    list_init(&lane->queued);
    list_append(&session->lanes, &lane->link);
    if (id != SHARED_LANE)
        session->figures.activations++;
    return lane;
}

struct lane *lane_look(const struct tributary_session *session, uint64_t id)
{
    struct map_node *node = map_find(&session->by_id, (struct bytes){(const uint8_t *)&id, sizeof(id)});

    return node != NULL ? container_of(node, struct lane, node) : NULL;
}

struct lane *lane_find(const struct tributary_session *session, uint64_t id)
{
    struct lane *lane = lane_look(session, id);

    return lane != NULL && !lane->ended ? lane : NULL;
}

bool lane_is_full(const struct tributary_session *session, const struct lane *lane, size_t size)
{
    if (lane->held_events == 0)
        return false;
    return lane->held_events >= session->options.queue_events || lane->held_bytes + size > session->options.queue_bytes;
}

static void close_filling(struct lane *lane)
{
    if (lane->filling == NULL)
        return;
    lane->room_guess = MAX_OF(lane->filling->size, ROOM_LEAST);
    list_append(&lane->queued, &lane->filling->node);
    lane->filling = NULL;
}

static struct batch *begin_message(struct lane *lane, size_t least)
{
    uint8_t head[LANE_HEAD_MOST];
    const size_t size = session_write_head(head, lane->id);
    struct batch *batch = batch_new_after((struct tributary_bytes){head, size}, MAX_OF(lane->room_guess, size + least));

    if (batch != NULL) {
        batch->lane = lane;
        batch->born_ns = clock_mono_ns();
    }
    return batch;
}

bool lane_add(struct tributary_session *session, struct lane *lane, const struct tributary_event *event, size_t size)
{
    const size_t field_size = event_field_size(size);
    struct batch *batch = lane->filling;

    if (batch != NULL && (batch->size + field_size > session->options.batch_bytes || batch->events >= session->options.batch_events)) {
        close_filling(lane);
        batch = NULL;
    }
    if (batch == NULL && (batch = begin_message(lane, field_size)) == NULL)
        return false;
    if (!batch_add(batch, event, size)) {
        if (batch != lane->filling)
            batch_release(batch);
        return false;
    }
    lane->filling = batch;
    lane->held_bytes += field_size;
    lane->held_events++;
    session->figures.accepted++;
    session->figures.bytes += field_size;
    return true;
}

static void leave_map(struct tributary_session *session, struct lane *lane)
{
    if (lane->gone)
        return;
    lane->gone = true;
    map_remove(&session->by_id, &lane->node);
    if (lane->id != SHARED_LANE)
        session->figures.activations--;
}

bool lane_end(struct tributary_session *session, struct lane *lane, enum tributary_code code, const char *message)
{
    struct buf request = {0};
    struct batch *batch = NULL;

    (void)session;
    session_write_end(&request, lane->id, code, message);
    if (!request.broken)
        batch = batch_new_after((struct tributary_bytes){request.at, request.size}, 0);
    buf_fini(&request);
    if (batch == NULL)
        return false;
    batch->lane = lane;
    close_filling(lane);
    list_append(&lane->queued, &batch->node);
    lane->ended = true;
    return true;
}

static bool is_loaded(const struct batch *batch)
{
    return batch != NULL && (batch->events >= LOAD_EVENTS || batch->size >= LOAD_BYTES);
}

/* A small message right after a well filled one waits for more, for a moment. */
static bool lingers(const struct tributary_session *session, const struct lane *lane, int64_t now_ns)
{
    return lane->loaded && list_empty(&lane->queued) && !is_loaded(lane->filling) &&
           now_ns < lane->filling->born_ns + session->options.linger_ns;
}

static bool may_send(const struct tributary_session *session, const struct lane *lane)
{
    if (list_empty(&lane->queued) && lane->filling == NULL)
        return false;
    if (lane->id == SHARED_LANE && session->hold_shared)
        return false;
    return !lane->paused;
}

bool lane_touch(struct tributary_session *session, struct lane *lane)
{
    if (!may_send(session, lane)) {
        list_remove(&lane->ready);
        return false;
    }
    if (list_empty(&lane->ready))
        list_append(&session->ready, &lane->ready);
    if (session->wake == SESSION_WAKE_NOT)
        return false;
    if (session->wake == SESSION_WAKE_LOAD && lane->loaded && list_empty(&lane->queued) && !is_loaded(lane->filling))
        return false;
    session->wake = SESSION_WAKE_NOT;
    return true;
}

/* Frees it once nothing points to it. */
static void settle_lane(struct lane *lane)
{
    if (!lane->gone || lane->unconfirmed > 0)
        return;
    list_remove(&lane->link);
    free(lane);
}

static void discard(struct tributary_session *session, struct lane *lane, struct batch *batch)
{
    list_remove(&batch->node);
    lane->held_bytes -= batch->events > 0 ? batch_charge(batch) : 0;
    lane->held_events -= batch->events;
    session->figures.dropped += batch->events;
    batch_release(batch);
}

void lane_clear(struct tributary_session *session, struct lane *lane)
{
    struct batch *batch = NULL;

    close_filling(lane);
    while ((batch = first_queued(lane)) != NULL)
        discard(session, lane, batch);
    list_remove(&lane->ready);
    if (session->waiting > 0)
        pthread_cond_broadcast(&session->changed);
}

void lane_drop(struct tributary_session *session, struct lane *lane)
{
    lane_clear(session, lane);
    leave_map(session, lane);
    settle_lane(lane);
}

struct batch *lanes_take(struct tributary_session *session, int64_t now_ns, int64_t *linger_until_ns)
{
    *linger_until_ns = INT64_MAX;
    list_each(node, safe, &session->ready) {
        struct lane *lane = container_of(node, struct lane, ready);

        if (lingers(session, lane, now_ns)) {
            *linger_until_ns = MIN_OF(*linger_until_ns, lane->filling->born_ns + session->options.linger_ns);
            continue;
        }
        if (list_empty(&lane->queued))
            close_filling(lane);

        struct batch *batch = first_queued(lane);

        list_remove(&batch->node);
        list_remove(&lane->ready); /* behind the others, where more waits */
        lane->loaded = is_loaded(batch);
        lane->unconfirmed++;
        session->wake = SESSION_WAKE_NOT;
        lane_touch(session, lane);
        if (batch->events == 0)
            leave_map(session, lane); /* its end: nothing follows */
        return batch;
    }
    session->wake = *linger_until_ns == INT64_MAX ? SESSION_WAKE_FIRST : SESSION_WAKE_LOAD;
    return NULL;
}

bool lanes_are_empty(const struct tributary_session *session)
{
    list_each(node, safe, &session->lanes) {
        const struct lane *lane = container_of(node, struct lane, link);

        if (lane->id == SHARED_LANE && session->hold_shared)
            continue;
        if (!list_empty(&lane->queued) || lane->filling != NULL)
            return false;
    }
    return true;
}

bool lanes_settle(struct tributary_session *session, struct batch *batch, bool confirmed, uint64_t *room_out)
{
    struct lane *lane = batch->lane;
    bool room = false;

    lane->unconfirmed--;
    lane->held_bytes -= batch->events > 0 ? batch_charge(batch) : 0;
    lane->held_events -= batch->events;
    if (confirmed)
        session->figures.confirmed += batch->events;
    else
        session->figures.dropped += batch->events;
    if (lane->full && lane->held_bytes <= session->options.queue_bytes / 2 && lane->held_events <= session->options.queue_events / 2) {
        lane->full = false;
        *room_out = lane->id;
        room = !lane->gone && !lane->ended;
    }
    batch_release(batch);
    settle_lane(lane);
    if (session->waiting > 0)
        pthread_cond_broadcast(&session->changed);
    return room;
}

void lanes_take_back(struct tributary_session *session, struct batch *batch)
{
    struct lane *lane = batch->lane;
    uint64_t unused = 0;

    if (lane->id != SHARED_LANE) {
        lanes_settle(session, batch, false, &unused);
        return;
    }
    lane->unconfirmed--;
    list_append(lane->queued.next, &batch->node); /* before the first */
}
