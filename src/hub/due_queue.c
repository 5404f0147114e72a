/* due_queue.c - moments at which something is due: a heap with one timer. */
#include "hub/due_queue.h"

#include "base/clock.h"
#include "base/log.h"
#include "hub/ready.h"

/* Sets the timer to the earliest moment. Where that fails, the next due_queue_set() tries again. */
static void set_timer(struct due_queue *queue)
{
    struct heap_node *first = heap_first(&queue->moments);

    if (!first)
        timer_stop(&queue->timer);
    else if (timer_start(queue->loop, &queue->timer, MAX_OF(first->key - clock_mono_ns(), 0)) != ERR_OK)
        log_write(LOG_WARN, "activations.not_timed", LOG_TEXT("reason", "out of memory"));
}

enum err due_queue_set(struct due_queue *queue, struct heap_node *node, int64_t at_ns)
{
    enum err err = heap_set(&queue->moments, node, at_ns);

    if (err == ERR_OK && (heap_first(&queue->moments) == node || !queue->timer.loop))
        set_timer(queue);
    return err;
}

void due_queue_remove(struct due_queue *queue, struct heap_node *node)
{
    heap_remove(&queue->moments, node);
}

static bool step(struct slice *slice)
{
    struct due_queue *queue = container_of(slice, struct due_queue, slice);
    struct heap_node *first = heap_first(&queue->moments);

    if (first && first->key <= clock_mono_ns()) {
        heap_remove(&queue->moments, first);
        queue->due(first);
        return true;
    }
    set_timer(queue);
    ready_run(queue->ready);
    return false;
}

static void fired(struct timer *timer)
{
    struct due_queue *queue = container_of(timer, struct due_queue, timer);

    loop_slice(queue->loop, &queue->slice);
}

void due_queue_init(struct due_queue *queue, struct loop *loop, struct ready_list *ready,
                    void (*due)(struct heap_node *node))
{
    *queue = (struct due_queue){.loop = loop, .ready = ready, .due = due, .timer.fired = fired};
    slice_init(&queue->slice, step);
}

void due_queue_fini(struct due_queue *queue)
{
    timer_stop(&queue->timer);
    slice_stop(&queue->slice);
    heap_fini(&queue->moments);
}
