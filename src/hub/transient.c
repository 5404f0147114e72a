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
#include "base/log.h"
#include "flow/producer_state.h"
#include "hub/bind.h"
#include "hub/binding.h"
#include "hub/producer.h"
#include "hub/registry.h"
#include "route/inlet.h"

static void log_removed(const struct producer *producer, const char *reason)
{
    const struct inlet *inlet = &producer->inlet;

    log_write(LOG_INFO, "producer.removed", LOG_BYTES("producer", source_name(inlet->source)),
              LOG_NUMBER("epoch", inlet->source->epoch), LOG_TEXT("reason", reason),
              LOG_NUMBER("events", inlet->published.events), LOG_NUMBER("bytes", inlet->published.bytes),
              LOG_NUMBER("subscriptions", inlet->route_count));
}

static void transient_free(struct producer *producer)
{
    producer_fini(producer);
    free(producer);
}

void transient_remove(struct producer *producer, const char *reason)
{
    struct hub *hub = producer->hub;

    pthread_mutex_lock(&hub->names);
    registry_remove_locked(producer);
    heap_remove(&hub->idle, &producer->idle);
    list_remove(&producer->newly_idle);
    producer->removed = true;
    producer->open_calls++; /* until inlet_leave() below */
    pthread_mutex_unlock(&hub->names);
    inlet_set_state(&producer->inlet, INLET_REMOVED);
    log_removed(producer, reason);
    bindings_close(producer, PRODUCER_REMOVED, 0, NULL);
    inlet_leave(&producer->inlet);
}

/* ---- forgetting ---- */

static int64_t forget_at_ns(const struct producer *producer)
{
    int64_t forget_ns = producer->hub->limits.transient_forget_ns;

    return producer->idle_since_ns > INT64_MAX - forget_ns ? INT64_MAX : producer->idle_since_ns + forget_ns;
}

/* Takes a producer that nobody can find any more out of all its routes, and frees it. */
static void forget(struct producer *producer)
{
    log_removed(producer, "FORGOTTEN");
    bindings_close(producer, PRODUCER_REMOVED, 0, NULL);
    transient_free(producer);
}

/* Sets the timer to the earliest moment. Where that fails, the next producer that becomes idle
 * tries again. */
static void set_timer(struct hub *hub)
{
    struct heap_node *first = heap_first(&hub->idle);

    if (!first)
        timer_stop(&hub->forget);
    else if (timer_start(hub->loop, &hub->forget, MAX_OF(first->key - clock_mono_ns(), 0)) != ERR_OK)
        log_write(LOG_WARN, "producers.not_forgotten", LOG_TEXT("reason", "out of memory"));
}

/* Decides about one producer whose moment may have come. Returns true when it is to be forgotten;
 * then it is out of the map. */
static bool unpublish_if_idle(struct hub *hub, struct producer *producer, int64_t now_ns)
{
    bool gone = false;

    pthread_mutex_lock(&hub->names);
    if (producer->open_calls > 0) {
        heap_remove(&hub->idle, &producer->idle);
        producer->watched = false;
    } else if (forget_at_ns(producer) > now_ns) {
        /* it is in the heap: nothing is allocated */
        CHECK(heap_set(&hub->idle, &producer->idle, forget_at_ns(producer)) == ERR_OK);
    } else {
        heap_remove(&hub->idle, &producer->idle);
        registry_remove_locked(producer);
        gone = true;
    }
    pthread_mutex_unlock(&hub->names);
    return gone;
}

static void forget_due(struct timer *timer)
{
    struct hub *hub = container_of(timer, struct hub, forget);
    int64_t now_ns = clock_mono_ns();
    struct heap_node *first;

    while ((first = heap_first(&hub->idle)) && first->key <= now_ns) {
        struct producer *producer = container_of(first, struct producer, idle);

        if (unpublish_if_idle(hub, producer, now_ns))
            forget(producer);
    }
    set_timer(hub);
}

/* Loop. From now on the producers that became idle are watched. */
static void watch_newly_idle(struct task *task)
{
    struct hub *hub = container_of(task, struct hub, task);
    struct list *node;

    if (hub->freed) {
        free(hub);
        return;
    }
    pthread_mutex_lock(&hub->names);
    hub->task_posted = false;
    while ((node = list_first(&hub->newly_idle))) {
        struct producer *producer = container_of(node, struct producer, newly_idle);

        list_remove(node);
        /* Without memory the producer is not watched until its next call ends; until then it is
         * merely not forgotten. */
        if (heap_set(&hub->idle, &producer->idle, forget_at_ns(producer)) != ERR_OK)
            producer->watched = false;
    }
    pthread_mutex_unlock(&hub->names);
    set_timer(hub);
}

/* ---- calls that publish ---- */

struct inlet *hub_inlet_find(struct hub *hub, struct bytes name, const char *peer)
{
    struct producer *producer = NULL;
    struct map_node *node;

    pthread_mutex_lock(&hub->names);
    node = map_find(&hub->producers, name);
    if (node)
        producer = container_of(node, struct producer, name);
    if (producer && producer->session)
        producer = NULL;
    if (producer) {
        producer->open_calls++;
        peer_copy(producer->peer, peer);
    }
    pthread_mutex_unlock(&hub->names);
    return producer ? &producer->inlet : NULL;
}

/* Under `names`. Asks the loop to watch the producer from now on. */
static void report_idle(struct producer *producer)
{
    struct hub *hub = producer->hub;

    producer->idle_since_ns = clock_mono_ns();
    if (producer->watched)
        return;
    producer->watched = true;
    list_append(&hub->newly_idle, &producer->newly_idle);
    if (hub->task_posted)
        return;
    hub->task_posted = true;
    loop_post(hub->loop, &hub->task);
}

void inlet_leave(struct inlet *inlet)
{
    struct producer *producer = container_of(inlet, struct producer, inlet);
    struct hub *hub = producer->hub;
    bool last;

    pthread_mutex_lock(&hub->names);
    CHECK(producer->open_calls > 0);
    last = --producer->open_calls == 0;
    if (last && !producer->removed)
        report_idle(producer);
    last = last && producer->removed;
    pthread_mutex_unlock(&hub->names);
    if (last)
        transient_free(producer);
}

static struct producer *transient_new(struct hub *hub, struct bytes name, const char *peer)
{
    struct producer *producer = calloc(1, sizeof(*producer));

    if (producer && producer_init(producer, hub, name, peer) != ERR_OK) {
        free(producer);
        return NULL;
    }
    return producer;
}

/* The routes come first, then the name: a caller that finds the producer can publish at once, and
 * everybody gets it. A transient producer creates no activations. */
static enum err bind_and_publish(struct producer *producer)
{
    struct list none;

    list_init(&none);
    if (bind_subscriptions(producer, &none) == ERR_OK && registry_add(producer, 1) == ERR_OK)
        return ERR_OK;
    bindings_close(producer, PRODUCER_REMOVED, 0, NULL);
    return ERR_NO_MEMORY;
}

enum fault_reason hub_inlet_open(struct hub *hub, struct bytes name, const char *peer,
                                 struct inlet **inlet_out, struct fault *fault)
{
    struct inlet *inlet = hub_inlet_find(hub, name, peer);
    struct producer *producer;

    if (inlet) {
        *inlet_out = inlet;
        return FAULT_NONE;
    }
    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (producer_find(hub, name)) /* a second producer of the same name: see hub_register() */
        return fault_bytes(fault, FAULT_NAME_TAKEN, "producer", name, "a registered session has it");
    if (registry_reserve(hub, fault) != FAULT_NONE)
        return fault->reason;
    producer = transient_new(hub, name, peer);
    if (producer && bind_and_publish(producer) != ERR_OK) {
        transient_free(producer);
        producer = NULL;
    }
    if (!producer)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    log_write(LOG_INFO, "producer.added", LOG_BYTES("producer", name),
              LOG_NUMBER("epoch", producer->inlet.source->epoch), LOG_TEXT("peer", peer),
              LOG_NUMBER("subscriptions", producer->inlet.route_count));
    *inlet_out = &producer->inlet;
    return FAULT_NONE;
}

void transients_init(struct hub *hub)
{
    list_init(&hub->newly_idle);
    hub->task.run = watch_newly_idle;
    hub->forget.fired = forget_due;
}

void transient_forget(struct producer *producer)
{
    CHECK(producer->open_calls == 0);
    heap_remove(&producer->hub->idle, &producer->idle);
    registry_remove(producer);
    forget(producer);
}
