/* explain_sample.c - one look at a consumer, and what two looks give. */
#include "server/rpc/explain_sample.h"

#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "hub/hub_matches.h"
#include "hub/hub_query.h"
#include "hub/session_port.h"
#include "server/dial/dialled.h"
#include "server/dial/endpoint.h"
#include "server/rpc/subscriber.h"

/* Producers whose blocking consumer is looked for; each costs up to 128 channels. */
#define MAX_SEARCHED 4u

struct gathering {
    struct sample *sample;
    struct chan *chan;
    int64_t mono_ns;
    uint32_t searched;
};

static void copy_name(char to[MAX_LIMIT_NAME + 1], struct bytes name)
{
    const size_t size = MIN_OF(name.size, MAX_LIMIT_NAME);

    if (to[0] != '\0')
        return;
    memcpy(to, name.data, size);
    to[size] = '\0';
}

static int64_t left_ns(int64_t until_ns, int64_t now_ns)
{
    return until_ns == INT64_MAX ? NOT_SO : MAX_OF(until_ns - now_ns, INT64_C(0));
}

/* The endpoint knows where its last call failed. Where a later one was accepted, the state of this
 * producer has its cause. */
static void add_unavailable(const struct gathering *gathering, const struct match_view *view,
                            const struct session_failure *failure)
{
    struct limit_producers *all = &gathering->sample->producers;
    const char *message = failure->code != CODE_OK ? failure->message : view->message;

    if (all->unavailable++ > 0)
        return;
    copy_name(all->names.unavailable, view->name);
    all->failure_code = failure->code != CODE_OK ? failure->code : view->code;
    all->failed_in_dial = failure->code != CODE_OK && !failure->was_accepted;
    all->failed_in_stream = failure->code != CODE_OK && failure->was_accepted;
    all->retry_in_ns =
        left_ns(view->retries ? view->retry_at_ns : endpoint_retry_at(view->port_ctx, view->number),
                gathering->mono_ns);
    snprintf(all->failure_text, sizeof(all->failure_text), "%s", message ? message : "");
}

/* An endpoint that dials again after a failure is still one that failed. */
static void add_endpoint(const struct gathering *gathering, const struct match_view *view)
{
    struct limit_producers *all = &gathering->sample->producers;
    const struct session_failure failure = view->port->failure(view->port_ctx);

    if (view->state == PRODUCER_UNAVAILABLE ||
        (view->state == PRODUCER_CONNECTING && failure.code != CODE_OK)) {
        add_unavailable(gathering, view, &failure);
    } else if (view->state == PRODUCER_CONNECTING) {
        all->connecting++;
        copy_name(all->names.connecting, view->name);
    } else if (((const struct dialled *)view->port_ctx)->kind == DIALLED_ENDPOINT) {
        all->active++; /* a set sends nothing itself */
    }
}

static void add_backoff(const struct gathering *gathering, const struct match_view *view)
{
    struct limit_producers *all = &gathering->sample->producers;

    if (all->backoff++ > 0)
        return;
    copy_name(all->names.backoff, view->name);
    if (all->unavailable == 0)
        all->retry_in_ns = left_ns(view->retry_at_ns, gathering->mono_ns);
}

static void add_blocked(struct gathering *gathering, const struct match_view *view)
{
    struct limit_producers *all = &gathering->sample->producers;
    const char *id = NULL;

    if (gathering->searched++ < MAX_SEARCHED)
        id = hub_blocking(view, gathering->chan);
    /* Where no other one is found, this consumer may be the one; of a member, another call. */
    if (!id && (view->is_member || gathering->sample->chan.blocked_ranges > 0))
        return;
    all->blocked++;
    copy_name(all->names.blocked, view->name);
    if (id && all->blocking_id[0] == '\0')
        snprintf(all->blocking_id, sizeof(all->blocking_id), "%s", id);
}

static void add_producer(void *ctx, const struct match_view *view)
{
    struct gathering *gathering = ctx;
    struct limit_producers *all = &gathering->sample->producers;

    all->looked_at++;
    if (view->port_ctx && view->port->failure)
        add_endpoint(gathering, view);
    else if (view->waits)
        add_backoff(gathering, view);
    else
        all->active++;
    if (view->paused) {
        all->paused++;
        copy_name(all->names.paused, view->name);
    }
    if (view->blocked_calls > 0)
        add_blocked(gathering, view);
    if (view->looks_into_events) {
        all->filtered++;
        all->last_filtered_wall_ns = MAX_OF(all->last_filtered_wall_ns, view->last_event_wall_ns);
    }
    if (view->last_event_wall_ns > all->last_event_wall_ns) {
        all->last_event_wall_ns = view->last_event_wall_ns;
        all->names.latest[0] = '\0';
        copy_name(all->names.latest, view->name);
    }
}

struct shown {
    struct sample *sample;
    struct chan *chan;
    struct subscriber *subscriber;
};

static void add_subscription(void *ctx, const struct subscription_view *view)
{
    struct shown *shown = ctx;
    struct sample *sample = shown->sample;

    copy_name(sample->name, view->name);
    snprintf(sample->peer, sizeof(sample->peer), "%s", view->peer ? view->peer : "");
    chan_condition(view->chan, &sample->chan);
    sample->limits = *sample->chan.limits;
    sample->draining = view->draining;
    sample->binding = view->binding;
    sample->drain_until_ns = view->deadline_ns;
    sample->matched = view->producers_matched;
    shown->chan = view->chan;
    shown->subscriber = subscriber_of(view);
}

enum fault_reason sample_read(struct hub *hub, struct bytes id, struct sample *sample,
                              struct subscriber **subscriber_out, struct fault *fault)
{
    struct shown shown = {.sample = sample};
    struct gathering gathering = {.sample = sample};

    *sample = (struct sample){.at_ns = clock_mono_ns(),
                              .refused_batches = count_get(COUNT_REFUSED_BATCHES),
                              .producers = {.retry_in_ns = NOT_SO}};
    if (hub_subscription(hub, id, add_subscription, &shown, fault))
        return fault->reason;
    gathering.chan = shown.chan;
    gathering.mono_ns = sample->at_ns;
    if (hub_matches(hub, id, add_producer, &gathering, fault))
        return fault->reason;
    *subscriber_out = shown.subscriber;
    return FAULT_NONE;
}

/* ---- two looks ---- */

static int64_t age(int64_t since_ns, int64_t now_ns)
{
    return since_ns == INT64_MAX ? NOT_SO : MAX_OF(now_ns - since_ns, INT64_C(0));
}

static int64_t wall_age(int64_t since_ns)
{
    return since_ns == 0 ? NOT_SO : MAX_OF(clock_wall_ns() - since_ns, INT64_C(0));
}

static void compare_chan(const struct sample *first, const struct sample *second, struct limit_stats *stats)
{
    const struct chan_condition *chan = &second->chan;

    stats->accepted = chan->stats.accepted.events - first->chan.stats.accepted.events;
    stats->delivered = chan->stats.delivered.events - first->chan.stats.delivered.events;
    for (size_t i = 0; i < LOSS_COUNT; i++)
        stats->losses[i] = chan->stats.dropped[i].events - first->chan.stats.dropped[i].events;
    stats->sorted_late = chan->stats.sorted_late - first->chan.stats.sorted_late;
    stats->sort_full = chan->stats.sort_full - first->chan.stats.sort_full;
    stats->waiting = chan->waiting;
    stats->in_flight = chan->in_flight;
    stats->parked = chan->parked;
    stats->limits = second->limits;
    stats->blocked_ranges = chan->blocked_ranges;
    stats->fallback_active = chan->stats.fallback_active;
    stats->blocked_ns = age(chan->blocked_since_ns, second->at_ns);
    stats->oldest_ns = age(chan->oldest_waiting_ns, second->at_ns);
    stats->gaps = chan->gaps;
    stats->was_blocked = first->chan.blocked_ranges > 0;
    stats->was_oldest_ns = age(first->chan.oldest_waiting_ns, first->at_ns);
}

static void compare_senders(const struct sample *first, const struct sample *second,
                            struct limit_stats *stats)
{
    const struct sender_view *sender = &second->sender, *before = &first->sender;
    const int64_t now_ns = second->sender_at_ns;

    stats->write_ns = stats->unwritable_ns = stats->starved_ns = stats->last_sent_ns = NOT_SO;
    stats->has_sender = sender->begun;
    if (!sender->begun)
        return;
    stats->write_ns = age(sender->in_flight_since_ns, now_ns);
    stats->unwritable_ns = age(sender->unwritable_since_ns, now_ns);
    stats->unread_bytes = stats->unwritable_ns >= 0 ? sender->unread_bytes : 0;
    stats->has_credit = sender->has_bound;
    stats->events_left = sender->events_left;
    stats->bytes_left = sender->bytes_left;
    stats->starved_ns = age(sender->starved_since_ns, now_ns);
    stats->last_sent_ns = sender->events_at_ns == 0 ? NOT_SO : age(sender->events_at_ns, now_ns);
    if (!before->begun)
        return;
    stats->was_starved = before->starved_since_ns != INT64_MAX;
    stats->was_stuck = before->in_flight_since_ns != INT64_MAX || before->unwritable_since_ns != INT64_MAX;
    if (now_ns > first->sender_at_ns)
        stats->busy_percent = MIN_OF(
            (sender->runnable_ns - before->runnable_ns) * 100 / (now_ns - first->sender_at_ns), INT64_C(100));
}

/* A producer that was blocked or paused at the first look alone is named too. */
static void compare_producers(const struct sample *first, const struct sample *second,
                              struct limit_stats *stats)
{
    struct limit_producers *all = &stats->producers;

    *all = second->producers;
    stats->was_paused = first->producers.paused > 0;
    stats->was_blocked_by_other = first->producers.blocked > 0;
    if (all->paused == 0)
        memcpy(all->names.paused, first->producers.names.paused, sizeof(all->names.paused));
    if (all->blocked == 0) {
        memcpy(all->names.blocked, first->producers.names.blocked, sizeof(all->names.blocked));
        memcpy(all->blocking_id, first->producers.blocking_id, sizeof(all->blocking_id));
    }
    stats->last_event_ns = wall_age(all->last_event_wall_ns);
    stats->filtered_age_ns = wall_age(all->last_filtered_wall_ns);
}

void samples_compare(const struct sample *first, const struct sample *second, int64_t waited_ns,
                     struct limit_stats *stats)
{
    *stats = (struct limit_stats){.window_ns = second->at_ns - first->at_ns};
    compare_chan(first, second, stats);
    compare_senders(first, second, stats);
    compare_producers(first, second, stats);
    stats->answered = second->sender_at_ns > 0;
    stats->thread_delay_ns = waited_ns;
    stats->draining = second->draining;
    stats->binding = second->binding;
    stats->drain_left_ns = left_ns(second->drain_until_ns, second->at_ns);
    stats->matched = second->matched;
    stats->refused_batches = (uint64_t)(second->refused_batches - first->refused_batches);
    stats->memory_used = budget_used();
    stats->memory_limit = budget_limit();
    stats->memory_short = budget_is_short();
}
