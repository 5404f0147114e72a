/* publisher_make.c - publishers: making and freeing them. */
#include <stdlib.h>
#include <string.h>

#include "client/lib/core/encode.h"
#include "client/lib/core/status.h"
#include "client/lib/publish/publisher.h"

static const char *apply_defaults(struct tributary_publisher_options *options)
{
    if (options->producer && strlen(options->producer) > MAX_NAME_BYTES)
        return "producer: over 256 bytes";
    options->queue_bytes = options->queue_bytes == 0 ? 8u << 20 : options->queue_bytes;
    options->queue_events = options->queue_events == 0 ? 262144 : options->queue_events;
    options->batch_bytes = options->batch_bytes == 0 ? 128u << 10 : options->batch_bytes;
    options->batch_events = options->batch_events == 0 ? 4096 : options->batch_events;
    options->linger_ns = options->linger_ns == 0 ? NS_PER_MS : MAX_OF(options->linger_ns, 0);
    options->give_up_ns = options->give_up_ns == 0 ? 60 * NS_PER_S : options->give_up_ns;
    if (options->batch_bytes > MAX_PUBLISHER_BATCH_BYTES)
        return "batch_bytes: at most 1 MiB";
    if (options->batch_events > 65536)
        return "batch_events: at most 65536";
    if (options->window > 65536)
        return "window: at most 65536";
    if (options->window == 0)
        options->window = options->confirm == TRIBUTARY_CONFIRM_STORED ? 256 : UINT32_MAX;
    if (options->linger_ns > NS_PER_S)
        return "linger_ns: at most 1 s";
    if (options->when_full != TRIBUTARY_WHEN_FULL_WAIT && options->when_full != TRIBUTARY_WHEN_FULL_FAIL)
        return "when_full: WAIT or FAIL";
    return NULL;
}

/* Sets `head`. False: out of memory. */
static bool write_head(struct tributary_publisher *publisher)
{
    uint8_t numbers[MAX_NUMBERS_SIZE];
    const size_t size = numbering_write(&publisher->numbering, PB_PUBLISH_STREAM_REQUEST_PUBLISHER, numbers);
    struct buf *head = &publisher->head;

    if (size > 0)
        buf_bytes(head, numbers, size);
    publisher->numbers_end = size;
    publisher->stats.life = size > 0 ? publisher->numbering.life : 0;
    field_varint(head, PB_PUBLISH_STREAM_REQUEST_CONFIRM, (uint64_t)publisher->options.confirm);
    field_text(head, PB_PUBLISH_STREAM_REQUEST_PRODUCER, publisher->options.producer);
    return !head->broken;
}

static void discard(struct tributary_publisher *publisher, char *producer)
{
    if (publisher)
        buf_fini(&publisher->head);
    free(publisher);
    free(producer);
}

enum tributary_code tributary_publisher_new(struct tributary *client,
                                            const struct tributary_publisher_options *options,
                                            struct tributary_publisher **publisher_out,
                                            struct tributary_status *status)
{
    struct tributary_publisher *publisher = calloc(1, sizeof(*publisher));
    char *producer = strdup(options->producer ? options->producer : "");

    if (!publisher || !producer) {
        discard(publisher, producer);
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    }
    publisher->client = client;
    publisher->options = *options;

    const char *fault = apply_defaults(&publisher->options);

    if (!fault)
        fault = numbering_init(&publisher->numbering, options->confirm, &options->numbering);
    if (fault) {
        discard(publisher, producer);
        return status_set(status, TRIBUTARY_INVALID_ARGUMENT, fault);
    }
    publisher->options.producer = producer;
    publisher->options.numbering = (struct tributary_numbering){0}; /* its id is the caller's */
    if (!write_head(publisher)) {
        discard(publisher, producer);
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    }
    publisher->capacity_guess = MIN_PUBLISHER_CAPACITY;
    publisher->wake = WAKE_FIRST;
    CHECK(pthread_mutex_init(&publisher->lock, NULL) == 0);
    cond_init(&publisher->changed);
    cond_init(&publisher->space);
    list_init(&publisher->queued);
    publisher_stream_init(publisher);
    atomic_fetch_add(&client->users, 1);
    *publisher_out = publisher;
    return status_set(status, TRIBUTARY_OK, "");
}

void tributary_publisher_free(struct tributary_publisher *publisher)
{
    if (!publisher)
        return;

    struct tributary *client = publisher->client;

    CHECK(!on_client_thread(client));
    client_post(client, &publisher->end);
    pthread_mutex_lock(&publisher->lock);
    publisher->flush_waiters++;
    while (!publisher->ended)
        cond_wait_until(&publisher->changed, &publisher->lock, INT64_MAX);
    pthread_mutex_unlock(&publisher->lock);
    pthread_cond_destroy(&publisher->space);
    pthread_cond_destroy(&publisher->changed);
    pthread_mutex_destroy(&publisher->lock);
    discard(publisher, (char *)(uintptr_t)publisher->options.producer);
    atomic_fetch_sub(&client->users, 1);
}
