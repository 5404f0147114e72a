/* reader.c - see reader.h. */
#include "hub/reader.h"

#include <stdlib.h>

#include "base/counters.h"
#include "event/matcher.h"
#include "flow/feed.h"
#include "flow/producer_state.h"
#include "hub/hub_parts.h"
#include "hub/kept_memory.h"
#include "hub/producer_internal.h"
#include "hub/subscription_internal.h"
#include "route/inlet.h"

static void may_end(struct task *task)
{
    struct subscription *subscription = container_of(task, struct subscription, catch_up);
    struct ready_list *list = subscription->left ? NULL : subscription->ready.list;

    subscription->is_due_caught_up = true;
    if (list)
        ready_add(&subscription->ready);
    subscription->ready.kind->release(&subscription->ready);
    if (list)
        ready_run(list);
}

void reader_lists_init(struct subscription *subscription, bool end_when_caught_up)
{
    list_init(&subscription->readers);
    list_init(&subscription->spare_readers);
    subscription->ends_when_caught_up = end_when_caught_up;
    subscription->catch_up.run = may_end;
}

void readers_bound(struct subscription *subscription)
{
    if (!subscription->ends_when_caught_up)
        return;
    subscription->ready.kind->retain(&subscription->ready);
    loop_post(hub_loop(subscription->hub), &subscription->catch_up);
}

enum err reader_open(struct reader *reader, struct producer *producer, struct subscription *subscription,
                     const struct filter *filter, const struct filter_part *part,
                     const struct pause_port *pause_port)
{
    struct inlet *inlet = &producer->inlet;

    if (!kept_memory_add_route(subscription, reader->kept_bytes))
        return ERR_NO_MEMORY;
    if (inlet_reserve(inlet) != ERR_OK ||
        route_init(&reader->route, inlet, subscription->chan, filter, part, pause_port) != ERR_OK) {
        kept_memory_remove_route(subscription, reader->kept_bytes);
        return ERR_NO_MEMORY;
    }
    reader->producer = producer;
    reader->subscription = subscription;
    list_init(&reader->in_subscription);
    list_init(&reader->in_producer);
    list_append(reader->is_spare ? &subscription->spare_readers : &subscription->readers,
                &reader->in_subscription);
    subscription->reader_count++;
    list_append(&producer->readers, &reader->in_producer);
    count_add(COUNT_LIVE_ROUTES, 1);
    return ERR_OK;
}

static void stop_waiting(struct reader *reader)
{
    struct subscription *subscription = reader->subscription;

    if (!reader->catches_up)
        return;
    reader->catches_up = false;
    subscription->catching_up--;
    ready_add(&subscription->ready);
}

void reader_caught_up(struct reader *reader)
{
    stop_waiting(reader);
}

bool readers_caught_up(const struct subscription *subscription)
{
    return subscription->is_due_caught_up && subscription->catching_up == 0;
}

/* Takes it out everywhere. */
static void take_out(struct reader *reader)
{
    struct inlet *inlet = reader->route.inlet;

    stop_waiting(reader);
    reader->kind->lock(reader);
    pthread_mutex_lock(&inlet->lock);
    route_unlink(&reader->route);
    pthread_mutex_unlock(&inlet->lock);
    reader->kind->stop(reader);
    reader->kind->unlock(reader);
    feed_silence(reader->route.chan, reader->route.feed);
    list_remove(&reader->in_subscription);
    list_remove(&reader->in_producer);
    reader->subscription->reader_count--;
    count_add(COUNT_LIVE_ROUTES, -1);
}

static void let_go(struct reader *reader)
{
    kept_memory_remove_route(reader->subscription, reader->kept_bytes);
    route_fini(&reader->route);
    reader->subscription = NULL;
    reader->kind->release(reader);
}

void reader_leave(struct reader *reader)
{
    take_out(reader);
    let_go(reader);
}

void reader_close(struct reader *reader, uint32_t state)
{
    take_out(reader);
    feed_close(reader->route.chan, reader->route.feed, state, 0, NULL);
    let_go(reader);
}

bool readers_free_spare(struct subscription *subscription)
{
    struct list *node = list_first(&subscription->spare_readers);

    if (node)
        reader_close(container_of(node, struct reader, in_subscription), PRODUCER_ENDED);
    return !!node;
}

void reader_failed(struct reader *reader, const struct fault *fault)
{
    struct subscription *subscription = reader->subscription;

    if (subscription->unsubscribed || subscription->ctx.state == CTX_CANCELLED)
        return;
    /* Without memory the consumer hears the reason alone. */
    if (!subscription->fault && (subscription->fault = malloc(sizeof(*subscription->fault))))
        *subscription->fault = *fault;
    ctx_cancel(&subscription->ctx, fault->reason);
}
