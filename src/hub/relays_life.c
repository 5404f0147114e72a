/* relays_life.c - the set of the inner sources of one endpoint: see relays.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/chunk.h"
#include "flow/chan_limits.h"
#include "flow/producer_state.h"
#include "hub/bind_rest.h"
#include "hub/bindings_close.h"
#include "hub/hub.h"
#include "hub/hub_parts.h"
#include "hub/producer_change.h"
#include "hub/ready.h"
#include "hub/registry.h"
#include "hub/relayed_name.h"
#include "hub/relays_internal.h"
#include "hub/session_internal.h"
#include "route/inlet.h"
#include "route/inlet_report.h"

/* Sources that one step of a pass visits. */
#define STEP_SOURCES 8u
/* Slots of the map that relays_each() looks at before it gives the lock back; a slot has one source
 * on average. */
#define PAGE_SLOTS 64u

#define MIN_SILENT_CHECK_NS (10 * NS_PER_MS)

static const struct source_state removed = {.state = PRODUCER_REMOVED};

static struct loop *loop_of(const struct relays *relays)
{
    return hub_loop(relays->params.hub);
}

/* ---- passes ---- */

static int64_t forget_ns(const struct relays *relays)
{
    const int64_t each_ns = loop_settings(loop_of(relays))->transient_forget_ns;

    return each_ns > INT64_MAX / FORGET_TIMES ? INT64_MAX : each_ns * FORGET_TIMES;
}

static bool is_end(uint32_t state)
{
    return state == PRODUCER_ENDED || state == PRODUCER_REMOVED;
}

static void report_state(struct relayed *relayed, const struct source_state *state)
{
    struct hub *hub = relayed->relays->params.hub;

    inlet_report_change(hub_wildcards(hub), &relayed->producer.inlet, state);
    producer_changed(&relayed->producer);
    loop_slice_later(hub_loop(hub), hub_report(hub));
}

static void report_down(struct relayed *relayed)
{
    static const struct source_loss gap = {.reason = LOSS_RESUME_GAP, .count_unknown = true};
    const struct relays *relays = relayed->relays;

    if (relays->down_call == 0 || relayed->call > relays->down_call)
        return;
    if (relays->gap)
        (void)inlet_lose(&relayed->producer.inlet, NULL, &gap, false);
    if (is_end(relays->down.state))
        relayed_end(relayed, &relays->down);
    else
        report_state(relayed, &relays->down);
}

static void visit(struct relayed *relayed)
{
    const int64_t heard_ns = atomic_load_explicit(&relayed->heard_ns, memory_order_relaxed);

    if (relayed->relays->closing || clock_mono_ns() - heard_ns > forget_ns(relayed->relays))
        relayed_end(relayed, &removed);
    else
        report_down(relayed);
}

static void set_timer(struct relays *relays)
{
    const int64_t period_ns = MAX_OF(forget_ns(relays) / 4, MIN_SILENT_CHECK_NS);

    if (timer_start(loop_of(relays), &relays->silent, period_ns) != ERR_OK)
        log_write(LOG_WARN, "relayed.not_forgotten", LOG_TEXT("reason", "out of memory"));
}

static void end_pass(struct relays *relays)
{
    free(relays->down_message);
    relays->down_message = NULL;
    relays->down_call = 0;
    relays->gap = false;
    if (relays->closing)
        relays->params.emptied(relays->params.ctx);
    else
        set_timer(relays);
}

static bool pass_step(struct slice *slice)
{
    struct relays *relays = container_of(slice, struct relays, pass);
    struct list *node;

    for (unsigned i = 0; i < STEP_SOURCES && relays->left > 0; i++) {
        node = list_first(&relays->all);
        relays->left = node ? relays->left - 1 : 0;
        if (!node)
            break;
        list_remove(node);
        list_append(&relays->all, node);
        visit(container_of(node, struct relayed, link));
    }
    if (relays->left > 0)
        return true;
    end_pass(relays);
    return false;
}

/* Each source is visited from now on, also where a pass is under way. */
static void begin_pass(struct relays *relays)
{
    timer_stop(&relays->silent);
    relays->left = relays_count(relays);
    loop_slice(loop_of(relays), &relays->pass);
}

static void on_silent(struct timer *timer)
{
    begin_pass(container_of(timer, struct relays, silent));
}

/* ---- the set ---- */

struct relays *relays_new(const struct relays_params *params)
{
    struct relays *relays = calloc(1, sizeof(*relays));

    if (!relays)
        return NULL;
    CHECK(params->name.size <= MAX_CASCADE_NAME_BYTES);
    relays->name = strndup((const char *)params->name.data, params->name.size);
    if (!relays->name) {
        free(relays);
        return NULL;
    }
    relays->params = *params;
    relays->params.name = text_bytes(relays->name);
    relays->params.peer = relays->peer;
    peer_copy(relays->peer, params->peer);
    CHECK(pthread_mutex_init(&relays->lock, NULL) == 0);
    map_init(&relays->by_key);
    list_init(&relays->all);
    slice_init(&relays->pass, pass_step);
    relays->silent.fired = on_silent;
    return relays;
}

void relays_free(struct relays *relays)
{
    if (!relays)
        return;
    CHECK(list_empty(&relays->all));
    timer_stop(&relays->silent);
    slice_stop(&relays->pass);
    map_fini(&relays->by_key);
    pthread_mutex_destroy(&relays->lock);
    free(relays->down_message);
    free(relays->name);
    free(relays);
}

void relays_begin(struct relays *relays, struct session *session)
{
    relays->session = session;
    set_timer(relays);
}

struct relayed *relays_find(struct relays *relays, struct bytes inner, uint64_t epoch)
{
    uint8_t key[RELAYED_KEY_BYTES];
    const struct bytes bytes = relayed_key(key, inner, epoch);
    struct relayed *relayed = NULL;

    pthread_mutex_lock(&relays->lock);
    struct map_node *node = map_find(&relays->by_key, bytes);
    if (node) {
        relayed = container_of(node, struct relayed, by_key);
        atomic_fetch_add_explicit(&relayed->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&relays->lock);
    if (relayed)
        atomic_store_explicit(&relayed->heard_ns, clock_mono_ns(), memory_order_relaxed);
    return relayed;
}

/* Looks at some slots of the map. Returns whether more are left. */
static bool each_of_page(struct relays *relays, size_t *slot,
                         bool (*each)(void *ctx, struct relayed *relayed), void *ctx)
{
    const struct map *map = &relays->by_key;

    for (const size_t end = MIN_OF(*slot + PAGE_SLOTS, map->slot_count); *slot < end; ++*slot)
        for (struct map_node *node = map->slots[*slot]; node; node = node->next)
            if (!each(ctx, container_of(node, struct relayed, by_key)))
                return false;
    return *slot < map->slot_count;
}

/* A table that grows meanwhile has the sources of later slots in later slots, too. */
void relays_each(struct relays *relays, bool (*each)(void *ctx, struct relayed *relayed), void *ctx)
{
    size_t slot = 0;
    bool more = true;

    while (more) {
        pthread_mutex_lock(&relays->lock);
        more = each_of_page(relays, &slot, each, ctx);
        pthread_mutex_unlock(&relays->lock);
    }
}

uint32_t relays_count(const struct relays *relays)
{
    return atomic_load_explicit(&relays->count, memory_order_relaxed);
}

bool relays_are_full(const struct relays *relays)
{
    return relays_count(relays) >= MAX_RELAYED;
}

/* ---- a new source ---- */

/* Whether the source has come back to the server that has it: the other one, or one behind it, is a
 * consumer of this server. Epochs are kept on the way, and no two servers make the same. */
static bool is_own(const struct relays *relays, struct bytes inner, uint64_t epoch)
{
    struct registry *registry = hub_registry(relays->params.hub);

    for (const uint8_t *slash; (slash = memchr(inner.data, '/', inner.size));) {
        inner.size -= (size_t)(slash + 1 - inner.data);
        inner.data = slash + 1;
        const struct producer *producer = registry_find(registry, inner);
        if (producer && producer->inlet.source->epoch == epoch)
            return true;
    }
    return false;
}

static enum fault_reason check(const struct relays *relays, struct bytes name, const struct producer *holder,
                               uint64_t bytes, struct fault *fault)
{
    struct registry *registry = hub_registry(relays->params.hub);
    const struct peer_key peer = relays->params.peer_key;

    if (relays->closing || hub_draining(relays->params.hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (relays_are_full(relays))
        return fault_bytes(fault, FAULT_TOO_MANY, "source", name, "at most 10000 of an endpoint");
    if (holder && holder->kind != &relayed_kind)
        return fault_bytes(fault, FAULT_NAME_TAKEN, "source", name, holder->kind->name);
    if (registry_reserve(registry, peer, holder, fault))
        return fault->reason;
    return registry_check_bytes(registry, peer, holder, bytes, fault);
}

static enum err add_to_set(struct relays *relays, struct relayed *relayed)
{
    pthread_mutex_lock(&relays->lock);
    const enum err err = map_add(&relays->by_key, &relayed->by_key);
    pthread_mutex_unlock(&relays->lock);
    if (err)
        return err;
    list_append(&relays->all, &relayed->link);
    atomic_fetch_add_explicit(&relays->count, 1, memory_order_relaxed);
    return ERR_OK;
}

/* The holder goes on without the name, and the one before it ends. */
static void supersede(struct relayed *relayed, struct producer *holder)
{
    struct relayed *older = holder ? relayed_of(holder) : NULL;

    if (!older || older->ended || older->relays != relayed->relays)
        return;
    if (older->older)
        relayed_end(older->older, &(struct source_state){.state = PRODUCER_ENDED});
    older->newer = relayed;
    relayed->older = older;
}

/* Nobody knows it yet. */
static void discard(struct relayed *relayed)
{
    registry_discharge(&relayed->producer);
    relayed_release(relayed);
    relayed_release(relayed);
}

static void publish(struct relayed *relayed, struct producer *holder)
{
    struct list none;

    list_init(&none);
    bind_subscriptions(&relayed->producer, &none, false);
    if (holder)
        registry_remove(holder);
    CHECK(registry_add(&relayed->producer) == ERR_OK); /* there is space: registry_reserve() */
    supersede(relayed, holder);
}

enum fault_reason relays_open(struct relays *relays, struct bytes inner, uint64_t epoch, uint64_t call,
                              struct relayed **relayed_out, struct fault *fault)
{
    uint8_t text[MAX_RELAYED_NAME_BYTES];
    const struct bytes name = {text, relayed_name(relays->params.name, inner, text)};
    struct producer *holder = registry_find(hub_registry(relays->params.hub), name);
    const uint64_t bytes = sizeof(struct relayed) + sizeof(struct source) + name.size + inner.size;
    struct relayed *relayed;

    if (is_own(relays, inner, epoch))
        return fault_bytes(fault, FAULT_DIALS_ITSELF, "source", inner, "");
    if (check(relays, name, holder, bytes, fault))
        return fault->reason;
    relayed = relayed_new(relays, inner, epoch);
    if (relayed && (registry_charge(&relayed->producer, relays->params.peer_key, bytes) != ERR_OK ||
                    add_to_set(relays, relayed) != ERR_OK)) {
        discard(relayed);
        relayed = NULL;
    }
    if (!relayed)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    relayed->call = call;
    relayed->mark.call = call;
    publish(relayed, holder);
    producer_added(&relayed->producer);
    log_write(LOG_DEBUG, "relayed.added", LOG_BYTES("producer", name), LOG_NUMBER("epoch", epoch));
    ready_run(hub_ready(relays->params.hub)); /* subscriptions may have ended for want of memory */
    *relayed_out = relayed;
    return FAULT_NONE;
}

/* ---- states ---- */

void relayed_report(struct relayed *relayed, uint64_t call, const struct source_state *state)
{
    struct hub *hub = relayed->producer.hub;

    if (relayed->ended)
        return;
    relayed->call = call;
    if (is_end(state->state))
        relayed_end(relayed, state);
    else
        report_state(relayed, state);
    ready_run(hub_ready(hub));
}

void relays_down(struct relays *relays, uint64_t call, const struct source_state *state, bool gap)
{
    char *message = source_message_copy(state->message);

    free(relays->down_message);
    relays->down_message = message;
    relays->down = (struct source_state){state->state, state->code, message};
    relays->down_call = call;
    relays->gap = relays->gap || gap;
    begin_pass(relays);
}

void relays_close(struct relays *relays)
{
    relays->closing = true;
    begin_pass(relays);
}
