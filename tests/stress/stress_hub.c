/* stress_hub.c - producers on three threads, consumers that come and go, takers on threads of their
 * own, producers that are forgotten all the time.
 *
 * Each taker checks what no interleaving may break: a source's sequences rise; whoever wanted
 * everything is told of each event of the stretch between its first and last, as an event or as a
 * loss; and the sums of its channel hold. At the end the events taken in are those that were
 * offered, and nothing is left alive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/counters.h"
#include "base/log.h"
#include "event/encode.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "flow/put_waiter.h"
#include "seam/hub_fixture.h"
#include "stress/bell.h"

#define PRODUCERS 8u
#define PUTTERS 3u
#define CONSUMERS 6u
#define MAX_SOURCES 4096u

static struct loop *loop;
static struct hub *hub;
static atomic_bool stopping;
static atomic_uint putters_left = PUTTERS;
static bool emptied;

/* ---- producers ---- */

struct offerer {
    pthread_t thread;
    struct dice dice;
    struct task task; /* asks the loop for an inlet */
    char name[8];
    struct inlet *inlet;
    bool refused;
    struct put_waiter waiter;
    _Atomic bool over;
    struct wakeup wakeup;
    uint64_t events;
    uint64_t held;
};

static void stall_over(struct put_waiter *waiter)
{
    struct offerer *offerer = container_of(waiter, struct offerer, waiter);

    inlet_unblocked(offerer->inlet);
    atomic_store(&offerer->over, true);
    bell_ring(&offerer->wakeup);
}

static void open_inlet(struct task *task)
{
    struct offerer *offerer = container_of(task, struct offerer, task);
    struct fault fault;

    offerer->refused =
        hub_inlet_open(hub, text_of(offerer->name), "putter", &offerer->inlet, &fault) != FAULT_NONE;
    atomic_store(&offerer->over, true);
    bell_ring(&offerer->wakeup);
}

static void await(struct offerer *offerer)
{
    while (!atomic_load(&offerer->over))
        bell_wait(&offerer->wakeup, NS_PER_S);
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

/* One call: finds or asks for its producer, offers a few chunks, leaves. False: the hub drains. */
static bool call(struct offerer *offerer)
{
    bool open = true;

    snprintf(offerer->name, sizeof(offerer->name), "p%u", (unsigned)dice_roll(&offerer->dice, PRODUCERS));
    offerer->inlet = hub_inlet_find(hub, text_of(offerer->name), "putter");
    if (!offerer->inlet) {
        atomic_store(&offerer->over, false);
        loop_post(loop, &offerer->task);
        await(offerer);
        if (offerer->refused)
            return false;
    }
    for (uint64_t chunks = dice_roll(&offerer->dice, 20); open && chunks > 0; chunks--) {
        OWNED(chunk_release) struct chunk *chunk = some_chunk(&offerer->dice);
        struct offer offer;
        enum err err;

        atomic_store(&offerer->over, false);
        err = inlet_offer(offerer->inlet, chunk, &offerer->waiter, &offer);
        open = err != ERR_CLOSED;
        if (open) {
            CHECK(offer.last_sequence - offer.first_sequence + 1 == chunk->count);
            offerer->events += chunk->count;
        }
        if (err == ERR_AGAIN) {
            await(offerer);
            offerer->held++;
        }
    }
    inlet_leave(offerer->inlet);
    /* Now and then everybody is silent long enough to be forgotten. */
    if (dice_roll(&offerer->dice, 50) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 3 * NS_PER_MS}, NULL);
    return open;
}

static void *offer_on(void *ctx)
{
    while (call(ctx))
        continue;
    atomic_fetch_sub(&putters_left, 1);
    return NULL;
}

/* ---- consumers ---- */

struct transcript { /* of one source */
    char name[8];
    uint64_t epoch, first, last, count, last_event;
};

struct seat {
    pthread_t thread;
    struct dice dice; /* the taker's */
    struct wakeup wakeup;
    struct task ended;
    _Atomic enum { FREE, SERVING, ENDED } state;
    /* The taker's while SERVING, otherwise the loop's. */
    bool wants_all;
    bool resets; /* leaves like a peer that is lost */
    struct chan *chan;
    struct chan_batch batch;
    struct transcript *transcript;
    unsigned heard_count;
    uint64_t taken;
    /* The loop's. */
    struct subscription *subscription;
    struct subscription_result result;
    uint64_t served, taken_by_all;
    unsigned sources; /* most that one subscription heard of */
};

static struct transcript *hear(struct seat *seat, const struct source *source)
{
    struct transcript *transcript;

    for (unsigned i = seat->heard_count; i-- > 0;)
        if (seat->transcript[i].epoch == source->epoch)
            return &seat->transcript[i];
    CHECK(seat->heard_count < MAX_SOURCES);
    transcript = &seat->transcript[seat->heard_count++];
    *transcript = (struct transcript){.epoch = source->epoch, .first = UINT64_MAX};
    memcpy(transcript->name, source->name, source->name_size + 1);
    return transcript;
}

static void stretch(struct transcript *transcript, uint64_t first, uint64_t last, uint64_t count)
{
    transcript->first = MIN_OF(transcript->first, first);
    transcript->last = MAX_OF(transcript->last, last);
    transcript->count += count;
}

static void on_loss(void *ctx, const struct lost_note *note)
{
    struct transcript *transcript = hear(ctx, note->source);

    CHECK(!note->count_unknown && note->count > 0);
    stretch(transcript, note->first_sequence, note->last_sequence, note->count);
}

/* One batch. Returns whether more waits. */
static bool serve_batch(struct seat *seat)
{
    bool more = chan_dequeue(seat->chan, &seat->batch, 1 + (uint32_t)dice_roll(&seat->dice, 300), 1 << 16,
                             clock_mono_ns());

    for (uint32_t i = 0; i < seat->batch.count; i++) {
        const struct chan_batch_entry *entry = &seat->batch.entries[i];
        struct transcript *transcript = hear(seat, entry->chunk->source);

        for (uint32_t event = entry->first; event < entry->last; event++) {
            uint64_t sequence = chunk_sequence(entry->chunk, event);

            CHECK(sequence > transcript->last_event);
            transcript->last_event = sequence;
            stretch(transcript, sequence, sequence, 1);
            seat->taken++;
        }
    }
    chan_losses(seat->chan, 1000, on_loss, seat);
    chan_states(seat->chan, 1000, NULL, NULL);
    if (dice_roll(&seat->dice, 200) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL); /* slow, with a batch in flight */
    check_totals(seat->chan);
    chan_delivered(seat->chan, &seat->batch);
    return more;
}

/* What a hard end drops is told to nobody. */
static void check_heard(const struct seat *seat)
{
    struct chan_stats stats;

    chan_stats(seat->chan, &stats);
    if (!seat->wants_all || stats.dropped[LOSS_CONSUMER_GONE].events > 0)
        return;
    for (unsigned i = 0; i < seat->heard_count; i++) {
        const struct transcript *transcript = &seat->transcript[i];

        CHECK(transcript->count == transcript->last - transcript->first + 1);
    }
}

static void serve(struct seat *seat)
{
    bool gone = false;

    while (!gone) {
        enum chan_state state = chan_state(seat->chan);
        int64_t until_ns;

        while (serve_batch(seat))
            continue;
        until_ns = chan_blocked_until(seat->chan);
        if (seat->resets && dice_roll(&seat->dice, 400) == 0) {
            chan_dequeue(seat->chan, &seat->batch, 10, 1 << 16, clock_mono_ns());
            chan_lost(seat->chan, &seat->batch, LOSS_CONSUMER_GONE);
            return;
        }
        gone = state == CHAN_CLOSED || (state != CHAN_OPEN && chan_idle(seat->chan));
        if (!gone)
            bell_wait(&seat->wakeup, MIN_OF(MAX_OF(until_ns - clock_mono_ns(), 0), 20 * NS_PER_MS));
        chan_tick(seat->chan, clock_mono_ns());
    }
    check_heard(seat);
}

static void *take_on(void *ctx)
{
    struct seat *seat = ctx;

    while (!atomic_load(&stopping)) {
        if (atomic_load(&seat->state) == SERVING) {
            serve(seat);
            atomic_store(&seat->state, ENDED);
            loop_post(loop, &seat->ended);
        } else {
            bell_wait(&seat->wakeup, 20 * NS_PER_MS);
        }
    }
    return NULL;
}

static void ended(struct task *task)
{
    struct seat *seat = container_of(task, struct seat, ended);
    struct chan_stats stats;

    hub_unsubscribe(seat->subscription, FAULT_NONE);
    chan_stats(seat->chan, &stats);
    check_totals(seat->chan);
    CHECK(stats.queued.events == 0);
    CHECK(stats.delivered.events == seat->taken);
    chan_release(seat->chan);
    seat->chan = NULL;
    seat->subscription = NULL;
    seat->served++;
    seat->taken_by_all += seat->taken;
    seat->sources = MAX_OF(seat->sources, seat->heard_count);
    atomic_store(&seat->state, FREE);
}

static void readable(void *ctx)
{
    bell_ring(&((struct seat *)ctx)->wakeup);
}

static void told_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    (void)ctx;
    CHECK(reason == CLOSING_FINISHED || reason == CLOSING_SERVER_DRAINING);
    CHECK(deadline_ns < INT64_MAX);
}

static void told_cut(void *ctx, const struct fault *fault)
{
    (void)ctx; /* the taker sees the channel closed */
    CHECK(fault->reason == FAULT_KICKED);
}

static const struct subscription_port port = {told_closing, told_cut};

static void subscribe(struct seat *seat, struct dice *dice)
{
    static const char *const topics[] = {NULL, NULL, "a", "?"};
    const char *topic = topics[dice_roll(dice, ARRAY_LEN(topics))];
    struct subscription_params params = subscription_params_of(topic);
    struct fault fault;

    params.limits.max_events = 1 + (uint32_t)dice_roll(dice, 500);
    params.limits.overflow = (enum overflow)(1 + dice_roll(dice, 4));
    params.limits.fallback = (enum overflow)(2 + dice_roll(dice, 3));
    params.limits.block_timeout_ns = (int64_t)dice_roll(dice, 5) * NS_PER_MS;
    params.callbacks = (struct chan_callbacks){readable, seat};
    params.port = &port;
    params.ctx = seat;
    seat->wants_all = topic == NULL;
    seat->resets = dice_roll(dice, 4) == 0;
    seat->heard_count = 0;
    seat->taken = 0;
    seat->ended = (struct task){.run = ended};
    CHECK(hub_subscribe(hub, &params, &seat->subscription, &seat->result, &fault) == FAULT_NONE);
    seat->chan = seat->result.chan;
    atomic_store(&seat->state, SERVING);
    bell_ring(&seat->wakeup);
}

static void disturb(struct seat *seat, struct dice *dice)
{
    struct bytes id = text_of(seat->result.id);
    struct fault fault;

    switch (dice_roll(dice, 60)) {
    case 0:
        CHECK(hub_finish(hub, id, CLOSING_FINISHED, (int64_t)dice_roll(dice, 20) * NS_PER_MS, &fault) ==
              FAULT_NONE);
        break;
    case 1:
        CHECK(hub_disconnect(hub, id, text_of("off"), &fault) == FAULT_NONE);
        break;
    default:
        break;
    }
}

static void look_at(void *ctx, const struct producer_view *view)
{
    ++*(unsigned *)ctx;
    CHECK(view->published.events == view->last_sequence);
    CHECK(view->open_calls <= PUTTERS);
}

static void all_gone(void *ctx)
{
    *(bool *)ctx = true;
}

static void run_for(int64_t max_ns, struct seat *seats, struct dice *dice)
{
    int64_t until_ns = clock_mono_ns() + max_ns;
    unsigned looked = 0;

    while (clock_mono_ns() < until_ns) {
        struct seat *seat = &seats[dice_roll(dice, CONSUMERS)];

        loop_turn(loop);
        if (seat->subscription)
            disturb(seat, dice);
        else
            subscribe(seat, dice);
        hub_producers(hub, text_of(""), text_of(""), 100, look_at, &looked);
        nanosleep(&(struct timespec){.tv_nsec = 200 * NS_PER_US}, NULL);
    }
    CHECK(looked > 0);
    hub_drain(hub, 20 * NS_PER_MS, all_gone, &emptied);
    while (!emptied || atomic_load(&putters_left) > 0) {
        loop_turn(loop);
        nanosleep(&(struct timespec){.tv_nsec = 100 * NS_PER_US}, NULL);
    }
}

static void report(const struct offerer *offerers, const struct seat *seats)
{
    uint64_t offered = 0, held = 0, served = 0, taken = 0;
    unsigned sources = 0;

    for (unsigned i = 0; i < PUTTERS; i++) {
        offered += offerers[i].events;
        held += offerers[i].held;
    }
    for (unsigned i = 0; i < CONSUMERS; i++) {
        served += seats[i].served;
        taken += seats[i].taken_by_all;
        sources = MAX_OF(sources, seats[i].sources);
    }
    printf("offered %llu events, held back %llu times; %llu subscriptions took %llu events\n",
           (unsigned long long)offered, (unsigned long long)held, (unsigned long long)served,
           (unsigned long long)taken);
    CHECK((uint64_t)count_get(COUNT_EVENTS_IN) == offered);
    CHECK(offered > 0 && held > 0 && served > CONSUMERS && taken > 0);
    CHECK(sources > PRODUCERS); /* some were forgotten and came again */
}

int main(int argc, char **argv)
{
    static const struct hub_limits limits = {
        .max_producers = PRODUCERS, .max_subscriptions = CONSUMERS, .transient_forget_ns = NS_PER_MS};
    static struct offerer offerers[PUTTERS];
    static struct seat seats[CONSUMERS];
    int64_t run_ns = (argc > 1 ? strtoll(argv[1], NULL, 10) : 2) * NS_PER_S;
    struct dice dice = dice_new("stress_hub");

    log_setup(LOG_OFF, LOG_AS_TEXT, 2);
    CHECK(loop_new(&loop).code == ERR_OK);
    CHECK(hub_new(loop, &limits, &hub).code == ERR_OK);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        seats[i] = (struct seat){
            .dice = {dice.state + i}, .wakeup = BELL, .transcript = calloc(MAX_SOURCES, sizeof(struct transcript))};
        CHECK(seats[i].transcript && pthread_create(&seats[i].thread, NULL, take_on, &seats[i]) == 0);
    }
    for (unsigned i = 0; i < PUTTERS; i++) {
        offerers[i] =
            (struct offerer){.dice = {dice.state + 100 + i}, .wakeup = BELL, .task = {.run = open_inlet}};
        offerers[i].waiter.over = stall_over;
        CHECK(pthread_create(&offerers[i].thread, NULL, offer_on, &offerers[i]) == 0);
    }
    run_for(run_ns, seats, &dice);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < PUTTERS; i++)
        pthread_join(offerers[i].thread, NULL);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        pthread_join(seats[i].thread, NULL);
        chan_batch_fini(&seats[i].batch);
        free(seats[i].transcript);
    }
    hub_free(hub);
    loop_free(loop);
    report(offerers, seats);
    for (enum counter i = COUNT_LIVE_CHUNKS; i <= COUNT_LIVE_CHANNELS; i++)
        CHECK(count_get(i) == 0);
    return 0;
}
