/* ticker.c - see ticker.h.
 *
 * DESIGN. ticker_set() takes the lock only where its time is earlier than the one that the thread
 * waits for. While the thread looks through the slots, `next_ns` is INT64_MAX. So either the thread
 * sees the new time in the slot, or ticker_set() sees INT64_MAX and wakes the thread. */
#include "client/lib/batch/ticker.h"

#include "base/clock.h"
#include "base/threads.h"

/* Times that lie so close together share one wake-up. */
#define APART_NS (NS_PER_MS / 4)

static int64_t earliest(struct ticker *ticker)
{
    int64_t at_ns = INT64_MAX;

    for (unsigned slot = 0; slot < TICKER_SLOTS; slot++)
        at_ns = MIN_OF(at_ns, atomic_load(&ticker->slots[slot]));
    return at_ns;
}

static void tick_due(struct ticker *ticker, int64_t now_ns)
{
    for (unsigned slot = 0; slot < TICKER_SLOTS; slot++)
        if (atomic_load(&ticker->slots[slot]) <= now_ns)
            ticker->tick(ticker->ctx, slot);
}

static void *run(void *ctx)
{
    struct ticker *ticker = ctx;
    int64_t not_before_ns = 0;

    pthread_mutex_lock(&ticker->lock);
    while (!ticker->ends) {
        atomic_store(&ticker->next_ns, INT64_MAX);

        const int64_t next_ns = MAX_OF(earliest(ticker), not_before_ns);

        atomic_store(&ticker->next_ns, next_ns);
        if (cond_wait_until(&ticker->changed, &ticker->lock, next_ns))
            continue;
        pthread_mutex_unlock(&ticker->lock);
        not_before_ns = clock_mono_ns() + APART_NS;
        tick_due(ticker, clock_mono_ns());
        pthread_mutex_lock(&ticker->lock);
    }
    pthread_mutex_unlock(&ticker->lock);
    return NULL;
}

bool ticker_begin(struct ticker *ticker, void (*tick)(void *ctx, unsigned slot), void *ctx)
{
    for (unsigned slot = 0; slot < TICKER_SLOTS; slot++)
        atomic_init(&ticker->slots[slot], INT64_MAX);
    atomic_init(&ticker->next_ns, INT64_MAX);
    ticker->ends = false;
    ticker->tick = tick;
    ticker->ctx = ctx;
    pthread_mutex_init(&ticker->lock, NULL);
    cond_init(&ticker->changed);
    if (thread_start(&ticker->thread, run, ticker, "tributary-time") == 0)
        return true;
    pthread_cond_destroy(&ticker->changed);
    pthread_mutex_destroy(&ticker->lock);
    return false;
}

void ticker_end(struct ticker *ticker)
{
    pthread_mutex_lock(&ticker->lock);
    ticker->ends = true;
    pthread_cond_signal(&ticker->changed);
    pthread_mutex_unlock(&ticker->lock);
    pthread_join(ticker->thread, NULL);
    pthread_cond_destroy(&ticker->changed);
    pthread_mutex_destroy(&ticker->lock);
}

void ticker_set(struct ticker *ticker, unsigned slot, int64_t at_ns)
{
    atomic_store(&ticker->slots[slot], at_ns);
    if (at_ns >= atomic_load(&ticker->next_ns))
        return;
    pthread_mutex_lock(&ticker->lock);
    pthread_cond_signal(&ticker->changed);
    pthread_mutex_unlock(&ticker->lock);
}
