/* relay_queue.c - the slabs and queues of the relay. */
#include "bench/relay_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { FIRST_CAPACITY = 16, MAX_PIECES = 64 };

static struct slab *spent;

struct slab *slab_new(void)
{
    struct slab *slab = spent;

    if (slab)
        spent = slab->next;
    else
        slab = malloc(sizeof(*slab));
    if (slab)
        slab->references = 1;
    return slab;
}

struct slab *slab_retain(struct slab *slab)
{
    slab->references++;
    return slab;
}

void slab_release(struct slab *slab)
{
    if (!slab || --slab->references > 0)
        return;
    slab->next = spent;
    spent = slab;
}

void slab_free_spent(void)
{
    for (struct slab *slab; (slab = spent);) {
        spent = slab->next;
        free(slab);
    }
}

/* ---- a queue ---- */

static struct range *range_at(const struct queue *queue, size_t place)
{
    return &queue->ranges[(queue->first + place) & (queue->capacity - 1)];
}

void queue_fini(struct queue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        slab_release(range_at(queue, i)->slab);
    free(queue->ranges);
    *queue = (struct queue){0};
}

static bool grow(struct queue *queue)
{
    size_t capacity = MAX_OF(2 * queue->capacity, (size_t)FIRST_CAPACITY);
    struct range *ranges = malloc(capacity * sizeof(*ranges));

    if (!ranges)
        return false;
    for (size_t i = 0; i < queue->count; i++)
        ranges[i] = *range_at(queue, i);
    free(queue->ranges);
    queue->ranges = ranges;
    queue->capacity = capacity;
    queue->first = 0;
    return true;
}

bool queue_add(struct queue *queue, struct slab *slab, struct bytes piece)
{
    struct range *last = queue->count ? range_at(queue, queue->count - 1) : NULL;

    if (last && last->slab == slab && last->data + last->size == piece.data) {
        last->size += piece.size;
        queue->bytes += piece.size;
        return true;
    }
    if (queue->count == queue->capacity && !grow(queue))
        return false;
    *range_at(queue, queue->count++) = (struct range){slab_retain(slab), piece.data, piece.size};
    queue->bytes += piece.size;
    return true;
}

static void written(struct queue *queue, size_t size)
{
    queue->bytes -= size;
    while (size) {
        struct range *range = range_at(queue, 0);
        size_t part = MIN_OF(size, range->size);
        range->data += part;
        range->size -= part;
        size -= part;
        if (!range->size) {
            slab_release(range->slab);
            queue->first++;
            queue->count--;
        }
    }
}

enum queue_state queue_write(struct queue *queue, int fd)
{
    while (queue->count) {
        struct iovec pieces[MAX_PIECES];
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = MIN_OF(queue->count, (size_t)MAX_PIECES)};
        size_t asked = 0;
        for (size_t i = 0; i < message.msg_iovlen; i++) {
            const struct range *range = range_at(queue, i);
            pieces[i] = (struct iovec){(void *)(uintptr_t)range->data, range->size};
            asked += range->size;
        }
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? QUEUE_WAITS : QUEUE_LOST;
        written(queue, (size_t)sent);
        if ((size_t)sent < asked)
            return QUEUE_WAITS; /* the socket is full: epoll reports when it is not */
    }
    return QUEUE_EMPTY;
}
