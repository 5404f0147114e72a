/* test_core_tags.c - each operation has its own tag back, and costs the same beside many. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/base.h"
#include "grpc/tags/core_tags.h"

#include <grpc/grpc.h>

#define WAITING 20000u
#define ROUNDS 2000u
#define MAX_TIMES 4.0 /* without the room it is 20 times and more */

struct queue {
    grpc_completion_queue *queue;
    grpc_channel *channel; /* it never connects, so that batches of its calls complete at once */
    grpc_call *call;
    grpc_server *server; /* NULL: none */
};

static void open_queue(struct queue *queue)
{
    grpc_init();
    queue->queue = grpc_completion_queue_create_for_next(NULL);
    queue->channel = grpc_lame_client_channel_create("none", GRPC_STATUS_UNAVAILABLE, "a test");
    queue->call = grpc_channel_create_call(queue->channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue->queue,
                                           grpc_slice_from_static_string("/test"), NULL,
                                           gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static grpc_event next(const struct queue *queue)
{
    return grpc_completion_queue_next(queue->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

/* Returns how many operations completed before the queue was empty. */
static unsigned close_queue(struct queue *queue)
{
    unsigned completed = 0;

    if (queue->server) {
        grpc_server_shutdown_and_notify(queue->server, queue->queue, queue->server);
        grpc_server_cancel_all_calls(queue->server);
    }
    grpc_call_unref(queue->call);
    grpc_channel_destroy(queue->channel);
    grpc_event event = {0};
    for (bool is_down = !queue->server; !is_down; is_down = event.tag == queue->server, completed++)
        event = next(queue);
    grpc_completion_queue_shutdown(queue->queue);
    while (next(queue).type == GRPC_OP_COMPLETE)
        completed++;
    if (queue->server)
        grpc_server_destroy(queue->server);
    grpc_completion_queue_destroy(queue->queue);
    grpc_shutdown();
    return completed;
}

static void start_empty_batch(const struct queue *queue, void *tag)
{
    cr_assert(grpc_call_start_batch(queue->call, NULL, 0, tag, NULL) == GRPC_CALL_OK);
}

/* Of this thread: other programs count for nothing. */
static double seconds_of_rounds(const struct queue *queue)
{
    struct timespec began, ended;
    char tag;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    for (unsigned i = 0; i < ROUNDS; i++) {
        start_empty_batch(queue, &tag);
        cr_assert(next(queue).tag == &tag);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    return (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
}

static double shortest_s_of(const struct queue *queue)
{
    double shortest_s = seconds_of_rounds(queue);

    for (int i = 0; i < 4; i++)
        shortest_s = MIN_OF(shortest_s, seconds_of_rounds(queue));
    return shortest_s;
}

static struct request {
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
} requests[WAITING];

/* A server that waits for so many calls: each is an operation that does not complete. */
static void start_waiting(struct queue *queue)
{
    queue->server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(queue->server, queue->queue, NULL);
    grpc_server_start(queue->server);
    for (size_t i = 0; i < WAITING; i++) {
        grpc_call_details_init(&requests[i].details);
        grpc_metadata_array_init(&requests[i].metadata);
        cr_assert(grpc_server_request_call(queue->server, &requests[i].call, &requests[i].details,
                                           &requests[i].metadata, queue->queue, queue->queue,
                                           &requests[i]) == GRPC_CALL_OK);
    }
}

Test(core_tags, an_operation_costs_the_same_beside_20000_that_wait)
{
    struct queue queue = {0};

    open_queue(&queue);
    double alone_s = shortest_s_of(&queue);
    start_waiting(&queue);
    double beside_s = shortest_s_of(&queue);
    cr_expect(core_tags_are_in_front());
    cr_expect(beside_s <= MAX_TIMES * alone_s, "%u operations took %.6f s alone, %.6f s beside %u others",
              ROUNDS, alone_s, beside_s, WAITING);
    cr_expect(close_queue(&queue) == WAITING + 1);
    for (size_t i = 0; i < WAITING; i++) {
        grpc_call_details_destroy(&requests[i].details);
        grpc_metadata_array_destroy(&requests[i].metadata);
    }
}

Test(core_tags, each_operation_has_its_own_tag_back)
{
    bool seen[100] = {0};
    struct queue queue = {0};

    open_queue(&queue);
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        start_empty_batch(&queue, &seen[i]);
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        bool *tag = next(&queue).tag;

        cr_assert(tag >= seen && tag < seen + ARRAY_LEN(seen));
        cr_expect(!*tag, "twice");
        *tag = true;
    }
    cr_expect(close_queue(&queue) == 0);
}

#define STARTED 20000u

static void *start_many(void *ctx)
{
    static char tags[STARTED];

    for (size_t i = 0; i < STARTED; i++)
        start_empty_batch(ctx, &tags[i]);
    return tags;
}

Test(core_tags, a_tag_that_another_thread_started_comes_back)
{
    struct queue queue = {0};
    pthread_t thread;
    void *tags;
    uint64_t sum = 0;
    char *seen[STARTED];

    open_queue(&queue);
    cr_assert(pthread_create(&thread, NULL, start_many, &queue) == 0);
    for (size_t i = 0; i < STARTED; i++)
        seen[i] = next(&queue).tag;
    cr_assert(pthread_join(thread, &tags) == 0);
    for (size_t i = 0; i < STARTED; i++)
        sum += (uint64_t)(seen[i] - (char *)tags);
    cr_expect(sum == (uint64_t)STARTED * (STARTED - 1) / 2);
    cr_expect(close_queue(&queue) == 0);
}

Test(core_tags, a_queue_without_an_operation_ends_the_wait)
{
    struct queue queue = {0};

    open_queue(&queue);
    grpc_event event = grpc_completion_queue_next(queue.queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL);
    cr_expect(event.type == GRPC_QUEUE_TIMEOUT);
    cr_expect(close_queue(&queue) == 0);
}
