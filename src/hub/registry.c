/* registry.c - the registry: who is known by which name, how many may be, when a producer is forgotten, and how it all drains.
 *
 * DESIGN (forgetting): a transient producer is forgotten some time after its last call ended, and calls end on any thread, often one per
 * message. So an ending call only notes the time. The loop keeps every inlet without a call in a heap, under the earliest moment when it
 * may go, and looks again at that moment: used meanwhile, it is put back for later; in use, it leaves the heap, and the call that leaves it
 * last brings it back with a post. A producer that publishes with a call per message thus costs the loop one look per forgetting time, not
 * one per call. */
#include "hub/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"

void peer_copy(char peer[PEER_ROOM], const char *from)
{
    size_t size = from ? strnlen(from, PEER_ROOM - 1) : 0;

    if (size > 0)
        memcpy(peer, from, size);
    peer[size] = '\0';
}

/* ---- producers: their making, their names, their end ---- */

enum err producer_init(struct producer *producer, struct hub *hub, struct bytes name, const char *peer)
{
    if (inlet_init(&producer->inlet, name, INLET_OPEN) != ERR_OK)
        return ERR_NO_MEMORY;
    if (hub->keeps_history)
        producer->inlet.history = history_new(); /* without memory there is none */
    producer->hub = hub;
    producer->name.key = source_name(producer->inlet.source);
    list_init(&producer->left);
    peer_copy(producer->peer, peer);
    return ERR_OK;
}

void producer_fini(struct producer *producer)
{
    CHECK(!producer->named && !heap_holds(&producer->idle));
    inlet_fini(&producer->inlet);
}

struct producer *producer_find(struct hub *hub, struct bytes name)
{
    struct map_node *node = map_find(&hub->producers, name);

    return node ? container_of(node, struct producer, name) : NULL;
}

/* Room for one more producer in the sorted list, so that looking never needs memory. */
static bool room_by_name(struct hub *hub)
{
    size_t room = MAX_OF(hub->by_name_room * 2, 64u);
    struct producer **by_name;

    if (hub->producers.count < hub->by_name_room)
        return true;
    by_name = reallocarray(hub->by_name, room, sizeof(struct producer *));
    if (!by_name)
        return false;
    hub->by_name = by_name;
    hub->by_name_room = room;
    return true;
}

enum fault_reason registry_reserve(struct hub *hub, struct fault *fault)
{
    char bound[32];

    if (hub->producers.count >= hub->limits.producers_most) {
        snprintf(bound, sizeof(bound), "at most %u", hub->limits.producers_most);
        return fault_set(fault, FAULT_TOO_MANY_PRODUCERS, NULL, bound);
    }
    return room_by_name(hub) ? FAULT_NONE : fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
}

enum err producer_publish(struct producer *producer, uint32_t open_calls)
{
    struct hub *hub = producer->hub;
    enum err err;

    pthread_mutex_lock(&hub->names);
    err = map_add(&hub->producers, &producer->name);
    if (err == ERR_OK)
        producer->open_calls = open_calls;
    pthread_mutex_unlock(&hub->names);
    if (err != ERR_OK)
        return err;
    producer->named = true;
    hub->sorted = false;
    count_add(COUNT_LIVE_PRODUCERS, 1);
    return ERR_OK;
}

/* Under `names`. */
static void unpublish(struct producer *producer)
{
    map_remove(&producer->hub->producers, &producer->name);
    producer->named = false;
    producer->hub->sorted = false;
    count_add(COUNT_LIVE_PRODUCERS, -1);
}

void producer_unpublish(struct producer *producer)
{
    if (!producer->named)
        return;
    pthread_mutex_lock(&producer->hub->names);
    unpublish(producer);
    pthread_mutex_unlock(&producer->hub->names);
}

static void log_removed(const struct producer *producer, const char *why)
{
    const struct inlet *inlet = &producer->inlet;

    log_write(LOG_INFO, "producer.removed", LOG_BYTES("producer", source_name(inlet->source)), LOG_NUMBER("epoch", inlet->source->epoch),
              LOG_TEXT("why", why), LOG_NUMBER("events", inlet->published.events), LOG_NUMBER("bytes", inlet->published.bytes),
              LOG_NUMBER("subscriptions", inlet->outlet_count));
}

static void transient_free(struct producer *producer)
{
    producer_fini(producer);
    free(producer);
}

void transient_remove(struct producer *producer, const char *why)
{
    struct hub *hub = producer->hub;

    pthread_mutex_lock(&hub->names);
    unpublish(producer);
    heap_remove(&hub->idle, &producer->idle);
    list_remove(&producer->left);
    producer->removed = true;
    producer->open_calls++; /* for as long as this takes */
    pthread_mutex_unlock(&hub->names);
    inlet_move(&producer->inlet, INLET_REMOVED);
    log_removed(producer, why);
    outlets_close(producer, PRODUCER_REMOVED, 0, NULL);
    inlet_leave(&producer->inlet);
}

/* ---- forgetting ---- */

static int64_t forget_at_ns(const struct producer *producer)
{
    int64_t forget_ns = producer->hub->limits.transient_forget_ns;

    return producer->left_ns > INT64_MAX - forget_ns ? INT64_MAX : producer->left_ns + forget_ns;
}

/* Takes a producer that nobody can find any more out of every route. */
static void forget(struct producer *producer)
{
    log_removed(producer, "FORGOTTEN");
    outlets_close(producer, PRODUCER_REMOVED, 0, NULL);
    transient_free(producer);
}

/* Sets the timer to the earliest look. Where that fails, the next producer that falls idle tries again. */
static void arm(struct hub *hub)
{
    struct heap_node *first = heap_first(&hub->idle);

    if (!first)
        timer_stop(&hub->forget);
    else if (timer_start(hub->loop, &hub->forget, MAX_OF(first->key - clock_mono_ns(), 0)) != ERR_OK)
        log_write(LOG_WARN, "producers.not_forgotten", LOG_TEXT("why", "out of memory"));
}

/* Decides about one producer whose moment may have come. Returns true when it is to be forgotten: then it is out of the map. */
static bool look(struct hub *hub, struct producer *producer, int64_t now_ns)
{
    bool gone = false;

    pthread_mutex_lock(&hub->names);
    if (producer->open_calls > 0) {
        heap_remove(&hub->idle, &producer->idle);
        producer->watched = false;
    } else if (forget_at_ns(producer) > now_ns) {
        CHECK(heap_set(&hub->idle, &producer->idle, forget_at_ns(producer)) == ERR_OK); /* it is in: nothing is allocated */
    } else {
        heap_remove(&hub->idle, &producer->idle);
        unpublish(producer);
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

        if (look(hub, producer, now_ns))
            forget(producer);
    }
    arm(hub);
}

/* Loop: producers that fell idle are watched from now on. */
static void watch_left(struct task *task)
{
    struct hub *hub = container_of(task, struct hub, task);
    struct list *node;

    if (hub->freed) {
        free(hub);
        return;
    }
    pthread_mutex_lock(&hub->names);
    hub->task_posted = false;
    while ((node = list_first(&hub->left))) {
        struct producer *producer = container_of(node, struct producer, left);

        list_remove(node);
        /* Unwatched, it comes back with its next call; until then it only takes its place. */
        if (heap_set(&hub->idle, &producer->idle, forget_at_ns(producer)) != ERR_OK)
            producer->watched = false;
    }
    pthread_mutex_unlock(&hub->names);
    arm(hub);
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

/* Under `names`: the loop watches it from now on. */
static void watch(struct producer *producer)
{
    struct hub *hub = producer->hub;

    producer->left_ns = clock_mono_ns();
    if (producer->watched)
        return;
    producer->watched = true;
    list_append(&hub->left, &producer->left);
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
        watch(producer);
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

/* First the routes, then the name: who finds it can publish at once, and everybody gets it. A transient producer makes no activations. */
static enum err introduce(struct producer *producer)
{
    struct list none;

    list_init(&none);
    if (join_subscriptions(producer, &none) == ERR_OK && producer_publish(producer, 1) == ERR_OK)
        return ERR_OK;
    outlets_close(producer, PRODUCER_REMOVED, 0, NULL);
    return ERR_NO_MEMORY;
}

enum fault_reason hub_inlet_open(struct hub *hub, struct bytes name, const char *peer, struct inlet **inlet_out, struct fault *fault)
{
    struct inlet *inlet = hub_inlet_find(hub, name, peer);
    struct producer *producer;

    if (inlet) {
        *inlet_out = inlet;
        return FAULT_NONE;
    }
    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (producer_find(hub, name))
        return fault_bytes(fault, FAULT_NAME_TAKEN, "producer", name, "a registered session has it");
    if (registry_reserve(hub, fault) != FAULT_NONE)
        return fault->reason;
    producer = transient_new(hub, name, peer);
    if (producer && introduce(producer) != ERR_OK) {
        transient_free(producer);
        producer = NULL;
    }
    if (!producer)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    log_write(LOG_INFO, "producer.added", LOG_BYTES("producer", name), LOG_NUMBER("epoch", producer->inlet.source->epoch),
              LOG_TEXT("peer", peer), LOG_NUMBER("subscriptions", producer->inlet.outlet_count));
    *inlet_out = &producer->inlet;
    return FAULT_NONE;
}

enum fault_reason hub_remove(struct hub *hub, struct bytes name, int64_t drain_ns,
                             void (*each)(void *ctx, const struct producer_view *view), void *ctx, struct fault *fault)
{
    enum fault_reason reason = hub_producer(hub, name, each, ctx, fault);
    struct producer *producer = producer_find(hub, name);

    if (reason != FAULT_NONE)
        return reason;
    if (producer->session)
        session_remove(producer->session, drain_ns);
    else
        transient_remove(producer, "REMOVED");
    return FAULT_NONE;
}

void history_begin(struct hub *hub)
{
    struct map_node *node = NULL;

    if (hub->keeps_history)
        return;
    hub->keeps_history = true;
    while ((node = map_next(&hub->producers, node))) {
        struct inlet *inlet = &container_of(node, struct producer, name)->inlet;

        pthread_mutex_lock(&inlet->lock);
        inlet->history = history_new();
        pthread_mutex_unlock(&inlet->lock);
    }
}

/* ---- the whole ---- */

void hub_drain(struct hub *hub, int64_t drain_ns, void (*emptied)(void *ctx), void *ctx)
{
    int64_t now_ns = clock_mono_ns();
    int64_t deadline_ns = drain_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + drain_ns;
    bool first = !atomic_exchange(&hub->draining, true);
    struct map_node *node = NULL;

    if (first)
        log_write(LOG_INFO, "hub.draining", LOG_NUMBER("drain_ms", drain_ns / NS_PER_MS), LOG_NUMBER("producers", hub->producers.count),
                  LOG_NUMBER("subscriptions", hub->ids.count));
    while ((node = map_next(&hub->producers, node)))
        inlet_move(&container_of(node, struct producer, name)->inlet, INLET_CLOSED);
    /* The activations hear of it through their subscriptions, and then their sessions as such. */
    ctx_drain(&hub->ctx, FAULT_DRAINING, deadline_ns);
    sessions_drain(hub, deadline_ns);
    /* Set only now: a subscription that ended right away must not report the hub empty while its tree is still being walked. */
    if (first) {
        hub->emptied = emptied;
        hub->emptied_ctx = ctx;
        hub_subscription_gone(hub);
    }
}

bool hub_draining(const struct hub *hub)
{
    return atomic_load(&hub->draining);
}

void hub_subscription_gone(struct hub *hub)
{
    void (*emptied)(void *ctx) = hub->emptied;

    if (!emptied || hub->ids.count > 0)
        return;
    hub->emptied = NULL;
    sessions_cut(hub);
    emptied(hub->emptied_ctx);
}

struct status hub_new(struct loop *loop, const struct hub_limits *limits, struct hub **hub_out)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        return (struct status){ERR_NO_MEMORY, 0, "allocate a hub"};
    hub->loop = loop;
    hub->limits = *limits;
    CHECK(limits->transient_forget_ns >= 0);
    CHECK(pthread_mutex_init(&hub->names, NULL) == 0);
    map_init(&hub->producers);
    map_init(&hub->ids);
    list_init(&hub->left);
    list_init(&hub->subscriptions);
    list_init(&hub->sessions);
    hub->task.run = watch_left;
    hub->forget.fired = forget_due;
    hub->due_timer.fired = activations_due;
    hub->dice = clock_epoch_ns();
    ctx_init(&hub->ctx, NULL, NULL, INT64_MAX);
    *hub_out = hub;
    return STATUS_OK;
}

void hub_free(struct hub *hub)
{
    struct map_node *node;

    if (!hub)
        return;
    CHECK(hub->ids.count == 0 && list_empty(&hub->sessions));
    timer_stop(&hub->forget);
    timer_stop(&hub->due_timer);
    while ((node = map_next(&hub->producers, NULL))) {
        struct producer *producer = container_of(node, struct producer, name);

        CHECK(producer->open_calls == 0);
        heap_remove(&hub->idle, &producer->idle);
        producer_unpublish(producer);
        forget(producer);
    }
    ctx_fini(&hub->ctx);
    map_fini(&hub->producers);
    map_fini(&hub->ids);
    heap_fini(&hub->idle);
    heap_fini(&hub->due);
    free(hub->by_name);
    pthread_mutex_destroy(&hub->names);
    if (hub->task_posted)
        hub->freed = true;
    else
        free(hub);
}
