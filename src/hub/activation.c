/* activation.c - one (session, subscription) pair. The producer is started for this consumer, and
 * what it sends reaches nobody else.
 *
 *   STARTING --start()--> ACTIVE --stop()--> STOPPING --end, deadline--> ENDED
 *      |  ^                |  | `--failed--> RETRYING                      ^
 *      |  `--backoff over--+--+---------------'  |                         |
 *      `-------------------+----end, abort, gone-+-------------------------'
 *
 * Each start has a number of its own, with an inlet, an epoch and a feed of its own. An activation
 * moves because its context does (server, subscription, activation), or because its session does.
 * on_context_moved() decides about the former. activation_end() ends it in all cases. */
#include "hub/activation_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/fsm.h"
#include "base/log.h"
#include "flow/feed.h"
#include "flow/producer_state.h"
#include "hub/activation_table.h"
#include "hub/bind.h"
#include "hub/session_internal.h"
#include "hub/subscription_internal.h"
#include "route/inlet.h"
#include "route/route.h"

/* The retry of an activation that failed. The first wait is doubled up to the maximum. After a life
 * of this length it begins with the first wait again. */
#define RETRY_FIRST_NS NS_PER_S
#define MAX_RETRY_NS (30 * NS_PER_S)
#define RETRY_FORGIVEN_NS (60 * NS_PER_S)

static const struct fsm machine = {
    .name = "activation",
    .states = {[ACTIVATION_STARTING] = {"STARTING", BIT(ACTIVATION_ACTIVE) | BIT(ACTIVATION_ENDED)},
               [ACTIVATION_ACTIVE] = {"ACTIVE", BIT(ACTIVATION_STOPPING) | BIT(ACTIVATION_RETRYING) |
                                                    BIT(ACTIVATION_ENDED)},
               [ACTIVATION_STOPPING] = {"STOPPING", BIT(ACTIVATION_ENDED)},
               [ACTIVATION_RETRYING] = {"RETRYING", BIT(ACTIVATION_STARTING) | BIT(ACTIVATION_ENDED)},
               [ACTIVATION_ENDED] = {"ENDED", 0}},
};

/* ---- its route ---- */

/* Any thread, under locks of the putter's. */
static void set_paused(void *ctx, bool pause)
{
    struct activation *activation = ctx;
    struct session *session = activation->session;

    atomic_store(&activation->paused, pause);
    atomic_fetch_add(&session->paused, pause ? 1 : -1);
    session->port->set_paused(session->port_ctx, activation->number, pause);
}

static enum err open_route(struct activation *activation, const struct filter_part *part,
                           const struct start_point *start_point)
{
    const struct pause_port pause_port = {set_paused, activation};
    struct subscription *subscription = activation->subscription;
    struct inlet *inlet = &activation->inlet;
    const struct inlet_start start = {.name = source_name(activation->session->producer.inlet.source),
                                      .epoch = clock_epoch_ns(),
                                      .state = INLET_OPEN};

    if (inlet_init(inlet, &start) != ERR_OK)
        return ERR_NO_MEMORY;
    if (route_init(&activation->route, inlet, subscription->chan, subscription->filter, part, &pause_port) !=
        ERR_OK) {
        inlet_fini(inlet);
        return ERR_NO_MEMORY;
    }
    route_enter(&activation->route, start_point);
    activation->open = true;
    count_add(COUNT_LIVE_ROUTES, 1);
    return ERR_OK;
}

/* Call it after activation_table_remove(): leaving the route waits for an offer that still runs. */
static void close_route(struct activation *activation, const struct ending *ending)
{
    if (!activation->open)
        return;
    route_leave(&activation->route);
    feed_close(activation->route.chan, activation->route.feed, ending->state, ending->code, ending->message);
    if (atomic_exchange(&activation->paused, false))
        atomic_fetch_sub(&activation->session->paused, 1);
    route_fini(&activation->route);
    inlet_fini(&activation->inlet);
    activation->open = false;
    count_add(COUNT_LIVE_ROUTES, -1);
}

/* ---- ends ---- */

static void log_end(const struct activation *activation, const struct ending *ending, bool was_expired)
{
    const struct session *session = activation->session;
    const struct inlet *inlet = &activation->inlet;

    if (was_expired)
        log_write(LOG_WARN, "activation.expired", LOG_BYTES("producer", source_name(inlet->source)),
                  LOG_TEXT("subscription", activation->subscription->id_text),
                  LOG_NUMBER("activation", activation->number), LOG_TEXT("peer", session->producer.peer));
    log_write(LOG_INFO, "activation.ended", LOG_BYTES("producer", source_name(inlet->source)),
              LOG_TEXT("subscription", activation->subscription->id_text),
              LOG_NUMBER("activation", activation->number),
              LOG_TEXT("reason", ending->reason != FAULT_NONE ? fault_reason_name(ending->reason) : "ENDED"),
              LOG_TEXT("code", fault_code_name((enum fault_code)ending->code)),
              LOG_NUMBER("events", inlet->published.events), LOG_NUMBER("bytes", inlet->published.bytes));
}

/* Ends what was started: removes the number, logs the end, closes the route. */
static void finish(struct activation *activation, const struct ending *ending)
{
    bool was_expired = ending->expired && activation->state == ACTIVATION_STOPPING;
    struct ending final = *ending;
    char text[512];

    if (was_expired) {
        snprintf(text, sizeof(text), "producer \"%s\" did not stop in time", activation->inlet.source->name);
        final.code = CODE_DEADLINE_EXCEEDED;
        final.message = text;
        activation->session->expired_activations++;
        activation->subscription->expired_activations++;
    }
    activation_table_remove(activation);
    route_leave(&activation->route);
    log_end(activation, &final, was_expired);
    close_route(activation, &final);
}

static void detach(struct activation *activation)
{
    struct hub *hub = activation->subscription->hub;

    heap_remove(&hub->due, &activation->due);
    ctx_fini(&activation->ctx);
    list_remove(&activation->in_session);
    list_remove(&activation->in_subscription);
    activation->subscription->activation_count--;
}

void activation_end(struct activation *activation, const struct ending *ending)
{
    OWNED(session_release) struct session *session = session_retain(activation->session);
    struct subscription *subscription = activation->subscription;
    uint64_t number = activation->number;
    bool running = activation->state == ACTIVATION_ACTIVE;

    if (running || activation->state == ACTIVATION_STOPPING)
        finish(activation, ending);
    else
        close_route(activation, ending);
    fsm_move(&machine, activation, ACTIVATION_ENDED);
    detach(activation);
    free(activation);
    /* First of all, so that what ends with this activation does so before another one begins. */
    subscription_update(subscription);
    if (running && ending->notify && !session->unregistered)
        session->port->stop(session->port_ctx, number, ending->reason, 0);
    session_update(session);
}

/* ---- stopping ---- */

/* Sets the timer to the earliest moment. Where that fails, the next activation that needs the timer
 * tries again. */
static void set_timer(struct hub *hub)
{
    struct heap_node *first = heap_first(&hub->due);

    if (!first)
        timer_stop(&hub->due_timer);
    else if (timer_start(hub->loop, &hub->due_timer, MAX_OF(first->key - clock_mono_ns(), 0)) != ERR_OK)
        log_write(LOG_WARN, "activations.not_timed", LOG_TEXT("reason", "out of memory"));
}

static enum err set_due(struct activation *activation, int64_t at_ns)
{
    struct hub *hub = activation->subscription->hub;
    enum err err = heap_set(&hub->due, &activation->due, at_ns);

    if (err == ERR_OK && heap_first(&hub->due) == &activation->due)
        set_timer(hub);
    return err;
}

static void notify_stop(struct activation *activation)
{
    struct session *session = activation->session;

    fsm_move(&machine, activation, ACTIVATION_STOPPING);
    list_remove(&activation->in_session);
    list_append(&session->stopping, &activation->in_session);
    log_write(LOG_INFO, "activation.stopping",
              LOG_BYTES("producer", source_name(session->producer.inlet.source)),
              LOG_TEXT("subscription", activation->subscription->id_text),
              LOG_NUMBER("activation", activation->number),
              LOG_TEXT("reason", fault_reason_name(activation->ctx.reason)));
    session->port->stop(session->port_ctx, activation->number, activation->ctx.reason,
                        activation->ctx.deadline_ns);
}

/* Begins a gentle end, or brings its deadline nearer. */
static void stop(struct activation *activation)
{
    const struct ending at_once = {.reason = activation->ctx.reason, .state = PRODUCER_ENDED, .notify = true};
    int64_t deadline_ns = activation->ctx.deadline_ns;

    switch (activation->state) {
    case ACTIVATION_STARTING:
    case ACTIVATION_RETRYING:
        activation_end(activation, &at_once);
        break;
    case ACTIVATION_ACTIVE:
        if (deadline_ns <= clock_mono_ns() || set_due(activation, deadline_ns) != ERR_OK)
            activation_end(activation, &at_once);
        else
            notify_stop(activation);
        break;
    case ACTIVATION_STOPPING:
        CHECK(set_due(activation, deadline_ns) == ERR_OK); /* it is in the heap: nothing is allocated */
        break;
    case ACTIVATION_ENDED:
        break; /* it is freed by then */
    }
}

static void on_context_moved(struct ctx *ctx)
{
    struct activation *activation = container_of(ctx, struct activation, ctx);
    const struct ending ending = {.reason = ctx->reason, .state = PRODUCER_ENDED, .notify = true};

    switch (ctx->state) {
    case CTX_DRAINING:
        stop(activation);
        break;
    case CTX_CANCELLED:
        activation_end(activation, &ending);
        break;
    case CTX_LIVE:
        break; /* no context moves to it */
    }
}

static const struct ctx_port ctx_port = {on_context_moved};

/* ---- beginnings ---- */

struct activation *activation_new(struct session *session, struct subscription *subscription,
                                  const struct filter_part *part, const struct start_point *start_point)
{
    struct activation *activation = calloc(1, sizeof(*activation));

    if (!activation)
        return NULL;
    activation->session = session;
    activation->subscription = subscription;
    if (open_route(activation, part, start_point) != ERR_OK) {
        free(activation);
        return NULL;
    }
    list_append(&session->active, &activation->in_session);
    list_init(&activation->in_subscription);
    subscription->activation_count++;
    ctx_init(&activation->ctx, &subscription->ctx, &ctx_port, INT64_MAX);
    return activation;
}

static void begin(struct activation *activation)
{
    OWNED(session_release) struct session *session = session_retain(activation->session);
    struct subscription *subscription = activation->subscription;
    struct activation_params params = {.request = subscription->request,
                                       .deadline_ns = activation->ctx.deadline_ns,
                                       .subscription_id = subscription->id_text};
    const struct ending failed = {
        .reason = FAULT_MEMORY_BUDGET, .state = PRODUCER_ENDED, .code = CODE_RESOURCE_EXHAUSTED};

    if (!activation_table_add(activation)) {
        activation_end(activation, &failed);
        return;
    }
    fsm_move(&machine, activation, ACTIVATION_ACTIVE);
    activation->started_ns = clock_mono_ns();
    subscription->begun = true;
    params.activation = activation->number;
    count_add(COUNT_LIVE_ACTIVATIONS, 1);
    log_write(LOG_INFO, "activation.started",
              LOG_BYTES("producer", source_name(session->producer.inlet.source)),
              LOG_TEXT("subscription", subscription->id_text), LOG_NUMBER("activation", activation->number),
              LOG_NUMBER("epoch", activation->inlet.source->epoch));
    session->port->start(session->port_ctx, &params);
}

void activations_begin(struct list *created)
{
    struct list *node;

    while ((node = list_first(created))) {
        struct activation *activation = container_of(node, struct activation, in_subscription);

        list_remove(node);
        list_append(&activation->subscription->activations, node);
        begin(activation);
    }
}

/* ---- retry ---- */

static uint64_t random_below(struct hub *hub, uint64_t bound)
{
    uint64_t word = hub->random_state += UINT64_C(0x9e3779b97f4a7c15);

    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (word ^ (word >> 31)) % bound;
}

static void retry_later(struct activation *activation)
{
    const struct ending failed = {.reason = FAULT_MEMORY_BUDGET, .state = PRODUCER_ENDED};
    int64_t wait_ns = RETRY_FIRST_NS;

    for (uint8_t i = 0; i < activation->failures && wait_ns < MAX_RETRY_NS; i++)
        wait_ns *= 2;
    wait_ns = MIN_OF(wait_ns, MAX_RETRY_NS);
    if (activation->failures < UINT8_MAX)
        activation->failures++;
    /* Up to a quarter less, so that activations that failed together do not come back together. */
    wait_ns -= (int64_t)random_below(activation->subscription->hub, (uint64_t)wait_ns / 4);
    if (set_due(activation, clock_mono_ns() + wait_ns) != ERR_OK)
        activation_end(activation, &failed);
}

static void retry(struct activation *activation)
{
    struct filter_part part = producer_part(&activation->session->producer, activation->subscription->filter);

    if (open_route(activation, &part, NULL) != ERR_OK) {
        retry_later(activation);
        return;
    }
    fsm_move(&machine, activation, ACTIVATION_STARTING);
    begin(activation);
}

static bool is_retried(const struct activation *activation, uint32_t code)
{
    return code != CODE_OK && activation->state == ACTIVATION_ACTIVE && activation->ctx.state == CTX_LIVE &&
           activation->session->state == SESSION_LIVE && !activation->subscription->ends_with_activations;
}

void activation_ended_by_producer(struct activation *activation, uint32_t code, const char *message)
{
    const struct ending ending = {.state = PRODUCER_ENDED, .code = code, .message = message};

    if (!is_retried(activation, code)) {
        activation_end(activation, &ending);
        return;
    }
    if (clock_mono_ns() - activation->started_ns >= RETRY_FORGIVEN_NS)
        activation->failures = 0;
    finish(activation, &ending);
    fsm_move(&machine, activation, ACTIVATION_RETRYING);
    retry_later(activation);
}

/* ---- what comes due ---- */

static void on_due(struct activation *activation)
{
    const struct ending ending = {.reason = activation->ctx.reason, .state = PRODUCER_ENDED, .expired = true};

    switch (activation->state) {
    case ACTIVATION_STOPPING:
        activation_end(activation, &ending);
        break;
    case ACTIVATION_RETRYING:
        retry(activation);
        break;
    case ACTIVATION_STARTING:
    case ACTIVATION_ACTIVE:
    case ACTIVATION_ENDED:
        break; /* these are not in the heap */
    }
}

void activations_due(struct timer *timer)
{
    struct hub *hub = container_of(timer, struct hub, due_timer);
    int64_t now_ns = clock_mono_ns();
    struct heap_node *first;

    while ((first = heap_first(&hub->due)) && first->key <= now_ns) {
        heap_remove(&hub->due, first);
        on_due(container_of(first, struct activation, due));
    }
    set_timer(hub);
}
