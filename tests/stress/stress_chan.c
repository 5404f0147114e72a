/* stress_chan.c - one channel with four putters, shared and pausable, one taker, and a thread that
 * reads the stats; any policy, any ending. Order, losses and totals must come out exact. No
 * producer is asked to pause twice, or after its feed was closed.
 *
 * For ThreadSanitizer. A failure names its seed; TRIBUTARY_SEED=<it> runs that round alone. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/splitmix.h"
#include "base/threads.h"
#include "event/encode.h"
#include "flow/chan.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "flow/feed.h"
#include "flow/put_waiter.h"
#include "flow/totals.h"
#include "lib/chunks.h"
#include "lib/events.h"

#define ROUNDS 300
#define PUTTERS 4
#define PUTS 150
#define MAX_EVENTS 20

struct flag {
    pthread_mutex_t lock;
    pthread_cond_t raised;
    bool up;
};

struct putter {
    struct round *round;
    struct source *source;
    struct feed *feed;
    _Atomic uint64_t routed; /* what the feed follows */
    struct put_waiter waiter;
    struct flag over; /* of the put waiter; pausable: the producer may go on */
    bool pausable;
    /* Pausable feeds: written by set_paused(), one call at a time. `closed`: feed_close() has
     * returned. */
    bool paused, closed;
    _Atomic bool pause_asked; /* pausable: the producer was asked to pause */
    uint64_t marks[PUTS + 1]; /* the last sequence that was put before each mark */
    uint64_t marked;          /* the taker's: that of the last mark that was reported */
    uint64_t random;
    uint64_t accepted;                    /* events of puts that were accepted */
    uint64_t delivered, lost, last_taken; /* the taker's */
    pthread_t thread;
};

struct round {
    uint64_t seed, random;
    struct chan_limits limits;
    struct chan *chan;
    struct putter putters[PUTTERS];
    struct flag readable;
    _Atomic uint32_t putting; /* putters that are not done */
    uint64_t reasons[LOSS_COUNT];
};

#define HOLDS(round, condition)                                                                              \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "stress_chan: seed %llu, line %d: %s\n", (unsigned long long)(round)->seed,      \
                    __LINE__, #condition);                                                                   \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static uint32_t roll(uint64_t *random, uint32_t sides)
{
    return (uint32_t)(splitmix64(random) % sides);
}

static void flag_init(struct flag *flag)
{
    pthread_mutex_init(&flag->lock, NULL);
    cond_init(&flag->raised);
    flag->up = false;
}

static void flag_fini(struct flag *flag)
{
    pthread_cond_destroy(&flag->raised);
    pthread_mutex_destroy(&flag->lock);
}

static void flag_raise(struct flag *flag)
{
    pthread_mutex_lock(&flag->lock);
    flag->up = true;
    pthread_cond_signal(&flag->raised);
    pthread_mutex_unlock(&flag->lock);
}

/* Waits until the flag is up, and lowers it. False: it is past `until_ns`. */
static bool flag_await(struct flag *flag, int64_t until_ns)
{
    bool up;

    pthread_mutex_lock(&flag->lock);
    while (!flag->up && cond_wait_until(&flag->raised, &flag->lock, until_ns))
        continue;
    up = flag->up;
    flag->up = false;
    pthread_mutex_unlock(&flag->lock);
    return up;
}

static void on_readable(void *ctx)
{
    struct round *round = ctx;

    flag_raise(&round->readable);
}

static void on_over(struct put_waiter *waiter)
{
    flag_raise(&container_of(waiter, struct putter, waiter)->over);
}

static void set_paused(void *ctx, bool pause)
{
    struct putter *putter = ctx;

    HOLDS(putter->round, putter->paused != pause && !putter->closed);
    putter->paused = pause;
    atomic_store(&putter->pause_asked, pause);
    if (!pause)
        flag_raise(&putter->over);
}

static struct chunk *draw_chunk(struct putter *putter, uint64_t first_sequence)
{
    uint32_t count = 1 + roll(&putter->random, MAX_EVENTS), size = 1 + roll(&putter->random, 50);
    struct chunk *chunk;

    if (putter->round->limits.overflow != OVERFLOW_LATEST_PER_KEY)
        return chunk_even(putter->source, first_sequence, clock_mono_ns(), count, size);
    chunk = sample_chunk(count, "t", size);
    chunk->source = source_retain(putter->source);
    chunk->first_sequence = first_sequence;
    chunk->observed_mono_ns = clock_mono_ns();
    return chunk;
}

/* Three of four times the producer pauses for a while when it was asked to. */
static enum err put_pausable(struct putter *putter, struct chunk *chunk)
{
    if (atomic_load(&putter->pause_asked) && roll(&putter->random, 4))
        (void)flag_await(&putter->over, clock_mono_ns() + NS_PER_MS);
    return chan_put(putter->round->chan, putter->feed, chunk, 0, chunk->count, NULL);
}

static enum err put_waiting(struct putter *putter, struct chunk *chunk)
{
    enum err err;

    put_waiter_begin(&putter->waiter);
    err = chan_put(putter->round->chan, putter->feed, chunk, 0, chunk->count, &putter->waiter);
    if (put_waiter_end(&putter->waiter) == ERR_AGAIN)
        HOLDS(putter->round, flag_await(&putter->over, clock_mono_ns() + 60 * NS_PER_S));
    return err;
}

static void set_mark(struct putter *putter, uint32_t number, uint64_t sequence)
{
    putter->marks[number] = sequence;
    chan_mark(putter->round->chan, number * PUTTERS + (uint32_t)putter->source->epoch);
}

static void *put_all(void *ctx)
{
    struct putter *putter = ctx;
    struct round *round = putter->round;
    uint64_t next = 1;
    enum err err = ERR_OK;

    putter->waiter.over = on_over;
    for (int i = 0; i < PUTS && err != ERR_CLOSED; i++) {
        struct chunk *chunk = draw_chunk(putter, next);
        uint32_t count = chunk->count;

        err = putter->pausable ? put_pausable(putter, chunk) : put_waiting(putter, chunk);
        if (err != ERR_CLOSED)
            putter->accepted += count;
        next += count + roll(&putter->random, 2);
        atomic_store_explicit(&putter->routed, next - 1, memory_order_release);
        chunk_release(chunk);
        if (roll(&putter->random, 8) == 0)
            set_mark(putter, (uint32_t)i + 1, next - 1);
    }
    feed_close(round->chan, putter->feed, 9, 5, "done");
    putter->closed = true;
    if (atomic_fetch_sub(&round->putting, 1) > 1)
        return NULL;
    chan_drain(round->chan);
    if (chan_state(round->chan) == CHAN_BROKEN)
        chan_close(round->chan, LOSS_CONSUMER_GONE);
    return NULL;
}

static struct putter *putter_of(struct round *round, const struct source *source)
{
    return &round->putters[source->epoch];
}

static void on_loss(void *ctx, const struct lost_note *note)
{
    struct round *round = ctx;

    putter_of(round, note->source)->lost += note->count;
    round->reasons[note->reason] += note->count;
}

static void on_position(void *ctx, const struct source *source, uint64_t sequence)
{
    struct round *round = ctx;

    HOLDS(round, sequence >= putter_of(round, source)->last_taken);
}

static void on_state(void *ctx, const struct feed_change *change)
{
    struct round *round = ctx;

    HOLDS(round, change->source->epoch < PUTTERS &&
                     (change->state == 1 || (change->state == 9 && strcmp(change->message, "done") == 0)));
}

static void check_order(struct round *round, const struct chan_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct chan_batch_entry *entry = &batch->entries[i];
        struct putter *putter = putter_of(round, entry->chunk->source);

        HOLDS(round,
              entry->chunk->first_sequence + entry->first > MAX_OF(putter->last_taken, putter->marked));
        putter->last_taken = entry->chunk->first_sequence + entry->last - 1;
    }
}

static void check_mark(struct round *round)
{
    uint32_t mark = chan_marked(round->chan);

    if (mark > 0)
        round->putters[mark % PUTTERS].marked = round->putters[mark % PUTTERS].marks[mark / PUTTERS];
}

static void complete(struct round *round, struct chan_batch *batch)
{
    bool lost = roll(&round->random, 20) == 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct chan_batch_entry *entry = &batch->entries[i];

        if (!lost)
            putter_of(round, entry->chunk->source)->delivered += entry->last - entry->first;
    }
    if (lost)
        chan_lost(round->chan, batch, LOSS_DRAIN_CUT);
    else
        chan_delivered(round->chan, batch);
}

static void *take_all(void *ctx)
{
    struct round *round = ctx;
    struct chan_batch batch = {0};
    bool more = true;

    while (chan_state(round->chan) == CHAN_OPEN || chan_state(round->chan) == CHAN_BROKEN ||
           !chan_idle(round->chan)) {
        if (!more || roll(&round->random, 8) == 0)
            if (!flag_await(&round->readable,
                            MIN_OF(chan_blocked_until(round->chan), clock_mono_ns() + NS_PER_MS)))
                chan_tick(round->chan, clock_mono_ns());
        check_mark(round);
        more = chan_dequeue(round->chan, &batch, 1 + roll(&round->random, 40), 1 + roll(&round->random, 2000),
                            clock_mono_ns());
        check_order(round, &batch);
        chan_losses(round->chan, UINT32_MAX, on_loss, round);
        chan_positions(round->chan, UINT32_MAX, on_position, round);
        chan_states(round->chan, UINT32_MAX, on_state, round);
        complete(round, &batch);
    }
    chan_losses(round->chan, UINT32_MAX, on_loss, round);
    chan_states(round->chan, UINT32_MAX, on_state, round);
    chan_batch_fini(&batch);
    return NULL;
}

static bool balanced(const struct chan_stats *stats)
{
    struct totals dropped = chan_dropped(stats);

    return stats->accepted.events == stats->delivered.events + dropped.events + stats->queued.events &&
           stats->accepted.bytes == stats->delivered.bytes + dropped.bytes + stats->queued.bytes;
}

static void begin(struct round *round, uint64_t seed)
{
    static const int64_t timeouts[] = {0, NS_PER_MS / 10, 50 * NS_PER_MS, INT64_MAX};
    struct chan_callbacks callbacks = {.readable = on_readable, .ctx = round};

    *round = (struct round){.seed = seed, .random = seed, .putting = PUTTERS};
    round->limits = (struct chan_limits){
        .max_events = 1 + roll(&round->random, 60),
        .max_bytes = 1 + roll(&round->random, 3000),
        .max_age_ns = roll(&round->random, 3) ? 0 : NS_PER_MS / 5,
        .overflow = (enum overflow)(roll(&round->random, 2) ? roll(&round->random, 2)
                                                            : roll(&round->random, OVERFLOW_COUNT)),
        .fallback = (enum overflow)(OVERFLOW_DROP_OLDEST + roll(&round->random, 3)),
        .block_timeout_ns = timeouts[roll(&round->random, 4)]};
    round->chan = chan_new(&round->limits, &callbacks);
    HOLDS(round, round->chan);
    flag_init(&round->readable);
    for (uint32_t i = 0; i < PUTTERS; i++) {
        struct putter *putter = &round->putters[i];

        putter->round = round;
        putter->random = seed * PUTTERS + i;
        putter->source = source_named("putter", i);
        putter->pausable = roll(&round->random, 2);
        putter->feed = feed_open(
            round->chan, putter->source, 1,
            putter->pausable ? &(struct pause_port){.set_paused = set_paused, .ctx = putter} : NULL);
        HOLDS(round, putter->feed);
        feed_follow(putter->feed, &putter->routed);
        flag_init(&putter->over);
    }
}

static void check_end(struct round *round)
{
    struct chan_stats stats;
    uint64_t accepted = 0, delivered = 0, lost = 0;

    chan_stats(round->chan, &stats);
    HOLDS(round, balanced(&stats) && stats.queued.events == 0 && !stats.blocked);
    for (uint32_t i = 0; i < PUTTERS; i++) {
        accepted += round->putters[i].accepted;
        delivered += round->putters[i].delivered;
        lost += round->putters[i].lost;
    }
    HOLDS(round, stats.accepted.events == accepted);
    HOLDS(round, stats.delivered.events == delivered);
    HOLDS(round, chan_dropped(&stats).events == lost + stats.dropped[LOSS_CONSUMER_GONE].events);
    for (int i = 0; i < LOSS_COUNT; i++)
        HOLDS(round, i == LOSS_CONSUMER_GONE || stats.dropped[i].events == round->reasons[i]);
}

static void end(struct round *round)
{
    chan_release(round->chan);
    flag_fini(&round->readable);
    for (uint32_t i = 0; i < PUTTERS; i++) {
        source_release(round->putters[i].source);
        flag_fini(&round->putters[i].over);
    }
    HOLDS(round, count_get(COUNT_LIVE_CHUNKS) == 0 && count_get(COUNT_LIVE_CHANNELS) == 0);
}

static void run(uint64_t seed)
{
    struct round round;
    struct chan_stats stats;
    pthread_t taker;
    uint64_t patience;

    begin(&round, seed);
    patience = roll(&round.random, 4) ? UINT64_MAX : roll(&round.random, 2000);
    HOLDS(&round, pthread_create(&taker, NULL, take_all, &round) == 0);
    for (uint32_t i = 0; i < PUTTERS; i++)
        HOLDS(&round, pthread_create(&round.putters[i].thread, NULL, put_all, &round.putters[i]) == 0);
    /* The totals hold at any moment. Now and then the channel is closed too early. */
    do {
        chan_stats(round.chan, &stats);
        HOLDS(&round, balanced(&stats));
        if (stats.accepted.events > patience)
            chan_close(round.chan, seed % 2 ? LOSS_CONSUMER_GONE : LOSS_DRAIN_CUT);
    } while (atomic_load(&round.putting) > 0);
    for (uint32_t i = 0; i < PUTTERS; i++)
        pthread_join(round.putters[i].thread, NULL);
    pthread_join(taker, NULL);
    check_end(&round);
    end(&round);
}

int main(void)
{
    const char *seed = getenv("TRIBUTARY_SEED");

    if (seed)
        run(strtoull(seed, NULL, 0));
    else
        for (uint64_t i = 1; i <= ROUNDS; i++)
            run(i);
    return 0;
}
