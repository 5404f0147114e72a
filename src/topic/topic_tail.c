/* topic_tail.c - see topic_tail.h. */
#include "topic/topic_tail.h"

#include <stdlib.h>

#include "event/chunk.h"
#include "route/offer.h"

void topic_tail_init(struct topic_tail *tail)
{
    CHECK(pthread_mutex_init(&tail->lock, NULL) == 0);
    list_init(&tail->waiting);
    tail->is_delivering = false;
}

static void committed_free(struct committed *committed)
{
    chunk_release(committed->chunk);
    free(committed);
}

void topic_tail_fini(struct topic_tail *tail)
{
    struct list *node;

    while ((node = list_first(&tail->waiting))) {
        list_remove(node);
        committed_free(container_of(node, struct committed, in_tail));
    }
    pthread_mutex_destroy(&tail->lock);
}

void topic_tail_add(struct topic_tail *tail, struct committed *committed)
{
    pthread_mutex_lock(&tail->lock);
    list_append(&tail->waiting, &committed->in_tail);
    pthread_mutex_unlock(&tail->lock);
}

/* The events that were stored, as a chunk that nobody else offers. NULL: out of memory. */
static struct chunk *stored_part(struct committed *committed)
{
    struct chunk *chunk = committed->chunk;

    committed->chunk = NULL;
    if (committed->first > 0) {
        struct chunk *whole = chunk;

        if (chunk_copy(whole, committed->first, whole->count, &chunk) != ERR_OK)
            chunk = NULL;
        chunk_release(whole);
    }
    if (chunk)
        chunk->first_sequence = committed->first_seq;
    return chunk;
}

static void deliver(struct inlet *inlet, struct committed *committed)
{
    struct chunk *chunk = stored_part(committed);
    struct offer offer;

    /* A topic that was removed has no consumers. */
    if (chunk && inlet_offer(inlet, chunk, NULL, &offer) == ERR_AGAIN)
        CHECK(false);
    chunk_release(chunk);
    committed_free(committed);
}

static struct committed *next(struct topic_tail *tail)
{
    struct list *node = list_first(&tail->waiting);

    if (!node)
        return NULL;
    list_remove(node);
    return container_of(node, struct committed, in_tail);
}

void topic_tail_deliver(struct topic_tail *tail, struct inlet *inlet)
{
    struct committed *committed;

    pthread_mutex_lock(&tail->lock);
    if (tail->is_delivering) {
        pthread_mutex_unlock(&tail->lock);
        return;
    }
    tail->is_delivering = true;
    while ((committed = next(tail))) {
        pthread_mutex_unlock(&tail->lock);
        deliver(inlet, committed);
        pthread_mutex_lock(&tail->lock);
    }
    tail->is_delivering = false;
    pthread_mutex_unlock(&tail->lock);
}
