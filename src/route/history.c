/* history.c - the latest chunks of a shared source.
 *
 * Whole chunks are kept, in a ring: the fewest of the latest that hold as many events as it
 * may have, and fewer where they pin more bytes. The newest chunk is always kept, however large it
 * is, because the history would have a gap without it.
 *
 * All histories that keep something stand in one list, in the order of their latest chunks. While
 * more than half of the budget is used, the first of them give way to each chunk that comes. Where
 * that is not enough the chunk is not kept, and nothing of its source. */
#include "route/history.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/list.h"
#include "route/data_path.h"
#include "route/route_put.h"
#include "route/wanted.h"

#define MIN_CAPACITY 16u

/* How many chunks give way to one that comes. */
#define SHED_FOR_ONE 16u

struct history {
    struct list link; /* in `kept`, while it keeps something */
    struct chunk **chunks;
    uint32_t first, count, capacity; /* `capacity` is a power of two, or 0 */
    uint64_t events, pinned;
    struct history_bounds bounds; /* constant */
};

/* Guards all histories. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Those that keep something; the one whose source has been quiet for longest comes first. */
static struct list kept = {&kept, &kept};

struct history *history_new(const struct history_bounds *bounds)
{
    struct history *history = calloc(1, sizeof(*history));

    if (!history)
        return NULL;
    history->bounds = bounds ? *bounds : (struct history_bounds){HISTORY_EVENTS, HISTORY_BYTES};
    list_init(&history->link);
    return history;
}

static struct chunk *at(const struct history *history, uint32_t index)
{
    return history->chunks[(history->first + index) & (history->capacity - 1)];
}

static void forget_oldest(struct history *history)
{
    struct chunk *oldest = at(history, 0);

    history->first = (history->first + 1) & (history->capacity - 1);
    history->count--;
    history->events -= oldest->count;
    history->pinned -= oldest->pinned;
    if (history->count == 0)
        list_remove(&history->link);
    chunk_release(oldest);
}

static void forget_all(struct history *history)
{
    while (history->count > 0)
        forget_oldest(history);
}

static uint32_t shed(uint32_t max)
{
    struct list *node;
    uint32_t count = 0;

    for (; count < max && (node = list_first(&kept)); count++)
        forget_oldest(container_of(node, struct history, link));
    return count;
}

uint32_t history_shed(uint32_t max)
{
    uint32_t count;

    pthread_mutex_lock(&lock);
    count = shed(max);
    pthread_mutex_unlock(&lock);
    return count;
}

void history_clear(struct history *history)
{
    if (!history)
        return;
    pthread_mutex_lock(&lock);
    forget_all(history);
    pthread_mutex_unlock(&lock);
}

void history_free(struct history *history)
{
    if (!history)
        return;
    history_clear(history);
    free(history->chunks);
    free(history);
}

/* Makes space for one more chunk. Without memory for a larger ring the oldest chunk makes way. */
static bool reserve(struct history *history)
{
    uint32_t capacity = MAX_OF(history->capacity * 2, MIN_CAPACITY);
    struct chunk **chunks;

    if (history->count < history->capacity)
        return true;
    chunks = calloc(capacity, sizeof(struct chunk *));
    if (chunks) {
        for (uint32_t i = 0; i < history->count; i++)
            chunks[i] = at(history, i);
        free(history->chunks);
        history->chunks = chunks;
        history->first = 0;
        history->capacity = capacity;
    } else if (history->count > 0) {
        forget_oldest(history);
    }
    return history->count < history->capacity;
}

/* History is a convenience: it makes way long before the budget refuses what is published. */
static bool half_used(void)
{
    uint64_t limit = budget_limit();

    return limit > 0 && budget_used() > limit / 2;
}

static void add(struct history *history, struct chunk *chunk)
{
    while (history->count > 0 &&
           (history->events + chunk->count - at(history, 0)->count >= history->bounds.events ||
            history->pinned + chunk->pinned > history->bounds.bytes))
        forget_oldest(history);
    if (!reserve(history))
        return;
    history->chunks[(history->first + history->count++) & (history->capacity - 1)] = chunk_retain(chunk);
    history->events += chunk->count;
    history->pinned += chunk->pinned;
    list_remove(&history->link);
    list_append(&kept, &history->link);
}

void history_add(struct history *history, struct chunk *chunk)
{
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < SHED_FOR_ONE && half_used(); i++)
        (void)shed(1);
    if (half_used())
        forget_all(history); /* otherwise it would have a gap */
    else
        add(history, chunk);
    pthread_mutex_unlock(&lock);
}

static uint64_t count_wanted(const struct history *history, const struct route *route)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < history->count; i++)
        for (uint32_t event = 0; event < at(history, i)->count; event++)
            count += route_wants(route, at(history, i), event);
    return count;
}

static void put(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last)
{
    /* A channel that is closed needs nothing, and one that is full applies its policy. */
    if (first < last && route_put(route, chunk, first, last, NULL) == ERR_CLOSED)
        return;
}

/* Puts what the route wants of one chunk, as the longest runs, but skips the first *skip wanted
 * events. */
static void put_chunk(struct route *route, struct chunk *chunk, uint64_t *skip)
{
    uint32_t first = 0;

    for (uint32_t event = 0; event < chunk->count; event++) {
        bool taken = route_wants(route, chunk, event);

        if (taken && *skip > 0) {
            (*skip)--;
            taken = false;
        }
        if (!taken) {
            put(route, chunk, first, event);
            first = event + 1;
        }
    }
    put(route, chunk, first, chunk->count);
}

/* References to what the history keeps, so that nothing is put under the lock. Without memory for
 * them there is nothing. */
static struct history snapshot(const struct history *history)
{
    struct history copy = {0};

    pthread_mutex_lock(&lock);
    copy.chunks = calloc(history->capacity + 1, sizeof(struct chunk *));
    copy.capacity = history->capacity;
    for (uint32_t i = 0; copy.chunks && i < history->count; i++)
        copy.chunks[copy.count++] = chunk_retain(at(history, i));
    pthread_mutex_unlock(&lock);
    return copy;
}

static enum err put_run(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last)
{
    return route_put(route, chunk, first, last, NULL);
}

/* Puts what the route wants of one chunk from `sequence` on. False: its put() has refused. */
static bool put_chunk_from(struct route *route, struct chunk *chunk, uint64_t sequence)
{
    uint32_t first = 0;

    while (first < chunk->count && chunk_sequence(chunk, first) < sequence)
        first++;
    return route_put_wanted(route, chunk, first, put_run) == ERR_OK;
}

bool history_put_from(const struct history *history, struct route *route, uint64_t sequence)
{
    struct history copy;
    bool reaches, more;

    if (!history)
        return false;
    copy = snapshot(history);
    reaches = copy.count > 0 && chunk_sequence(at(&copy, 0), 0) <= sequence;
    more = reaches;
    for (uint32_t i = 0; i < copy.count; i++) {
        struct chunk *chunk = at(&copy, i);

        if (more && chunk_sequence(chunk, chunk->count - 1) >= sequence)
            more = put_chunk_from(route, chunk, sequence);
        chunk_release(chunk);
    }
    free(copy.chunks);
    return reaches;
}

void history_put(const struct history *history, struct route *route, uint32_t max)
{
    struct history copy;
    uint64_t count, skip;

    if (max == 0)
        return;
    copy = snapshot(history);
    count = count_wanted(&copy, route);
    skip = count > max ? count - max : 0;
    for (uint32_t i = 0; i < copy.count; i++) {
        if (count > 0)
            put_chunk(route, at(&copy, i), &skip);
        chunk_release(at(&copy, i));
    }
    free(copy.chunks);
}
