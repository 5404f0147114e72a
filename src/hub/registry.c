/* registry.c - the registry: who is known by which name, how many may be, when a producer is forgotten, and how it all drains.
 *
 * DESIGN (forgetting): a transient producer is forgotten some time after its last call ended, and calls end on any thread, often one per
 * message. So an ending call only notes the time. The loop keeps every inlet without a call in a heap, under the earliest moment when it
 * may go, and looks again at that moment: used meanwhile, it is put back for later; in use, it leaves the heap, and the call that leaves it
 * last brings it back with a post. A producer that publishes with a call per message thus costs the loop one look per forgetting time, not
 * one per call. */
#include "hub/hub_internal.h"

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

static int64_t forget_at_ns(const struct inlet *inlet)
{
    int64_t forget_ns = inlet->hub->limits.transient_forget_ns;

    return inlet->left_ns > INT64_MAX - forget_ns ? INT64_MAX : inlet->left_ns + forget_ns;
}

/* Takes a producer that nobody can find any more out of every route. */
static void forget(struct inlet *inlet)
{
    log_write(LOG_INFO, "producer.removed", LOG_BYTES("producer", source_name(inlet->source)), LOG_NUMBER("epoch", inlet->source->epoch),
              LOG_NUMBER("events", inlet->published.events), LOG_NUMBER("bytes", inlet->published.bytes),
              LOG_NUMBER("subscriptions", inlet->outlet_count));
    while (inlet->outlet_count > 0)
        outlet_remove(inlet->outlets[inlet->outlet_count - 1]);
    inlet_free(inlet);
    count_add(COUNT_LIVE_PRODUCERS, -1);
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

/* Decides about one inlet whose moment may have come. Returns true when it is to be forgotten: then it is out of the map. */
static bool look(struct hub *hub, struct inlet *inlet, int64_t now_ns)
{
    bool gone = false;

    pthread_mutex_lock(&hub->names);
    if (inlet->open_calls > 0) {
        heap_remove(&hub->idle, &inlet->idle);
        inlet->watched = false;
    } else if (forget_at_ns(inlet) > now_ns) {
        CHECK(heap_set(&hub->idle, &inlet->idle, forget_at_ns(inlet)) == ERR_OK); /* it is in: nothing is allocated */
    } else {
        heap_remove(&hub->idle, &inlet->idle);
        map_remove(&hub->inlets, &inlet->name);
        hub->sorted = false;
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
        struct inlet *inlet = container_of(first, struct inlet, idle);

        if (look(hub, inlet, now_ns))
            forget(inlet);
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
        struct inlet *inlet = container_of(node, struct inlet, left);

        list_remove(node);
        /* Unwatched, it comes back with its next call; until then it only takes its place. */
        if (heap_set(&hub->idle, &inlet->idle, forget_at_ns(inlet)) != ERR_OK)
            inlet->watched = false;
    }
    pthread_mutex_unlock(&hub->names);
    arm(hub);
}

/* Under `names`. */
static void count_call(struct inlet *inlet, const char *peer)
{
    inlet->open_calls++;
    peer_copy(inlet->peer, peer);
}

struct inlet *hub_inlet_find(struct hub *hub, struct bytes name, const char *peer)
{
    struct inlet *inlet = NULL;
    struct map_node *node;

    pthread_mutex_lock(&hub->names);
    node = map_find(&hub->inlets, name);
    if (node) {
        inlet = container_of(node, struct inlet, name);
        count_call(inlet, peer);
    }
    pthread_mutex_unlock(&hub->names);
    return inlet;
}

void inlet_leave(struct inlet *inlet)
{
    struct hub *hub = inlet->hub;

    pthread_mutex_lock(&hub->names);
    CHECK(inlet->open_calls > 0);
    if (--inlet->open_calls == 0) {
        inlet->left_ns = clock_mono_ns();
        if (!inlet->watched) {
            inlet->watched = true;
            list_append(&hub->left, &inlet->left);
            if (!hub->task_posted) {
                hub->task_posted = true;
                loop_post(hub->loop, &hub->task);
            }
        }
    }
    pthread_mutex_unlock(&hub->names);
}

/* Room for one more inlet in the sorted list, so that looking never needs memory. */
static bool room_by_name(struct hub *hub)
{
    size_t room = MAX_OF(hub->by_name_room * 2, 64u);
    struct inlet **by_name;

    if (hub->inlets.count < hub->by_name_room)
        return true;
    by_name = reallocarray(hub->by_name, room, sizeof(struct inlet *));
    if (!by_name)
        return false;
    hub->by_name = by_name;
    hub->by_name_room = room;
    return true;
}

static enum err publish_name(struct hub *hub, struct inlet *inlet, const char *peer)
{
    enum err err;

    if (!room_by_name(hub))
        return ERR_NO_MEMORY;
    pthread_mutex_lock(&hub->names);
    err = map_add(&hub->inlets, &inlet->name);
    if (err == ERR_OK)
        count_call(inlet, peer);
    pthread_mutex_unlock(&hub->names);
    if (err == ERR_OK)
        hub->sorted = false;
    return err;
}

enum fault_reason hub_inlet_open(struct hub *hub, struct bytes name, const char *peer, struct inlet **inlet_out, struct fault *fault)
{
    struct inlet *inlet = hub_inlet_find(hub, name, peer);
    char bound[32];

    if (inlet) {
        *inlet_out = inlet;
        return FAULT_NONE;
    }
    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (hub->inlets.count >= hub->limits.producers_most) {
        snprintf(bound, sizeof(bound), "at most %u", hub->limits.producers_most);
        return fault_set(fault, FAULT_TOO_MANY_PRODUCERS, NULL, bound);
    }
    inlet = inlet_new(hub, name);
    if (!inlet)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    /* First the routes, then the name: who finds it can publish at once, and everybody gets it. */
    if (subscriptions_join(hub, inlet) != ERR_OK || publish_name(hub, inlet, peer) != ERR_OK) {
        while (inlet->outlet_count > 0)
            outlet_remove(inlet->outlets[inlet->outlet_count - 1]);
        inlet_free(inlet);
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    }
    count_add(COUNT_LIVE_PRODUCERS, 1);
    log_write(LOG_INFO, "producer.added", LOG_BYTES("producer", name), LOG_NUMBER("epoch", inlet->source->epoch), LOG_TEXT("peer", peer),
              LOG_NUMBER("subscriptions", inlet->outlet_count));
    *inlet_out = inlet;
    return FAULT_NONE;
}

void hub_drain(struct hub *hub, int64_t drain_ns, void (*emptied)(void *ctx), void *ctx)
{
    int64_t now_ns = clock_mono_ns();
    bool first = !atomic_exchange(&hub->draining, true);
    struct map_node *node = NULL;

    if (first)
        log_write(LOG_INFO, "hub.draining", LOG_NUMBER("drain_ms", drain_ns / NS_PER_MS), LOG_NUMBER("producers", hub->inlets.count),
                  LOG_NUMBER("subscriptions", hub->ids.count));
    while ((node = map_next(&hub->inlets, node)))
        inlet_close(container_of(node, struct inlet, name));
    ctx_drain(&hub->ctx, FAULT_DRAINING, drain_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + drain_ns);
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
    map_init(&hub->inlets);
    map_init(&hub->ids);
    list_init(&hub->left);
    list_init(&hub->subscriptions);
    hub->task.run = watch_left;
    hub->forget.fired = forget_due;
    ctx_init(&hub->ctx, NULL, NULL, INT64_MAX);
    *hub_out = hub;
    return STATUS_OK;
}

void hub_free(struct hub *hub)
{
    struct map_node *node, *next;

    if (!hub)
        return;
    CHECK(hub->ids.count == 0);
    timer_stop(&hub->forget);
    for (node = map_next(&hub->inlets, NULL); node; node = next) {
        struct inlet *inlet = container_of(node, struct inlet, name);

        next = map_next(&hub->inlets, node);
        CHECK(inlet->open_calls == 0);
        heap_remove(&hub->idle, &inlet->idle);
        forget(inlet);
    }
    ctx_fini(&hub->ctx);
    map_fini(&hub->inlets);
    map_fini(&hub->ids);
    heap_fini(&hub->idle);
    free(hub->by_name);
    pthread_mutex_destroy(&hub->names);
    if (hub->task_posted)
        hub->freed = true;
    else
        free(hub);
}
