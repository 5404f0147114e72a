/* stress_hub.c - a hub with producers on three threads, consumers that come and go, takers on
 * threads of their own, and producers that are forgotten all the time.
 *
 * Each taker checks what no interleaving may break. The sequences of a source rise. A consumer that
 * wants everything gets each event between its first and its last, as an event or as a loss, also
 * where it selects everything in other words again and again: it is then a wildcard, or has
 * bindings with or without a match entry. The totals of its channel hold. At the end the events
 * that came in are those that were offered, and nothing is left alive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/counters.h"
#include "base/log.h"
#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "hub/positions.h"
#include "seam/hub_fixture.h"
#include "stress/stream_record.h"
#include "stress/wakeup.h"

#define PRODUCERS 8u
#define PUTTERS 3u
#define CONSUMERS 6u

static struct loop *loop;
static struct hub *hub;
static atomic_bool stopping;
static atomic_uint putters_left = PUTTERS;
static bool emptied;
static uint64_t selected[2]; /* selects that an end came before, and the others */

/* ---- producers ---- */

struct caller {
    pthread_t thread;
    struct dice dice;
    struct task task; /* opens the inlet on the loop */
    char name[8];
    struct inlet *inlet;
    bool refused;
    struct put_waiter waiter;
    _Atomic bool over;
    struct wakeup wakeup;
    uint64_t events, waits;
};

static void on_unblocked(struct put_waiter *waiter)
{
    struct caller *caller = container_of(waiter, struct caller, waiter);

    inlet_unblocked(caller->inlet);
    atomic_store(&caller->over, true);
    wakeup_signal(&caller->wakeup);
}

static void open_inlet(struct task *task)
{
    struct caller *caller = container_of(task, struct caller, task);
    struct fault fault;

    caller->refused =
        hub_inlet_open(hub, text_of(caller->name), "putter", NO_PEER, &caller->inlet, &fault) != FAULT_NONE;
    atomic_store(&caller->over, true);
    wakeup_signal(&caller->wakeup);
}

static void wait_answer(struct caller *caller)
{
    while (!atomic_load(&caller->over))
        wakeup_wait(&caller->wakeup, NS_PER_S);
}

/* A chunk of a few events of topics `a` and `b`. */
static struct chunk *some_chunk(struct dice *dice)
{
    char topics[101];
    size_t count = 1 + dice_roll(dice, sizeof(topics) - 1);

    for (size_t i = 0; i < count; i++)
        topics[i] = dice_roll(dice, 3) == 0 ? 'a' : 'b';
    topics[count] = '\0';
    return chunk_of_letters(topics, dice_roll(dice, 40));
}

/* One call: finds or opens its producer, offers a few chunks, leaves. False: the hub drains. */
static bool call(struct caller *caller)
{
    bool open = true;

    snprintf(caller->name, sizeof(caller->name), "p%u", (unsigned)dice_roll(&caller->dice, PRODUCERS));
    caller->inlet = hub_inlet_find(hub, text_of(caller->name), "putter");
    if (!caller->inlet) {
        atomic_store(&caller->over, false);
        loop_post(loop, &caller->task);
        wait_answer(caller);
        if (caller->refused)
            return false;
    }
    for (uint64_t chunks = dice_roll(&caller->dice, 20); open && chunks > 0; chunks--) {
        OWNED(chunk_release) struct chunk *chunk = some_chunk(&caller->dice);
        struct offer offer;
        enum err err;

        atomic_store(&caller->over, false);
        err = inlet_offer(caller->inlet, chunk, &caller->waiter, &offer);
        open = err != ERR_CLOSED;
        if (open) {
            CHECK(offer.last_sequence - offer.first_sequence + 1 == chunk->count);
            caller->events += chunk->count;
        }
        if (err == ERR_AGAIN) {
            wait_answer(caller);
            caller->waits++;
        }
    }
    inlet_leave(caller->inlet);
    /* Now and then the producers are silent long enough to be forgotten. */
    if (dice_roll(&caller->dice, 50) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 3 * NS_PER_MS}, NULL);
    return open;
}

static void *offer_repeatedly(void *ctx)
{
    while (call(ctx))
        continue;
    atomic_fetch_sub(&putters_left, 1);
    return NULL;
}

/* ---- consumers ---- */

struct taker {
    pthread_t thread;
    struct dice dice; /* the taker's */
    struct wakeup wakeup;
    struct task ended;
    _Atomic enum { FREE, SERVING, ENDED } state;
    /* The taker's while SERVING, otherwise the loop's. */
    bool leaves_hard; /* leaves like a peer that is lost */
    struct chan *chan;
    struct chan_batch batch;
    struct stream_record record;
    uint64_t taken;
    /* The loop's. */
    bool wants_everything, selecting;  /* `selecting`: selected() is due */
    struct subscription *subscription; /* the taker's too while SERVING */
    struct subscription_result result;
    uint64_t served, total_taken;
    unsigned sources; /* the most that one subscription heard of */
};

static void on_position(void *ctx, const struct source *source, uint64_t sequence)
{
    stream_record_position(ctx, source, sequence);
}

/* What a hard end drops is not reported. */
static bool ended_hard(const struct taker *taker)
{
    struct chan_stats stats;

    chan_stats(taker->chan, &stats);
    return stats.dropped[LOSS_CONSUMER_GONE].events > 0;
}

/* As a Progress, and as a full token. */
static void report_positions(struct taker *taker)
{
    if (dice_roll(&taker->dice, 3) == 0)
        chan_positions(taker->chan, 1000, on_position, &taker->record);
    if (dice_roll(&taker->dice, 3) == 0)
        hub_filtered_positions(taker->subscription, 1000, on_position, &taker->record);
    if (dice_roll(&taker->dice, 3) == 0)
        CHECK(hub_positions(taker->subscription, stream_record_position, &taker->record) == 0);
    enum chan_state state = chan_state(taker->chan);
    if (state == CHAN_OPEN || state == CHAN_DRAINING) /* others may refuse events without a report */
        stream_record_check_positions(&taker->record);
}

/* Serves one batch. Returns true when more waits. */
static bool serve_batch(struct taker *taker)
{
    bool more = chan_dequeue(taker->chan, &taker->batch, 1 + (uint32_t)dice_roll(&taker->dice, 300), 1 << 16,
                             clock_mono_ns());

    taker->taken += stream_record_batch(&taker->record, &taker->batch);
    chan_losses(taker->chan, 1000, stream_record_loss, &taker->record);
    chan_states(taker->chan, 1000, NULL, NULL);
    report_positions(taker);
    if (dice_roll(&taker->dice, 200) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL); /* slow, with a batch in flight */
    check_totals(taker->chan);
    chan_delivered(taker->chan, &taker->batch);
    return more;
}

static void serve(struct taker *taker)
{
    bool gone = false;

    while (!gone) {
        enum chan_state state = chan_state(taker->chan);
        int64_t until_ns;

        while (serve_batch(taker))
            continue;
        until_ns = chan_blocked_until(taker->chan);
        if (taker->leaves_hard && dice_roll(&taker->dice, 400) == 0) {
            chan_dequeue(taker->chan, &taker->batch, 10, 1 << 16, clock_mono_ns());
            chan_lost(taker->chan, &taker->batch, LOSS_CONSUMER_GONE);
            return;
        }
        gone = state == CHAN_CLOSED || (state != CHAN_OPEN && chan_idle(taker->chan));
        if (!gone)
            wakeup_wait(&taker->wakeup, MIN_OF(MAX_OF(until_ns - clock_mono_ns(), 0), 20 * NS_PER_MS));
        chan_tick(taker->chan, clock_mono_ns());
    }
    if (!ended_hard(taker))
        stream_record_check_complete(&taker->record);
}

static void *take_repeatedly(void *ctx)
{
    struct taker *taker = ctx;

    while (!atomic_load(&stopping)) {
        if (atomic_load(&taker->state) == SERVING) {
            serve(taker);
            atomic_store(&taker->state, ENDED);
            loop_post(loop, &taker->ended);
        } else {
            wakeup_wait(&taker->wakeup, 20 * NS_PER_MS);
        }
    }
    return NULL;
}

static void ended(struct task *task)
{
    hub_unsubscribe(container_of(task, struct taker, ended)->subscription, FAULT_NONE);
}

static void left(void *ctx)
{
    struct taker *taker = ctx;
    struct chan_stats stats;

    CHECK(!taker->selecting);
    chan_stats(taker->chan, &stats);
    check_totals(taker->chan);
    CHECK(stats.queued.events == 0);
    CHECK(stats.delivered.events == taker->taken);
    chan_release(taker->chan);
    taker->chan = NULL;
    taker->subscription = NULL;
    taker->served++;
    taker->total_taken += taker->taken;
    taker->sources = MAX_OF(taker->sources, taker->record.count);
    atomic_store(&taker->state, FREE);
}

static void readable(void *ctx)
{
    wakeup_signal(&((struct taker *)ctx)->wakeup);
}

static void on_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    (void)ctx;
    CHECK(reason == CLOSING_FINISHED || reason == CLOSING_SERVER_DRAINING);
    CHECK(deadline_ns < INT64_MAX);
}

static void on_abort(void *ctx, const struct fault *fault)
{
    (void)ctx; /* the taker sees that the channel is closed */
    CHECK(fault->reason == FAULT_KICKED);
}

static void on_selected(void *ctx, enum fault_reason reason)
{
    struct taker *taker = ctx;

    CHECK(taker->selecting && (reason == FAULT_NONE || reason == FAULT_DRAINING));
    taker->selecting = false;
    selected[reason == FAULT_NONE]++;
}

static const struct subscription_port port = {
    .selected = on_selected, .closing = on_closing, .abort_call = on_abort, .left = left};

static void subscribe(struct taker *taker, struct dice *dice)
{
    static const char *const topics[] = {NULL, NULL, "a", "?"};
    const char *topic = topics[dice_roll(dice, ARRAY_LEN(topics))];
    struct subscription_params params = subscription_params_of(topic);
    struct fault fault;

    params.limits.max_events = 1 + (uint32_t)dice_roll(dice, 500);
    params.limits.overflow = (enum overflow)(1 + dice_roll(dice, 4));
    params.limits.fallback = (enum overflow)(2 + dice_roll(dice, 3));
    params.limits.block_timeout_ns = (int64_t)dice_roll(dice, 5) * NS_PER_MS;
    params.callbacks = (struct chan_callbacks){readable, taker};
    params.port = &port;
    params.ctx = taker;
    params.last = dice_roll(dice, 4) == 0 ? 10 : 0;
    taker->wants_everything = !topic || *topic == '?';
    stream_record_begin(&taker->record, taker->wants_everything);
    taker->leaves_hard = dice_roll(dice, 4) == 0;
    taker->taken = 0;
    taker->ended = (struct task){.run = ended};
    CHECK(hub_subscribe(hub, &params, &taker->subscription, &taker->result, &fault) == FAULT_NONE);
    taker->chan = taker->result.chan;
    atomic_store(&taker->state, SERVING);
    wakeup_signal(&taker->wakeup);
}

/* One that wants everything is given that in other words. */
static struct filter *some_filter(const struct taker *taker, struct dice *dice)
{
    static const char *const everything[][2] = {{"*", NULL}, {"*", "?"}, {"p*", NULL}, {"p?", "?"}};
    const char *const *words = everything[dice_roll(dice, ARRAY_LEN(everything))];

    if (taker->wants_everything)
        return filter_of(words[0], words[1], NULL);
    return filter_of("*", dice_roll(dice, 2) == 0 ? NULL : "a", NULL);
}

static void select_other_words(struct taker *taker, struct dice *dice)
{
    struct filter *filter;
    struct fault fault;

    if (taker->selecting)
        return;
    filter = some_filter(taker, dice);
    taker->selecting = true;
    if (hub_select(taker->subscription, filter, &fault) > 0)
        return;
    taker->selecting = false;
    filter_free(filter);
}

static void end_or_select(struct taker *taker, struct dice *dice)
{
    struct bytes id = text_of(taker->result.id);
    struct fault fault;

    switch (dice_roll(dice, 60)) {
    case 0:
        CHECK(hub_finish(hub, id, CLOSING_FINISHED, (int64_t)dice_roll(dice, 20) * NS_PER_MS, &fault) ==
              FAULT_NONE);
        break;
    case 1:
        CHECK(hub_disconnect(hub, id, text_of("off"), &fault) == FAULT_NONE);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        select_other_words(taker, dice);
        break;
    default:
        break;
    }
}

static void check_view(void *ctx, const struct producer_view *view)
{
    ++*(unsigned *)ctx;
    CHECK(view->published.events == view->last_sequence);
    CHECK(view->open_calls <= PUTTERS);
}

static void all_gone(void *ctx)
{
    *(bool *)ctx = true;
}

static void run_for(int64_t max_ns, struct taker *takers, struct dice *dice)
{
    int64_t until_ns = clock_mono_ns() + max_ns;
    unsigned views = 0;

    while (clock_mono_ns() < until_ns) {
        struct taker *taker = &takers[dice_roll(dice, CONSUMERS)];

        loop_turn(loop);
        if (taker->subscription)
            end_or_select(taker, dice);
        else
            subscribe(taker, dice);
        struct hub_list list = {.left = 100};
        while (hub_producers(hub, &list, check_view, &views))
            continue;
        nanosleep(&(struct timespec){.tv_nsec = 200 * NS_PER_US}, NULL);
    }
    CHECK(views > 0);
    hub_drain(hub, 20 * NS_PER_MS, all_gone, &emptied);
    while (!emptied || atomic_load(&putters_left) > 0) {
        loop_turn(loop);
        nanosleep(&(struct timespec){.tv_nsec = 100 * NS_PER_US}, NULL);
    }
}

static void report(const struct caller *callers, const struct taker *takers)
{
    uint64_t offered = 0, waits = 0, served = 0, taken = 0;
    unsigned sources = 0;

    for (unsigned i = 0; i < PUTTERS; i++) {
        offered += callers[i].events;
        waits += callers[i].waits;
    }
    for (unsigned i = 0; i < CONSUMERS; i++) {
        served += takers[i].served;
        taken += takers[i].total_taken;
        sources = MAX_OF(sources, takers[i].sources);
    }
    printf(
        "offered %llu events, held back %llu times; %llu subscriptions took %llu events and %llu selects\n",
        (unsigned long long)offered, (unsigned long long)waits, (unsigned long long)served,
        (unsigned long long)taken, (unsigned long long)selected[1]);
    CHECK((uint64_t)count_get(COUNT_EVENTS_IN) == offered);
    CHECK(offered > 0 && waits > 0 && served > CONSUMERS && taken > 0);
    CHECK(selected[1] > 0);
    CHECK(sources > PRODUCERS); /* some were forgotten and came again */
}

int main(int argc, char **argv)
{
    struct settings settings = settings_defaults;
    static struct caller callers[PUTTERS];
    static struct taker takers[CONSUMERS];
    int64_t run_ns = (argc > 1 ? strtoll(argv[1], NULL, 10) : 2) * NS_PER_S;
    struct dice dice = dice_new("stress_hub");

    log_setup(LOG_OFF, LOG_AS_TEXT, 2);
    CHECK(loop_new(&loop).code == ERR_OK);
    settings.max_producers = PRODUCERS;
    settings.max_subscriptions = CONSUMERS;
    settings.transient_forget_ns = NS_PER_MS;
    CHECK(loop_publish_settings(loop, &settings) == ERR_OK);
    CHECK(hub_new(loop, &hub).code == ERR_OK);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        takers[i] = (struct taker){.dice = {dice.state + i}, .wakeup = WAKEUP_INIT};
        stream_record_init(&takers[i].record);
        CHECK(pthread_create(&takers[i].thread, NULL, take_repeatedly, &takers[i]) == 0);
    }
    for (unsigned i = 0; i < PUTTERS; i++) {
        callers[i] = (struct caller){
            .dice = {dice.state + 100 + i}, .wakeup = WAKEUP_INIT, .task = {.run = open_inlet}};
        callers[i].waiter.over = on_unblocked;
        CHECK(pthread_create(&callers[i].thread, NULL, offer_repeatedly, &callers[i]) == 0);
    }
    run_for(run_ns, takers, &dice);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < PUTTERS; i++)
        pthread_join(callers[i].thread, NULL);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        pthread_join(takers[i].thread, NULL);
        chan_batch_fini(&takers[i].batch);
        stream_record_fini(&takers[i].record);
    }
    hub_free(hub);
    loop_free(loop);
    report(callers, takers);
    for (enum counter i = COUNT_LIVE_CHUNKS; i <= COUNT_LIVE_CHANNELS; i++)
        CHECK(count_get(i) == 0);
    return 0;
}
