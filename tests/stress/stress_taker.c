/* stress_taker.c - takers whose owners complete batches at once or on a worker, pause, resume and
 * close; producers on three threads; subscriptions that are finished and disconnected; and settings
 * that are published all the time.
 *
 * Each owner checks that a batch is in flight at most once, that the sequences of a source rise,
 * and that ended() comes once. The totals of its channel hold, and are what it was given. Each
 * reader of the settings checks that it sees whole versions, in order. At the end nothing is left
 * alive.  */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/log.h"
#include "flow/chan_stats.h"
#include "hub/taker.h"
#include "loop/workers.h"
#include "seam/hub_fixture.h"
#include "stress/wakeup.h"

#define PUTTERS 3u
#define OWNERS 6u

static struct loop *loop;
static struct hub *hub;
static struct workers *workers;
static struct dice dice; /* the loop's */
static atomic_bool stopping;
static atomic_uint putters_left = PUTTERS;

/* ---- settings ---- */

/* Every version has its number in two members. */
static uint64_t check_settings(uint64_t latest)
{
    const struct settings *settings = loop_settings(loop);

    CHECK(settings->version >= latest);
    CHECK(settings->max_connections == settings->version &&
          settings->core_quota_bytes == (int64_t)settings->version);
    return settings->version;
}

static void publish_settings(void)
{
    struct settings settings = settings_defaults;

    settings.max_connections = (uint32_t)loop_settings(loop)->version + 1;
    settings.core_quota_bytes = (int64_t)settings.max_connections;
    settings.max_subscriptions = (uint32_t)(OWNERS / 2 + dice_roll(&dice, OWNERS));
    CHECK(loop_publish_settings(loop, &settings) == ERR_OK);
}

/* ---- producers ---- */

struct caller {
    pthread_t thread;
    struct dice dice;
    struct inlet *inlet;
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

static void *offer_repeatedly(void *ctx)
{
    struct caller *caller = ctx;
    uint64_t version = 0;

    while (!atomic_load(&stopping)) {
        OWNED(chunk_release)
        struct chunk *chunk =
            sample_chunk(1 + (uint32_t)dice_roll(&caller->dice, 50), "t", dice_roll(&caller->dice, 40));
        struct offer offer;

        version = check_settings(version);
        atomic_store(&caller->over, false);
        enum err err = inlet_offer(caller->inlet, chunk, &caller->waiter, &offer);
        CHECK(err == ERR_OK || err == ERR_AGAIN);
        caller->events += chunk->count;
        if (err == ERR_AGAIN) {
            caller->waits++;
            while (!atomic_load(&caller->over))
                wakeup_wait(&caller->wakeup, NS_PER_S);
        }
    }
    atomic_fetch_sub(&putters_left, 1);
    return NULL;
}

/* ---- owners ---- */

struct owner {
    struct taker *taker; /* NULL: it has ended */
    struct chan *chan;
    struct job job; /* completes the batch in flight from a worker */
    struct taker_batch copy;
    uint64_t latest[PUTTERS]; /* sequences of this subscription */
    uint64_t seen, given, delivered;
    bool in_flight;
    uint64_t ends, events; /* of all its takers */
};

static struct owner owners[OWNERS];

static void check_events(struct owner *owner, const struct chan_batch *events)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < events->count; i++) {
        const struct chan_batch_entry *entry = &events->entries[i];
        uint64_t *latest = &owner->latest[entry->chunk->source->name[1] - '0'];

        CHECK(chunk_sequence(entry->chunk, entry->first) > *latest);
        *latest = chunk_sequence(entry->chunk, entry->last - 1);
        count += entry->last - entry->first;
    }
    CHECK(count == events->events && count <= MAX_TAKER_EVENTS);
}

static void complete(struct owner *owner)
{
    bool delivered = dice_roll(&dice, 10) > 0;

    owner->in_flight = false;
    owner->delivered += delivered ? owner->copy.events->events : 0;
    taker_complete(owner->taker, delivered);
}

/* A worker reads the batch, as one that writes it would. */
static void write_on_worker(struct job *job)
{
    struct owner *owner = container_of(job, struct owner, job);

    for (uint32_t i = 0; i < owner->copy.events->count; i++)
        owner->seen += owner->copy.events->entries[i].chunk->source->name_size;
    for (uint32_t i = 0; i < owner->copy.loss_count; i++)
        owner->seen += owner->copy.losses[i].source->name_size;
    for (uint32_t i = 0; i < owner->copy.state_count; i++)
        owner->seen += owner->copy.states[i].source->name_size;
}

static void written(struct job *job)
{
    complete(container_of(job, struct owner, job));
}

static void on_batch(void *ctx, const struct taker_batch *batch)
{
    struct owner *owner = ctx;

    CHECK(!owner->in_flight);
    owner->in_flight = true;
    owner->copy = *batch;
    owner->given += batch->events->events;
    check_events(owner, batch->events);
    if (dice_roll(&dice, 20) == 0)
        taker_close(owner->taker);
    if (dice_roll(&dice, 20) == 0)
        taker_pause(owner->taker);
    if (dice_roll(&dice, 2) > 0 || workers_submit(workers, &owner->job))
        complete(owner);
}

static void on_ended(void *ctx, const struct fault *fault)
{
    struct owner *owner = ctx;
    struct chan_stats stats;

    (void)fault;
    CHECK(owner->taker && !owner->in_flight);
    owner->taker = NULL;
    owner->ends++;
    owner->events += owner->given;
    chan_stats(owner->chan, &stats);
    CHECK(stats.queued.events == 0 && stats.delivered.events == owner->delivered);
    CHECK(stats.accepted.events == stats.delivered.events + chan_dropped(&stats).events);
    chan_release(owner->chan);
}

static const struct taker_port port = {.batch = on_batch, .ended = on_ended};

static void open_taker(struct owner *owner)
{
    struct taker_params params = {.subscription = subscription_params_of(NULL),
                                  .max_events = 1 + (uint32_t)dice_roll(&dice, MAX_TAKER_EVENTS),
                                  .max_bytes = 1 + (uint32_t)dice_roll(&dice, MAX_TAKER_BYTES),
                                  .port = &port,
                                  .ctx = owner};
    struct fault fault;
    uint64_t ends = owner->ends, events = owner->events, seen = owner->seen;

    params.subscription.limits.max_events = 1 + (uint32_t)dice_roll(&dice, 500);
    params.subscription.limits.overflow = (enum overflow)(1 + dice_roll(&dice, 4));
    params.subscription.limits.fallback = (enum overflow)(2 + dice_roll(&dice, 3));
    params.subscription.limits.block_timeout_ns = (int64_t)dice_roll(&dice, 5) * NS_PER_MS;
    *owner = (struct owner){
        .job = {.run = write_on_worker, .done = written}, .ends = ends, .events = events, .seen = seen};
    if (taker_open(hub, loop, &params, &owner->taker, &fault))
        filter_free(params.subscription.filter);
    else
        owner->chan = chan_retain(taker_chan(owner->taker));
}

/* A taker that has ended may be leaving, in slices: then the hub knows it no more. */
static void check_known(enum fault_reason reason)
{
    CHECK(reason == FAULT_NONE || reason == FAULT_SUBSCRIPTION_NOT_FOUND);
}

/* One random act on one owner. */
static void act(struct owner *owner)
{
    struct fault fault;

    if (!owner->taker) {
        open_taker(owner);
        return;
    }
    switch (dice_roll(&dice, 8)) {
    case 0:
        taker_close(owner->taker);
        break;
    case 1:
        check_known(hub_finish(hub, text_of(taker_id(owner->taker)), CLOSING_FINISHED,
                               (int64_t)dice_roll(&dice, 3) * NS_PER_MS, &fault));
        break;
    case 2:
        check_known(hub_disconnect(hub, text_of(taker_id(owner->taker)), text_of("x"), &fault));
        break;
    case 3:
        taker_pause(owner->taker);
        break;
    default:
        taker_resume(owner->taker);
        break;
    }
}

static bool any_taker(void)
{
    for (unsigned i = 0; i < OWNERS; i++)
        if (owners[i].taker)
            return true;
    return false;
}

static void run_for(int64_t ns)
{
    int64_t until_ns = clock_mono_ns() + ns;

    while (clock_mono_ns() < until_ns) {
        loop_turn(loop);
        if (dice_roll(&dice, 20) == 0)
            act(&owners[dice_roll(&dice, OWNERS)]);
        if (dice_roll(&dice, 200) == 0)
            publish_settings();
    }
    atomic_store(&stopping, true);
    while (atomic_load(&putters_left) > 0)
        loop_turn(loop);
    for (unsigned i = 0; i < OWNERS; i++)
        if (owners[i].taker)
            taker_close(owners[i].taker);
    while (any_taker())
        loop_turn(loop);
}

int main(int argc, char **argv)
{
    static struct caller callers[PUTTERS];
    int64_t run_ns = (argc > 1 ? strtoll(argv[1], NULL, 10) : 2) * NS_PER_S;
    uint64_t offered = 0, waits = 0, ends = 0, taken = 0;
    struct fault fault;

    dice = dice_new("stress_taker");
    log_setup(LOG_OFF, LOG_AS_TEXT, 2);
    CHECK(loop_new(&loop).code == ERR_OK);
    publish_settings();
    CHECK(hub_new(loop, &hub).code == ERR_OK);
    CHECK(workers_new(loop, 2, OWNERS, &workers).code == ERR_OK);
    for (unsigned i = 0; i < PUTTERS; i++) {
        char name[8];

        snprintf(name, sizeof(name), "p%u", i);
        callers[i] = (struct caller){.dice = {dice.state + 100 + i}, .wakeup = WAKEUP_INIT};
        callers[i].waiter.over = on_unblocked;
        CHECK(hub_inlet_open(hub, text_of(name), "putter", NO_PEER, &callers[i].inlet, &fault) == FAULT_NONE);
        CHECK(pthread_create(&callers[i].thread, NULL, offer_repeatedly, &callers[i]) == 0);
    }
    run_for(run_ns);
    for (unsigned i = 0; i < PUTTERS; i++) {
        pthread_join(callers[i].thread, NULL);
        inlet_leave(callers[i].inlet);
        offered += callers[i].events;
        waits += callers[i].waits;
    }
    workers_free(workers);
    hub_free(hub);
    printf("%llu versions of the settings; ", (unsigned long long)loop_settings(loop)->version);
    CHECK(loop_settings(loop)->version > 1);
    loop_free(loop);
    for (unsigned i = 0; i < OWNERS; i++) {
        ends += owners[i].ends;
        taken += owners[i].events;
    }
    printf("offered %llu events, held back %llu times; %llu takers took %llu events\n",
           (unsigned long long)offered, (unsigned long long)waits, (unsigned long long)ends,
           (unsigned long long)taken);
    CHECK(offered > 0 && waits > 0 && ends > OWNERS && taken > 0);
    for (enum counter i = COUNT_LIVE_CHUNKS; i <= COUNT_LIVE_CHANNELS; i++)
        CHECK(count_get(i) == 0);
    return 0;
}
