/* topic_tail.c - delivers what was committed, in the order of the commits. */
#include "topic/topic_tail.h"

#include "event/chunk_part.h"
#include "route/offer.h"

void topic_tail_init(struct topic_tail *tail)
{
    list_init(&tail->waiting);
    tail->is_delivering = false;
    atomic_init(&tail->last_expiring, 0);
    CHECK(pthread_mutex_init(&tail->lock, NULL) == 0);
}

static void finish(struct committed *committed)
{
    chunk_release(committed->chunk);
    committed->chunk = NULL;
    committed->over(committed); /* it may be gone from here on */
}

void topic_tail_fini(struct topic_tail *tail)
{
    CHECK(!tail->is_delivering);
    list_each(node, safe, &tail->waiting) {
        list_remove(node);
        finish(container_of(node, struct committed, in_tail));
    }
    pthread_mutex_destroy(&tail->lock);
}

void topic_tail_add(struct topic_tail *tail, struct committed *committed)
{
    pthread_mutex_lock(&tail->lock);
    list_append(&tail->waiting, &committed->in_tail);
    pthread_mutex_unlock(&tail->lock);
}

/* Nobody waits for the channels of a topic: who is full falls behind, and reads on from the log.
 * The inlet is closed while the hub drains, and removed with the topic; then nobody is left who
 * would want the events. Returns how many events there were. */
static uint32_t offer(struct topic_tail *tail, struct inlet *inlet, struct committed *committed)
{
    struct chunk *chunk = committed->chunk;
    struct offer unused;

    if (committed->first > 0)
        chunk_drop_first(chunk, committed->first);
    chunk->first_sequence = committed->first_seq;
    const uint32_t count = chunk->count;
    if (committed->expires)
        atomic_store_explicit(&tail->last_expiring, chunk_sequence(chunk, count - 1), memory_order_relaxed);
    const enum err err = inlet_offer(inlet, chunk, NULL, &unused);
    CHECK(err != ERR_AGAIN);
    finish(committed);
    return count;
}

/* The next one; NULL: none waits, and nobody delivers from now on. */
static struct committed *next(struct topic_tail *tail)
{
    struct committed *committed = NULL;

    pthread_mutex_lock(&tail->lock);
    struct list *first = list_first(&tail->waiting);
    if (first) {
        list_remove(first);
        committed = container_of(first, struct committed, in_tail);
    } else {
        tail->is_delivering = false;
    }
    pthread_mutex_unlock(&tail->lock);
    return committed;
}

/* Whether the caller delivers. */
static bool begin(struct topic_tail *tail)
{
    pthread_mutex_lock(&tail->lock);
    const bool begins = !tail->is_delivering && !list_empty(&tail->waiting);
    tail->is_delivering |= begins;
    pthread_mutex_unlock(&tail->lock);
    return begins;
}

static bool stop(struct topic_tail *tail)
{
    pthread_mutex_lock(&tail->lock);
    const bool is_more = !list_empty(&tail->waiting);
    tail->is_delivering = false;
    pthread_mutex_unlock(&tail->lock);
    return is_more;
}

bool topic_tail_deliver(struct topic_tail *tail, struct inlet *inlet)
{
    uint32_t events = 0;

    if (!begin(tail))
        return false;
    while (events < TAIL_EVENTS_AT_ONCE) {
        struct committed *committed = next(tail);

        if (!committed)
            return false;
        events += offer(tail, inlet, committed);
    }
    return stop(tail);
}
