/* taker.c - see taker.h.
 *
 *   LIVE --close, abort, broken, or all given after a gentle end--> ENDING
 *   ENDING --no batch in flight--> GONE
 *   LIVE --the hub refuses--> GONE
 *
 * DESIGN. One task decides everything: run(). What happens outside (the channel becomes readable,
 * the hub notifies, the owner completes, pauses or closes) only notes the fact and posts the task.
 * So the owner may do anything from within its port, and the taker is freed in one place. The
 * channel calls readable() on any thread, so `posted` is the one member that is shared. Where the
 * task is posted when the taker ends, it frees the taker as its last act. */
#include "hub/taker.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "flow/chan_stats.h"

#define FIRST_LOSSES 32u /* the capacity that is kept from batch to batch */
#define MAX_MESSAGE_BYTES 256u

enum taker_state { TAKER_LIVE, TAKER_ENDING, TAKER_GONE };

static const struct fsm machine = {
    .name = "taker",
    .states = {[TAKER_LIVE] = {"LIVE", BIT(TAKER_ENDING) | BIT(TAKER_GONE)},
               [TAKER_ENDING] = {"ENDING", BIT(TAKER_GONE)},
               [TAKER_GONE] = {"GONE", 0}},
};

struct taker {
    /* Any thread. */
    _Atomic bool posted; /* `task` is posted and has not run: it may not be posted or freed */
    struct task task;
    struct loop *loop;

    /* Loop only. */
    enum taker_state state;
    struct subscription *subscription;
    struct subscription_result result;
    uint32_t max_events, max_bytes;
    const struct taker_port *port;
    void *ctx;
    struct timer timer; /* the block timeout of the channel */
    bool paused, in_flight;
    enum closing closing; /* 0: no gentle end has begun */
    int64_t closing_deadline_ns;
    bool closing_reported;
    bool leaving, left; /* GONE: it has unsubscribed; the subscription has left */
    struct fault fault; /* why it is ENDING */

    /* The batch in flight. Its losses and states hold a reference to their sources. */
    struct chan_batch events;
    struct lost_note *losses;
    uint32_t loss_count, loss_capacity;
    struct feed_change states[MAX_TAKER_STATES];
    char messages[MAX_TAKER_STATES][MAX_MESSAGE_BYTES + 1];
    uint32_t state_count;
};

/* Any thread: the `readable` callback of the channel too. */
static void wake(void *ctx)
{
    struct taker *taker = ctx;

    if (!atomic_exchange(&taker->posted, true))
        loop_post(taker->loop, &taker->task);
}

/* Only the first reason counts. */
static void begin_end(struct taker *taker, const struct fault *fault)
{
    if (taker->state != TAKER_LIVE)
        return;
    taker->fault = *fault;
    fsm_move(&machine, taker, TAKER_ENDING);
    wake(taker);
}

/* ---- gathering a batch ---- */

static const struct source *keep(const struct source *source)
{
    return source ? source_retain((struct source *)(uintptr_t)source) : NULL; /* only its count changes */
}

static void let_go(const struct source *source)
{
    source_release((struct source *)(uintptr_t)source);
}

static void add_loss(void *ctx, const struct lost_note *note)
{
    struct taker *taker = ctx;

    taker->losses[taker->loss_count] = *note;
    taker->losses[taker->loss_count++].source = keep(note->source);
}

/* Makes space for more losses. False: there are enough, or memory runs out. */
static bool reserve_losses(struct taker *taker)
{
    uint32_t capacity = taker->loss_capacity ? taker->loss_capacity * 2 : FIRST_LOSSES;
    struct lost_note *losses;

    if (taker->loss_count < taker->loss_capacity)
        return true;
    if (capacity > MAX_TAKER_LOSSES)
        return false;
    losses = reallocarray(taker->losses, capacity, sizeof(*losses));
    if (!losses)
        return false;
    taker->losses = losses;
    taker->loss_capacity = capacity;
    return true;
}

/* The channel reports first what belongs to the events of this batch. Returns true when more losses
 * are left. */
static bool gather_losses(struct taker *taker)
{
    while (reserve_losses(taker)) {
        uint32_t max = taker->loss_capacity - taker->loss_count;

        if (chan_losses(taker->result.chan, max, add_loss, taker) < max)
            return false;
    }
    return true;
}

static void add_state(void *ctx, const struct feed_change *change)
{
    struct taker *taker = ctx;
    char *message = taker->messages[taker->state_count];

    snprintf(message, sizeof(taker->messages[0]), "%s", change->message);
    taker->states[taker->state_count++] =
        (struct feed_change){keep(change->source), change->state, change->code, message};
}

/* Takes what there is to give. The order of the calls is that of chan_report.h. Returns true when
 * more could be taken right away. */
static bool gather(struct taker *taker, uint32_t *mark_out, int64_t now_ns)
{
    struct chan *chan = taker->result.chan;
    bool more = false;

    *mark_out = chan_marked(chan);
    if (taker->paused)
        chan_rearm(chan);
    else
        more = chan_dequeue(chan, &taker->events, taker->max_events, taker->max_bytes, now_ns);
    more = gather_losses(taker) || more;
    return chan_states(chan, MAX_TAKER_STATES, add_state, taker) == MAX_TAKER_STATES || more;
}

/* Gives a batch to the owner; taker_complete() looks for the next. Returns false where there was
 * nothing to give. */
static bool give(struct taker *taker, int64_t now_ns)
{
    uint32_t mark;
    bool more = gather(taker, &mark, now_ns);
    const struct taker_batch batch = {.mark = mark,
                                      .losses = taker->losses,
                                      .loss_count = taker->loss_count,
                                      .events = &taker->events,
                                      .states = taker->states,
                                      .state_count = taker->state_count};

    if (mark == 0 && taker->events.count == 0 && taker->loss_count == 0 && taker->state_count == 0) {
        if (more)
            wake(taker); /* there was no memory to take it */
        return more;
    }
    taker->in_flight = true;
    taker->port->batch(taker->ctx, &batch);
    return true;
}

void taker_complete(struct taker *taker, bool delivered)
{
    CHECK(taker->in_flight);
    taker->in_flight = false;
    if (delivered)
        chan_delivered(taker->result.chan, &taker->events);
    else
        chan_lost(taker->result.chan, &taker->events, LOSS_CONSUMER_GONE);
    while (taker->loss_count > 0)
        let_go(taker->losses[--taker->loss_count].source);
    while (taker->state_count > 0)
        let_go(taker->states[--taker->state_count].source);
    if (taker->loss_capacity > FIRST_LOSSES) {
        free(taker->losses);
        taker->losses = NULL;
        taker->loss_capacity = 0;
    }
    wake(taker);
}

/* ---- deciding ---- */

static void dispose(struct taker *taker)
{
    chan_release(taker->result.chan);
    chan_batch_fini(&taker->events);
    free(taker->losses);
    free(taker);
}

/* The last act, unless the task is posted: then that is its last run. */
static void conclude(struct taker *taker)
{
    taker->leaving = false;
    taker->port->ended(taker->ctx, &taker->fault);
    if (!atomic_exchange(&taker->posted, true))
        dispose(taker);
}

/* Until the subscription has left, the channel may still wake the taker. */
static void finish(struct taker *taker)
{
    fsm_move(&machine, taker, TAKER_GONE);
    timer_stop(&taker->timer);
    taker->leaving = true;
    hub_unsubscribe(taker->subscription, taker->fault.reason);
    if (taker->left)
        conclude(taker);
}

/* The hub notifies before it moves the channel. So where the channel has ended and the taker does
 * not know why, it will be notified. */
static bool all_given(struct taker *taker, enum chan_state state)
{
    return taker->closing != 0 &&
           (state == CHAN_CLOSED || (state == CHAN_DRAINING && chan_idle(taker->result.chan)));
}

/* The fallback of a blocked channel becomes active in time, whatever the owner does. */
static void set_timer(struct taker *taker, int64_t now_ns)
{
    int64_t until_ns = chan_blocked_until(taker->result.chan);

    timer_stop(&taker->timer);
    if (until_ns != INT64_MAX && timer_start(taker->loop, &taker->timer, until_ns - now_ns))
        wake(taker); /* no memory: it looks again in the next turn */
}

static void decide(struct taker *taker)
{
    int64_t now_ns = clock_mono_ns();
    enum chan_state state = chan_state(taker->result.chan);
    struct fault fault = {0};

    if (taker->state == TAKER_LIVE && taker->closing != 0 && !taker->closing_reported) {
        taker->closing_reported = true;
        if (taker->port->closing)
            taker->port->closing(taker->ctx, taker->closing, taker->closing_deadline_ns);
    }
    if (state == CHAN_BROKEN) {
        chan_too_slow(taker->result.chan, &fault);
        begin_end(taker, &fault);
    }
    chan_tick(taker->result.chan, now_ns);
    if (taker->state == TAKER_LIVE && !taker->in_flight && !give(taker, now_ns) && all_given(taker, state))
        begin_end(taker, &fault);
    if (taker->state == TAKER_ENDING && !taker->in_flight)
        finish(taker);
    else
        set_timer(taker, now_ns);
}

static void run(struct task *task)
{
    struct taker *taker = container_of(task, struct taker, task);

    if (taker->state == TAKER_GONE && !taker->leaving) {
        dispose(taker);
        return;
    }
    atomic_store(&taker->posted, false);
    if (taker->state != TAKER_GONE)
        decide(taker);
    else if (taker->left)
        conclude(taker);
}

static void on_timer(struct timer *timer)
{
    wake(container_of(timer, struct taker, timer));
}

static void on_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    struct taker *taker = ctx;

    taker->closing = reason;
    taker->closing_deadline_ns = deadline_ns;
    wake(taker);
}

static void on_abort(void *ctx, const struct fault *fault)
{
    begin_end(ctx, fault);
}

/* From within hub_unsubscribe(), or later: then the task goes on. */
static void on_left(void *ctx)
{
    struct taker *taker = ctx;

    taker->left = true;
    wake(taker);
}

static const struct subscription_port subscription_port = {
    .closing = on_closing, .abort_call = on_abort, .left = on_left};

/* ---- the owner's calls ---- */

void taker_pause(struct taker *taker)
{
    taker->paused = true;
}

void taker_resume(struct taker *taker)
{
    taker->paused = false;
    wake(taker);
}

void taker_close(struct taker *taker)
{
    begin_end(taker, &(struct fault){.reason = FAULT_NONE});
}

uint32_t taker_select(struct taker *taker, struct filter *filter, struct fault *fault)
{
    if (taker->state == TAKER_LIVE)
        return hub_select(taker->subscription, filter, fault);
    fault_set(fault, FAULT_DRAINING, "select", "the stream is ending");
    return 0;
}

const char *taker_id(const struct taker *taker)
{
    return taker->result.id;
}

struct chan *taker_chan(const struct taker *taker)
{
    return taker->result.chan;
}

enum fault_reason taker_open(struct hub *hub, struct loop *loop, const struct taker_params *params,
                             struct taker **taker_out, struct fault *fault)
{
    struct subscription_params subscription = params->subscription;
    struct taker *taker = calloc(1, sizeof(*taker));
    enum fault_reason reason;

    CHECK(params->max_events > 0 && params->max_events <= MAX_TAKER_EVENTS);
    CHECK(params->max_bytes > 0 && params->max_bytes <= MAX_TAKER_BYTES);
    if (!taker)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    taker->loop = loop;
    taker->task.run = run;
    taker->timer.fired = on_timer;
    taker->max_events = params->max_events;
    taker->max_bytes = params->max_bytes;
    taker->port = params->port;
    taker->ctx = params->ctx;
    subscription.callbacks = (struct chan_callbacks){.readable = wake, .ctx = taker};
    subscription.port = &subscription_port;
    subscription.ctx = taker;
    reason = hub_subscribe(hub, &subscription, &taker->subscription, &taker->result, fault);
    if (reason) {
        /* A putter may have posted the task before the refusal took its route away. */
        fsm_move(&machine, taker, TAKER_GONE);
        if (!atomic_exchange(&taker->posted, true))
            dispose(taker);
        return reason;
    }
    wake(taker);
    *taker_out = taker;
    return FAULT_NONE;
}
