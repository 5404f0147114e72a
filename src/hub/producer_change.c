/* producer_change.c - see producer_change.h. */
#include "hub/producer_change.h"

#include <stdlib.h>

#include "base/clock.h"
#include "hub/change_log.h"
#include "hub/hub_parts.h"
#include "hub/hub_query.h"
#include "hub/producer_internal.h"
#include "hub/registry.h"
#include "loop/loop.h"

/* Producers that one step of the sampler looks at. */
#define STEP_PRODUCERS 16u
/* The pause between two looks at all producers: at least so long, and so many times as long as the
 * look took. So the sampler uses a fiftieth of the loop's time at most. */
#define PAUSE_NS (50 * NS_PER_MS)
#define PAUSE_LOOKS 50
/* Within a look it rests each time that it has found so many changes. Otherwise one turn of the
 * loop could add more than the log keeps, before anybody reads. */
#define MAX_CHANGES_IN_ROW 256u
#define REST_NS (5 * NS_PER_MS)

struct producer_sampler {
    struct hub *hub;
    bool is_started;
    struct timer timer;
    struct slice slice;
    struct walk_name after; /* the last producer of this look */
    int64_t busy_ns;        /* that it took so far */
    uint64_t change_count;  /* at its beginning, or after its last rest */
    bool rests;
};

static struct producer_view view_of(struct producer *producer)
{
    const int32_t blocked = atomic_load_explicit(&producer->inlet.blocked, memory_order_relaxed);
    struct producer_view view = {.name = producer->name.key,
                                 .epoch = producer->inlet.source->epoch,
                                 .blocked_calls = blocked > 0 ? (uint32_t)blocked : 0};

    producer->kind->query(producer, &view);
    view.state = (enum producer_state)producer->kind->state(producer, &view);
    return view;
}

static struct session_failure failure_of(const struct producer_view *view)
{
    if (!view->port_ctx || !view->port->failure)
        return (struct session_failure){0};
    return view->port->failure(view->port_ctx);
}

static void add(struct producer *producer, const struct producer_view *view, enum change_kind kind,
                const struct session_failure *failure, const char *reason)
{
    char peer[PEER_CAPACITY];

    pthread_mutex_lock(&producer->registry->lock);
    peer_copy(peer, producer->peer);
    pthread_mutex_unlock(&producer->registry->lock);
    change_log_add(hub_change_log(producer->hub),
                   &(struct change){.kind = kind,
                                    .name = source_name(producer->inlet.source),
                                    .epoch = producer->inlet.source->epoch,
                                    .peer = peer,
                                    .reason = reason,
                                    .state = view->state,
                                    .is_session = view->is_session,
                                    .is_endpoint = view->is_endpoint,
                                    .is_relayed = view->is_relayed,
                                    .is_topic = view->is_topic,
                                    .per_consumer = view->per_consumer,
                                    .failure = *failure});
}

/* Whether there is something to add to what was noted, which is noted. */
static bool note(struct producer *producer, enum producer_state state, int64_t failure_ns)
{
    const uint32_t period = change_log_period(hub_change_log(producer->hub));
    struct producer_noted *noted = &producer->noted;
    const bool is_new = noted->period == period &&
                        (noted->state != state || (failure_ns > 0 && failure_ns != noted->failure_ns));

    noted->period = period;
    noted->state = (uint8_t)state;
    noted->failure_ns = failure_ns;
    return is_new;
}

static bool is_read(const struct producer *producer)
{
    return change_log_is_read(hub_change_log(producer->hub));
}

void producer_added(struct producer *producer)
{
    producer->noted.is_added = true;
    if (!is_read(producer))
        return;
    const struct producer_view view = view_of(producer);
    const struct session_failure failure = failure_of(&view);

    (void)!note(producer, view.state, failure.wall_ns);
    add(producer, &view, CHANGE_ADDED, &failure, NULL);
}

void producer_shown(struct producer *producer, const struct producer_view *view)
{
    const struct session_failure failure = failure_of(view);

    if (producer->noted.is_added && note(producer, view->state, failure.wall_ns))
        add(producer, view, CHANGE_STATE, &failure, NULL);
}

void producer_changed(struct producer *producer)
{
    if (!producer->noted.is_added || !is_read(producer))
        return;
    const struct producer_view view = view_of(producer);

    producer_shown(producer, &view);
}

void producer_ending(struct producer *producer)
{
    producer->noted.is_added = false;
}

void producer_removed(struct producer *producer, const char *reason)
{
    const struct session_failure none = {0};

    producer->noted.is_added = false;
    if (!is_read(producer))
        return;
    struct producer_view view = view_of(producer);

    view.state = PRODUCER_REMOVED;
    add(producer, &view, CHANGE_REMOVED, &none, reason);
}

/* ---- the sampler ---- */

/* Without memory nothing is looked at any more until the next reader comes. */
static void wait_for_look(struct producer_sampler *sampler, int64_t ns)
{
    if (timer_start(hub_loop(sampler->hub), &sampler->timer, ns) != ERR_OK)
        sampler->is_started = false;
}

static bool look_step(struct slice *slice)
{
    struct producer_sampler *sampler = container_of(slice, struct producer_sampler, slice);
    struct producer *producer = registry_after(hub_registry(sampler->hub), walk_name_get(&sampler->after));
    const int64_t start_ns = clock_mono_ns();

    for (unsigned i = 0; producer && i < STEP_PRODUCERS; i++) {
        producer_changed(producer);
        walk_name_set(&sampler->after, producer->name.key);
        producer = registry_next(producer);
    }
    sampler->busy_ns += clock_mono_ns() - start_ns;
    sampler->rests = producer && change_log_count(hub_change_log(sampler->hub)) - sampler->change_count >=
                                     MAX_CHANGES_IN_ROW;
    if (producer && !sampler->rests)
        return true;
    wait_for_look(sampler, sampler->rests ? REST_NS : MAX_OF(PAUSE_NS, sampler->busy_ns * PAUSE_LOOKS));
    return false;
}

static void sample(struct timer *timer)
{
    struct producer_sampler *sampler = container_of(timer, struct producer_sampler, timer);

    if (!sampler->rests) {
        sampler->after.size = 0;
        sampler->busy_ns = 0;
    }
    sampler->rests = false;
    sampler->change_count = change_log_count(hub_change_log(sampler->hub));
    loop_slice(hub_loop(sampler->hub), &sampler->slice);
}

struct producer_sampler *producer_sampler_new(struct hub *hub)
{
    struct producer_sampler *sampler = calloc(1, sizeof(*sampler));

    if (!sampler)
        return NULL;
    sampler->hub = hub;
    sampler->timer.fired = sample;
    slice_init(&sampler->slice, look_step);
    return sampler;
}

void producer_sampler_start(struct producer_sampler *sampler)
{
    if (sampler->is_started)
        return;
    sampler->is_started = true;
    sampler->rests = false;
    sample(&sampler->timer);
}

void producer_sampler_stop(struct producer_sampler *sampler)
{
    sampler->is_started = false;
    timer_stop(&sampler->timer);
    slice_stop(&sampler->slice);
}

void producer_sampler_free(struct producer_sampler *sampler)
{
    if (!sampler)
        return;
    producer_sampler_stop(sampler);
    free(sampler);
}
