/* transient.c - transient producers: they exist as long as somebody publishes, and a while longer.
 *
 * DESIGN (forgetting): a transient producer is forgotten some time after its last call has ended.
 * Calls end on any thread, often one per message, so the end of a call only notes the time. The
 * loop keeps every producer without a call in a heap, by the earliest moment at which it may be
 * forgotten, and checks it at that moment. If it was used meanwhile it is put back for later. If a
 * call is open it leaves the heap, and the last call to leave it brings it back with a post. So a
 * producer that publishes with a call per message costs the loop one check per forgetting time, not
 * one per call. */
#include "hub/transient.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "flow/producer_state.h"
#include "hub/bind_rest.h"
#include "hub/binding.h"
#include "hub/bindings_close.h"
#include "hub/hub.h"
#include "hub/hub_parts.h"
#include "hub/hub_query.h"
#include "hub/producer.h"
#include "hub/producer_change.h"
#include "hub/producer_internal.h"
#include "hub/ready.h"
#include "hub/registry.h"
#include "loop/loop.h"
#include "route/inlet.h"

/* Producers of which one step takes note, under the lock that every call needs. */
#define STEP_PRODUCERS 16

static const struct producer_kind transient_kind;

struct transients {
    /* Any thread, under the registry's lock. */
    struct list newly_idle; /* producers without a call that the loop does not watch yet */
    bool task_posted;       /* `task` is posted, or `watch_slice` waits */

    /* Loop only. */
    struct hub *hub;
    struct task task; /* takes over `newly_idle` */
    bool freed;       /* transients_free() found the task posted: the task frees this */
    struct heap idle; /* producers by the earliest moment at which they may be forgotten */
    struct timer forget;
    struct slice watch_slice, forget_slice;
};

struct transient {
    struct producer producer;

    /* Any thread, under the registry's lock. */
    uint32_t open_calls;
    bool watched;           /* in transients->idle or ->newly_idle */
    bool removed;           /* no longer in the map: the last call frees it */
    int64_t idle_since_ns;  /* when the last call ended */
    struct list newly_idle; /* in transients->newly_idle */

    struct heap_node idle; /* loop only */
};

static struct transient *transient_of(const struct producer *producer)
{
    return container_of(producer, struct transient, producer);
}

static struct transients *transients_of(const struct transient *transient)
{
    return hub_transients(transient->producer.hub);
}

static void report_removed(struct producer *producer, const char *reason)
{
    const struct inlet *inlet = &producer->inlet;

    log_write(LOG_INFO, "producer.removed", LOG_BYTES("producer", source_name(inlet->source)),
              LOG_NUMBER("epoch", inlet->source->epoch), LOG_TEXT("reason", reason),
              LOG_NUMBER("events", inlet->published.events), LOG_NUMBER("bytes", inlet->published.bytes),
              LOG_NUMBER("subscriptions", inlet_subscriptions(inlet)));
    producer_removed(producer, reason);
}

static void transient_free(struct transient *transient)
{
    CHECK(!heap_holds(&transient->idle));
    producer_fini(&transient->producer);
    free(transient);
}

/* ---- forgetting ---- */

static int64_t forget_at_ns(const struct transients *transients, const struct transient *transient)
{
    return clock_add_ns(transient->idle_since_ns,
                        loop_settings(hub_loop(transients->hub))->transient_forget_ns);
}

static void forgotten(struct producer *producer)
{
    transient_free(transient_of(producer));
}

/* Takes a producer that nobody can find any more out of all its routes, and frees it. */
static void forget(struct transient *transient)
{
    const struct bindings_end end = {.state = PRODUCER_REMOVED, .ended = forgotten};

    report_removed(&transient->producer, "FORGOTTEN");
    if (bindings_end(&transient->producer, &end))
        transient_free(transient);
}

/* Sets the timer to the earliest moment. Where that fails, the next producer that becomes idle
 * tries again. */
static void set_timer(struct transients *transients)
{
    struct heap_node *first = heap_first(&transients->idle);

    if (!first)
        timer_stop(&transients->forget);
    else if (timer_start(hub_loop(transients->hub), &transients->forget,
                         MAX_OF(first->key - clock_mono_ns(), 0)) != ERR_OK)
        log_write(LOG_WARN, "producers.not_forgotten", LOG_TEXT("reason", "out of memory"));
}

/* Decides about one producer whose moment may have come. Returns true when it is to be forgotten;
 * then it is out of the map. */
static bool unpublish_if_idle(struct transients *transients, struct transient *transient, int64_t now_ns)
{
    struct registry *registry = transient->producer.registry;
    bool gone = false;

    pthread_mutex_lock(&registry->lock);
    if (transient->open_calls > 0) {
        heap_remove(&transients->idle, &transient->idle);
        transient->watched = false;
    } else if (forget_at_ns(transients, transient) > now_ns) {
        /* it is in the heap: nothing is allocated */
        CHECK(heap_set(&transients->idle, &transient->idle, forget_at_ns(transients, transient)) == ERR_OK);
    } else {
        heap_remove(&transients->idle, &transient->idle);
        registry_remove_locked(&transient->producer);
        gone = true;
    }
    pthread_mutex_unlock(&registry->lock);
    return gone;
}

/* Decides about the next producer whose moment has come. */
static bool forget_step(struct slice *slice)
{
    struct transients *transients = container_of(slice, struct transients, forget_slice);
    struct heap_node *first = heap_first(&transients->idle);
    int64_t now_ns = clock_mono_ns();

    if (first && first->key <= now_ns) {
        struct transient *transient = container_of(first, struct transient, idle);

        if (unpublish_if_idle(transients, transient, now_ns))
            forget(transient);
        return true;
    }
    set_timer(transients);
    return false;
}

static void forget_due(struct timer *timer)
{
    struct transients *transients = container_of(timer, struct transients, forget);

    loop_slice(hub_loop(transients->hub), &transients->forget_slice);
}

/* From now on some of the producers that became idle are watched. */
static bool watch_step(struct slice *slice)
{
    struct transients *transients = container_of(slice, struct transients, watch_slice);
    struct registry *registry = hub_registry(transients->hub);
    struct list *node;
    bool more;

    pthread_mutex_lock(&registry->lock);
    for (int i = 0; i < STEP_PRODUCERS && (node = list_first(&transients->newly_idle)); i++) {
        struct transient *transient = container_of(node, struct transient, newly_idle);

        list_remove(node);
        /* Without memory the producer is not watched until its next call ends; until then it is
         * merely not forgotten. */
        if (heap_set(&transients->idle, &transient->idle, forget_at_ns(transients, transient)) != ERR_OK)
            transient->watched = false;
    }
    more = !list_empty(&transients->newly_idle);
    transients->task_posted = more;
    pthread_mutex_unlock(&registry->lock);
    if (!more)
        set_timer(transients);
    return more;
}

static void watch_newly_idle(struct task *task)
{
    struct transients *transients = container_of(task, struct transients, task);

    if (transients->freed)
        free(transients);
    else
        loop_slice(hub_loop(transients->hub), &transients->watch_slice);
}

/* ---- calls that publish ---- */

struct inlet *hub_inlet_find(struct hub *hub, struct bytes name, const char *peer)
{
    struct registry *registry = hub_registry(hub);
    struct producer *producer;

    pthread_mutex_lock(&registry->lock);
    producer = registry_find(registry, name);
    if (producer && producer->kind != &transient_kind)
        producer = NULL;
    if (producer) {
        transient_of(producer)->open_calls++;
        peer_copy(producer->peer, peer);
    }
    pthread_mutex_unlock(&registry->lock);
    return producer ? &producer->inlet : NULL;
}

/* Under the registry's lock. Asks the loop to watch the producer from now on. */
static void report_idle(struct transient *transient)
{
    struct transients *transients = transients_of(transient);

    transient->idle_since_ns = clock_mono_ns();
    if (transient->watched)
        return;
    transient->watched = true;
    list_append(&transients->newly_idle, &transient->newly_idle);
    if (transients->task_posted)
        return;
    transients->task_posted = true;
    loop_post(hub_loop(transients->hub), &transients->task);
}

void inlet_leave(struct inlet *inlet)
{
    struct transient *transient = transient_of(container_of(inlet, struct producer, inlet));
    struct registry *registry = transient->producer.registry;
    bool last;

    pthread_mutex_lock(&registry->lock);
    CHECK(transient->open_calls > 0);
    last = --transient->open_calls == 0;
    if (last && !transient->removed)
        report_idle(transient);
    last = last && transient->removed;
    pthread_mutex_unlock(&registry->lock);
    if (last)
        transient_free(transient);
}

static struct transient *transient_new(struct hub *hub, struct bytes name, const char *peer)
{
    const struct inlet_start start = {.name = name, .epoch = clock_epoch_ns(), .state = INLET_OPEN};
    struct transient *transient = calloc(1, sizeof(*transient));

    if (!transient)
        return NULL;
    if (producer_init(&transient->producer, &transient_kind, hub, hub_registry(hub), &start, peer) !=
        ERR_OK) {
        free(transient);
        return NULL;
    }
    list_init(&transient->newly_idle);
    transient->open_calls = 1; /* its first caller's */
    return transient;
}

/* The routes come first, then the name: a caller that finds the producer can publish at once, and
 * everybody gets it. A transient producer creates no activations. */
static enum err bind_and_publish(struct producer *producer)
{
    struct list none;

    list_init(&none);
    bind_subscriptions(producer, &none, false);
    if (registry_add(producer) == ERR_OK)
        return ERR_OK;
    bindings_close(producer, PRODUCER_REMOVED, 0, NULL);
    return ERR_NO_MEMORY;
}

enum fault_reason hub_inlet_open(struct hub *hub, struct bytes name, const char *peer,
                                 struct peer_key peer_key, struct inlet **inlet_out, struct fault *fault)
{
    struct inlet *inlet = hub_inlet_find(hub, name, peer);
    struct registry *registry = hub_registry(hub);
    struct transient *transient;
    struct producer *holder;

    if (inlet) {
        *inlet_out = inlet;
        return FAULT_NONE;
    }
    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    holder = registry_find(registry, name);
    if (holder) /* a second producer of the same name: see hub_register() */
        return fault_bytes(fault, FAULT_NAME_TAKEN, "producer", name, holder->kind->taken);
    if (registry_reserve(registry, peer_key, NULL, fault) != FAULT_NONE)
        return fault->reason;
    transient = transient_new(hub, name, peer);
    if (transient && (registry_charge(&transient->producer, peer_key, 0) != ERR_OK ||
                      bind_and_publish(&transient->producer) != ERR_OK)) {
        registry_discharge(&transient->producer);
        transient_free(transient);
        transient = NULL;
    }
    ready_run(hub_ready(hub)); /* subscriptions may have ended for want of memory */
    if (!transient)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    inlet = &transient->producer.inlet;
    log_write(LOG_INFO, "producer.added", LOG_BYTES("producer", name),
              LOG_NUMBER("epoch", inlet->source->epoch), LOG_TEXT("peer", peer),
              LOG_NUMBER("subscriptions", inlet_subscriptions(inlet)));
    producer_added(&transient->producer);
    *inlet_out = inlet;
    return FAULT_NONE;
}

/* ---- the kind ---- */

static bool joinable(const struct producer *producer)
{
    (void)producer;
    return true;
}

static void removed(struct producer *producer)
{
    inlet_leave(&producer->inlet);
}

/* Its calls find it removed, and must find their producer again. */
static void remove_now(struct producer *producer, enum fault_reason reason, int64_t drain_ns)
{
    const struct bindings_end end = {.state = PRODUCER_REMOVED, .ended = removed};
    struct transient *transient = transient_of(producer);

    (void)drain_ns; /* nothing waits for its end */
    pthread_mutex_lock(&producer->registry->lock);
    registry_remove_locked(producer);
    heap_remove(&transients_of(transient)->idle, &transient->idle);
    list_remove(&transient->newly_idle);
    transient->removed = true;
    transient->open_calls++; /* until its last binding is gone */
    pthread_mutex_unlock(&producer->registry->lock);
    inlet_set_state(&producer->inlet, INLET_REMOVED);
    report_removed(producer, fault_reason_name(reason));
    if (bindings_end(producer, &end))
        inlet_leave(&producer->inlet);
}

static void query(struct producer *producer, struct producer_view *view)
{
    pthread_mutex_lock(&producer->registry->lock);
    view->open_calls = transient_of(producer)->open_calls;
    pthread_mutex_unlock(&producer->registry->lock);
}

static unsigned state(const struct producer *producer, const struct producer_view *view)
{
    (void)producer;
    if (view->blocked_calls > 0)
        return PRODUCER_BLOCKED;
    return view->open_calls > 0 ? PRODUCER_ACTIVE : PRODUCER_IDLE;
}

static void free_at_end(struct producer *producer)
{
    struct transient *transient = transient_of(producer);

    CHECK(transient->open_calls == 0);
    heap_remove(&transients_of(transient)->idle, &transient->idle);
    registry_remove(producer);
    bindings_close(producer, PRODUCER_REMOVED, 0, NULL);
    transient_free(transient);
}

static const struct producer_kind transient_kind = {
    .name = "TRANSIENT",
    .name_rule = NAME_YIELDED,
    .wildcards = true,
    .joinable = joinable,
    .bind = binding_bind,
    .reselect = binding_reselect,
    .remove = remove_now,
    .query = query,
    .state = state,
    .free = free_at_end,
};

struct transients *transients_new(struct hub *hub)
{
    struct transients *transients = calloc(1, sizeof(*transients));

    if (!transients)
        return NULL;
    list_init(&transients->newly_idle);
    transients->hub = hub;
    transients->task.run = watch_newly_idle;
    transients->forget.fired = forget_due;
    slice_init(&transients->watch_slice, watch_step);
    slice_init(&transients->forget_slice, forget_step);
    return transients;
}

void transients_free(struct transients *transients)
{
    if (!transients)
        return;
    timer_stop(&transients->forget);
    heap_fini(&transients->idle);
    if (transients->task_posted)
        transients->freed = true;
    else
        free(transients);
}
