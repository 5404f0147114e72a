/* runner_make.c - runners: making and freeing them. */
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "client/lib/core/encode.h"
#include "client/lib/core/status.h"
#include "client/lib/processor/runner_state.h"

#define MAX_MESSAGE_OPERATIONS 4096u
#define MAX_MESSAGE_BYTES (1u << 20)

static const char *apply_defaults(struct tributary_runner_options *options)
{
    const size_t name_size = options->processor ? strlen(options->processor) : 0;

    if (name_size == 0 || name_size > MAX_NAME_BYTES)
        return "processor: 1 to 256 bytes";
    options->max_operations = options->max_operations == 0 ? 16384 : options->max_operations;
    options->max_bytes = options->max_bytes == 0 ? 16u << 20 : options->max_bytes;
    options->message_operations = options->message_operations == 0 ? 1024 : options->message_operations;
    options->message_bytes = options->message_bytes == 0 ? 128u << 10 : options->message_bytes;
    options->timeout_ns = options->timeout_ns == 0 ? 30 * NS_PER_S : options->timeout_ns;
    if (options->max_operations > MAX_RUNNER_OPERATIONS)
        return "max_operations: at most 1048576";
    if (options->message_operations > MAX_MESSAGE_OPERATIONS)
        return "message_operations: at most 4096";
    if (options->message_bytes > MAX_MESSAGE_BYTES)
        return "message_bytes: at most 1 MiB";
    return NULL;
}

static void destroy(struct tributary_runner *runner)
{
    packed_clear(&runner->packed);
    pthread_cond_destroy(&runner->space);
    pthread_cond_destroy(&runner->changed);
    pthread_mutex_destroy(&runner->lock);
    free(runner->slots);
    free(runner->free_slots);
    free((char *)(uintptr_t)runner->options.processor);
    free(runner);
}

/* NULL: no memory. */
static struct tributary_runner *make(struct tributary *client, const struct tributary_runner_options *options)
{
    struct tributary_runner *runner = calloc(1, sizeof(*runner));

    if (!runner)
        return NULL;
    runner->client = client;
    runner->options = *options;
    CHECK(pthread_mutex_init(&runner->lock, NULL) == 0);
    cond_init(&runner->changed);
    cond_init(&runner->space);
    list_init(&runner->added);
    list_init(&runner->cancels);
    runner_stream_init(runner);
    runner->options.processor = strdup(options->processor);
    runner->slots = calloc(options->max_operations, sizeof(*runner->slots));
    runner->free_slots = calloc(options->max_operations, sizeof(*runner->free_slots));
    if (!runner->options.processor || !runner->slots || !runner->free_slots) {
        destroy(runner);
        return NULL;
    }
    runner->free_count = options->max_operations;
    for (uint32_t i = 0; i < options->max_operations; i++)
        runner->free_slots[i] = options->max_operations - 1 - i;
    return runner;
}

enum tributary_code tributary_runner_new(struct tributary *client,
                                         const struct tributary_runner_options *options,
                                         struct tributary_runner **runner_out,
                                         struct tributary_status *status)
{
    struct tributary_runner_options complete = *options;
    const char *fault = apply_defaults(&complete);
    struct tributary_runner *runner = NULL;

    if (fault)
        return status_set(status, TRIBUTARY_INVALID_ARGUMENT, fault);
    runner = make(client, &complete);
    if (!runner)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    atomic_fetch_add(&client->users, 1);
    *runner_out = runner;
    return status_set(status, TRIBUTARY_OK, "");
}

void tributary_runner_free(struct tributary_runner *runner)
{
    struct tributary *client = NULL;

    if (!runner)
        return;
    client = runner->client;
    CHECK(!on_client_thread(client));
    pthread_mutex_lock(&runner->lock);
    runner->is_freed = true;
    pthread_mutex_unlock(&runner->lock);
    client_post(client, &runner->end);
    pthread_mutex_lock(&runner->lock);
    while (!runner->ended)
        cond_wait_until(&runner->changed, &runner->lock, INT64_MAX);
    pthread_mutex_unlock(&runner->lock);
    destroy(runner);
    atomic_fetch_sub(&client->users, 1);
}
