/* command_queue.c - encoded commands that wait for a session. */
#include "server/rpc/command_queue.h"

#include "base/budget.h"
#include "base/shared_bytes.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

struct mark {
    size_t end; /* in queue->bytes */
    struct shared_bytes *request;
};

static struct mark *mark_at(const struct command_queue *queue, size_t index)
{
    return (struct mark *)(void *)queue->marks.data + index;
}

static size_t mark_count(const struct command_queue *queue)
{
    return queue->marks.size / sizeof(struct mark);
}

/* Everything was taken. A burst leaves no large memory behind. */
static void begin_again(struct command_queue *queue)
{
    buf_rest(&queue->bytes, 4096);
    buf_rest(&queue->marks, 4096);
    queue->taken_bytes = 0;
    queue->taken_marks = 0;
}

/* Moves what waits to the front, once more was taken than waits: so the queue keeps at most twice
 * what waits, and each byte is moved about once. */
static void drop_taken(struct command_queue *queue)
{
    if (queue->taken_bytes <= queue->bytes.size / 2)
        return;
    for (size_t i = queue->taken_marks; i < mark_count(queue); i++)
        mark_at(queue, i)->end -= queue->taken_bytes;
    buf_drop(&queue->bytes, queue->taken_bytes);
    buf_drop(&queue->marks, queue->taken_marks * sizeof(struct mark));
    queue->taken_bytes = 0;
    queue->taken_marks = 0;
}

/* The budget follows what waits. It does not refuse: the session has a bound of its own. */
static void charge(struct command_queue *queue)
{
    size_t size = command_queue_size(queue);

    if (size > queue->charged)
        budget_add(COUNT_LIVE_COMMAND_BYTES, size - queue->charged);
    else if (size < queue->charged)
        budget_give(COUNT_LIVE_COMMAND_BYTES, queue->charged - size);
    queue->charged = size;
}

void command_queue_fini(struct command_queue *queue)
{
    for (size_t i = queue->taken_marks; i < mark_count(queue); i++)
        shared_bytes_release(mark_at(queue, i)->request);
    buf_fini(&queue->bytes);
    buf_fini(&queue->marks);
    budget_give(COUNT_LIVE_COMMAND_BYTES, queue->charged);
    *queue = (struct command_queue){.taken_marks = 0};
}

void command_queue_add(struct command_queue *queue, uint32_t kind, struct buf *body, uint32_t field,
                       struct shared_bytes *request)
{
    struct bytes tail = shared_bytes_view(request);
    size_t size = body->size + field_size_bytes(field, tail.size);
    struct mark mark = {.request = tail.size > 0 ? request : NULL};

    field_head(&queue->bytes, PB_REGISTER_RESPONSE_COMMANDS, field_size_bytes_always(kind, size));
    field_head(&queue->bytes, kind, size);
    buf_bytes(&queue->bytes, body->data, body->size);
    if (mark.request)
        field_head(&queue->bytes, field, tail.size);
    queue->bytes.broken |= body->broken;
    buf_fini(body);
    mark.end = queue->bytes.size;
    buf_bytes(&queue->marks, &mark, sizeof(mark));
    if (!queue->marks.broken)
        shared_bytes_retain(mark.request);
    charge(queue);
}

size_t command_queue_size(const struct command_queue *queue)
{
    return queue->bytes.size - queue->taken_bytes +
           (mark_count(queue) - queue->taken_marks) * sizeof(struct mark);
}

bool command_queue_broken(const struct command_queue *queue)
{
    return queue->bytes.broken || queue->marks.broken;
}

void command_queue_take(struct command_queue *queue, size_t max_bytes, struct buf *message)
{
    for (; queue->taken_marks < mark_count(queue); queue->taken_marks++) {
        const struct mark *mark = mark_at(queue, queue->taken_marks);
        struct bytes request = shared_bytes_view(mark->request);
        size_t size = mark->end - queue->taken_bytes + request.size;

        if (message->size > 0 && message->size + size > max_bytes) {
            drop_taken(queue);
            charge(queue);
            return;
        }
        buf_bytes(message, queue->bytes.data + queue->taken_bytes, mark->end - queue->taken_bytes);
        buf_bytes(message, request.data, request.size);
        shared_bytes_release(mark->request);
        queue->taken_bytes = mark->end;
    }
    begin_again(queue);
    charge(queue);
}
