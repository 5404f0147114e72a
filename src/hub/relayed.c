/* relayed.c - the kind of producers that an endpoint relays: see relays.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "flow/producer_state.h"
#include "hub/binding.h"
#include "hub/bindings_close.h"
#include "hub/hub_parts.h"
#include "hub/hub_query.h"
#include "hub/producer_change.h"
#include "hub/registry.h"
#include "hub/relayed_name.h"
#include "hub/relays_internal.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"
#include "route/inlet.h"

/* ---- making and freeing ---- */

struct bytes relayed_key(uint8_t *at, struct bytes inner, uint64_t epoch)
{
    CHECK(inner.size + sizeof(epoch) <= RELAYED_KEY_BYTES);
    memcpy(at, &epoch, sizeof(epoch));
    if (inner.size > 0)
        memcpy(at + sizeof(epoch), inner.data, inner.size);
    return (struct bytes){at, sizeof(epoch) + inner.size};
}

struct source *relays_origin(const struct relays *relays, struct bytes inner)
{
    uint8_t name[MAX_RELAYED_NAME_BYTES];

    return source_new((struct bytes){name, relayed_name(relays->params.name, inner, name)}, 0);
}

struct relayed *relayed_new(struct relays *relays, struct bytes inner, uint64_t epoch)
{
    uint8_t name[MAX_RELAYED_NAME_BYTES];
    const struct inlet_start start = {.name = {name, relayed_name(relays->params.name, inner, name)},
                                      .epoch = epoch,
                                      .unplaced = true,
                                      .state = INLET_OPEN};
    struct relayed *relayed = calloc(1, sizeof(*relayed) + sizeof(epoch) + inner.size);

    if (!relayed)
        return NULL;
    if (producer_init(&relayed->producer, &relayed_kind, relays->params.hub, hub_registry(relays->params.hub),
                      &start, relays->peer) != ERR_OK) {
        free(relayed);
        return NULL;
    }
    relayed->relays = relays;
    relayed->session = session_retain(relays->session);
    relayed->producer.labels = relays->session->labels;
    relayed->producer.label_count = relays->session->producer.label_count;
    relayed->by_key.key = relayed_key(relayed->key, inner, epoch);
    atomic_init(&relayed->refs, 2);
    atomic_init(&relayed->heard_ns, clock_mono_ns());
    list_init(&relayed->link);
    count_add(COUNT_LIVE_RELAYED, 1);
    return relayed;
}

static void relayed_free(struct relayed *relayed)
{
    producer_fini(&relayed->producer);
    session_release(relayed->session);
    free(relayed->end_message);
    free(relayed);
    count_add(COUNT_LIVE_RELAYED, -1);
}

void relayed_release(struct relayed *relayed)
{
    if (relayed && atomic_fetch_sub_explicit(&relayed->refs, 1, memory_order_acq_rel) == 1)
        relayed_free(relayed);
}

/* ---- its parts ---- */

struct inlet *relayed_inlet(struct relayed *relayed)
{
    return &relayed->producer.inlet;
}

struct bytes relayed_inner(const struct relayed *relayed)
{
    return (struct bytes){relayed->key + sizeof(uint64_t), relayed->by_key.key.size - sizeof(uint64_t)};
}

uint64_t relayed_epoch(const struct relayed *relayed)
{
    return relayed->producer.inlet.source->epoch;
}

struct relay_mark *relayed_mark(struct relayed *relayed)
{
    return &relayed->mark;
}

/* ---- the end ---- */

static void bindings_ended(struct producer *producer)
{
    relayed_release(relayed_of(producer));
}

static void leave_set(struct relayed *relayed)
{
    struct relays *relays = relayed->relays;

    pthread_mutex_lock(&relays->lock);
    map_remove(&relays->by_key, &relayed->by_key);
    pthread_mutex_unlock(&relays->lock);
    list_remove(&relayed->link);
    atomic_fetch_sub_explicit(&relays->count, 1, memory_order_relaxed);
    if (relayed->older)
        relayed->older->newer = NULL;
    if (relayed->newer)
        relayed->newer->older = NULL;
    relayed->older = NULL;
    relayed->newer = NULL;
}

void relayed_end(struct relayed *relayed, const struct source_state *state)
{
    struct producer *producer = &relayed->producer;

    if (relayed->ended)
        return;
    relayed->ended = true;
    relayed->end_message = source_message_copy(state->message);
    const struct bindings_end end = {
        .state = state->state, .code = state->code, .message = relayed->end_message, .ended = bindings_ended};
    leave_set(relayed);
    inlet_set_state(&producer->inlet, INLET_REMOVED);
    log_write(LOG_DEBUG, "relayed.removed", LOG_BYTES("producer", source_name(producer->inlet.source)),
              LOG_NUMBER("epoch", producer->inlet.source->epoch));
    producer_removed(producer, state->state == PRODUCER_ENDED ? "ENDED" : "REMOVED");
    registry_remove(producer);
    if (bindings_end(producer, &end))
        relayed_release(relayed);
}

/* ---- the kind ---- */

static bool joinable(const struct producer *producer)
{
    return session_joinable(&relayed_of(producer)->session->producer);
}

/* As a transient producer it comes back with its next event. */
static void remove_now(struct producer *producer, enum fault_reason reason, int64_t drain_ns)
{
    (void)reason;
    (void)drain_ns;
    relayed_end(relayed_of(producer), &(struct source_state){.state = PRODUCER_REMOVED});
}

static void query(struct producer *producer, struct producer_view *view)
{
    view->is_relayed = true;
    view->open_calls = 1;
    view->labels = producer->labels;
    view->label_count = producer->label_count;
}

static unsigned state(const struct producer *producer, const struct producer_view *view)
{
    const unsigned state = producer->inlet.source_state.state;

    return state == PRODUCER_ACTIVE && view->blocked_calls > 0 ? (unsigned)PRODUCER_BLOCKED : state;
}

const struct producer_kind relayed_kind = {
    .name = "RELAYED",
    .name_rule = NAME_KEPT,
    .taken = "an endpoint relays it",
    .wildcards = true,
    .joinable = joinable,
    .bind = binding_bind,
    .reselect = binding_reselect,
    .remove = remove_now,
    .query = query,
    .state = state,
    .free = session_free_at_end,
};
