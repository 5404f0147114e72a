/* reader.c - a subscriber whose callbacks put items into a queue.
 *
 * DESIGN. The callbacks run on the client thread and only copy. After each message the queue is
 * looked at: where it is full, the subscriber is held, so its stream reads no further message. Who
 * takes items lets it go on once the queue is at half of its bounds. The descriptor is an eventfd;
 * under the lock it is 1 while items wait, else 0. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/lib/core/status.h"
#include "client/lib/subscribe/reader_item.h"
#include "client/lib/subscribe/subscriber.h"

#define DEFAULT_ITEMS 1024u
#define DEFAULT_BYTES (UINT64_C(4) << 20)

struct tributary_reader {
    /* Set once. */
    struct tributary *client;
    struct tributary_subscriber *subscriber;
    uint32_t max_items;
    uint64_t max_bytes;
    int fd;
    struct reader_item *last;       /* ENDED, allocated beforehand: the end must not need memory */
    struct tributary_status *final; /* in `last` */

    /* Thread of tributary_reader_next(). */
    struct reader_item *taken; /* what the program has; NULL: nothing, or `last` */

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list items;
    uint64_t count, bytes;
    bool is_held;   /* the subscriber reads nothing more */
    bool is_broken; /* memory ran out: an item is missing */
    bool has_ended; /* `last` waits behind the items, or was taken */
    bool end_taken;
};

static bool is_readable(const struct tributary_reader *reader)
{
    return reader->count > 0 || (reader->has_ended && !reader->end_taken);
}

/* Brings the descriptor up to date. Under the lock. */
static void update_fd(const struct tributary_reader *reader, bool was_readable)
{
    const bool readable = is_readable(reader);
    uint64_t number = 1;

    if (readable && !was_readable)
        (void)!write(reader->fd, &number, sizeof(number)); /* from 0 to 1 it cannot fail */
    else if (!readable && was_readable)
        (void)!read(reader->fd, &number, sizeof(number));
}

/* Removes an interruption that waits as the last item, because a later one comes. Else they would
 * have no bound: the client goes on trying, and no message holds it. Under the lock. */
static void drop_older_interruption(struct tributary_reader *reader)
{
    if (reader->count == 0)
        return;

    struct reader_item *newest = container_of(list_last(&reader->items), struct reader_item, link);

    if (newest->item.kind != TRIBUTARY_ITEM_INTERRUPTED)
        return;
    list_remove(&newest->link);
    reader->count--;
    reader->bytes -= newest->size;
    free(newest);
}

/* Client thread. */
static void put(struct tributary_reader *reader, const struct tributary_item *item)
{
    struct reader_item *copy = reader_item_copy(item);

    pthread_mutex_lock(&reader->lock);

    const bool was_readable = is_readable(reader);

    if (copy && !reader->is_broken) {
        if (item->kind == TRIBUTARY_ITEM_INTERRUPTED)
            drop_older_interruption(reader);
        list_append(&reader->items, &copy->link);
        reader->count++;
        reader->bytes += copy->size;
        update_fd(reader, was_readable);
        pthread_cond_signal(&reader->changed);
    } else {
        reader->is_broken = true;
        free(copy);
    }
    pthread_mutex_unlock(&reader->lock);
}

static void on_started(void *ctx, const struct tributary_started *started)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_STARTED, .started = *started});
}

static void on_settings(void *ctx, const struct tributary_settings *settings)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_SETTINGS, .settings = *settings});
}

static void on_refused(void *ctx, const struct tributary_request_refused *refused)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_REFUSED, .refused = *refused});
}

static void on_lost(void *ctx, const struct tributary_lost *lost)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_LOST, .lost = *lost});
}

static void on_event(void *ctx, const struct tributary_delivery *delivery)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_EVENT, .event = *delivery});
}

static void on_fell_behind(void *ctx, const struct tributary_topic_notice *notice)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_FELL_BEHIND, .topic = *notice});
}

static void on_caught_up(void *ctx, const struct tributary_topic_notice *notice)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_CAUGHT_UP, .topic = *notice});
}

static void on_status(void *ctx, const struct tributary_producer_status *status)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_STATUS, .status = *status});
}

static void on_progress(void *ctx, const struct tributary_progress *progress)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_PROGRESS, .progress = *progress});
}

static void on_closing(void *ctx, const struct tributary_closing *closing)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_CLOSING, .closing = *closing});
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    put(ctx, &(struct tributary_item){.kind = TRIBUTARY_ITEM_INTERRUPTED,
                                      .interrupted = {.status = status, .retry_ns = retry_ns}});
}

/* A message was handled: decides whether the next one may be read. */
static void on_applied(void *ctx)
{
    struct tributary_reader *reader = ctx;
    bool is_broken = false;

    pthread_mutex_lock(&reader->lock);
    reader->is_held = reader->count >= reader->max_items || reader->bytes >= reader->max_bytes;
    if (reader->is_held)
        subscriber_hold(reader->subscriber);
    is_broken = reader->is_broken;
    pthread_mutex_unlock(&reader->lock);
    if (is_broken)
        tributary_subscriber_cancel(reader->subscriber);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct tributary_reader *reader = ctx;

    pthread_mutex_lock(&reader->lock);

    const bool was_readable = is_readable(reader);

    *reader->final = *status;
    if (reader->is_broken)
        status_set(reader->final, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    reader->has_ended = true;
    update_fd(reader, was_readable);
    pthread_cond_signal(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
}

static void destroy(struct tributary_reader *reader)
{
    list_each(node, next, &reader->items) {
        struct reader_item *item = container_of(node, struct reader_item, link);

        list_remove(node);
        free(item);
    }
    free(reader->taken);
    free(reader->last);
    if (reader->fd >= 0)
        close(reader->fd);
    pthread_cond_destroy(&reader->changed);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

/* Makes a reader without its subscriber. NULL: no memory, or no descriptor. */
static struct tributary_reader *reader_new(struct tributary *client,
                                           const struct tributary_reader_options *options)
{
    static const struct tributary_status none = {.code = TRIBUTARY_OK};
    struct tributary_reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return NULL;
    reader->client = client;
    reader->max_items = options && options->max_items > 0 ? options->max_items : DEFAULT_ITEMS;
    reader->max_bytes = options && options->max_bytes > 0 ? options->max_bytes : DEFAULT_BYTES;
    list_init(&reader->items);
    CHECK(pthread_mutex_init(&reader->lock, NULL) == 0);
    cond_init(&reader->changed);
    reader->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    reader->last = reader_item_copy(&(struct tributary_item){.kind = TRIBUTARY_ITEM_ENDED, .ended = &none});
    if (!reader->last || reader->fd < 0) {
        destroy(reader);
        return NULL;
    }
    reader->final = (struct tributary_status *)(void *)(reader->last + 1);
    return reader;
}

enum tributary_code tributary_reader_open(struct tributary *client,
                                          const struct tributary_subscriber_options *options,
                                          const struct tributary_reader_options *reader_options,
                                          struct tributary_reader **reader_out,
                                          struct tributary_status *status)
{
    struct tributary_reader *reader = reader_new(client, reader_options);
    struct tributary_subscriber_callbacks callbacks = {
        .started = on_started,
        .settings = on_settings,
        .request_refused = on_refused,
        .fell_behind = on_fell_behind,
        .lost = on_lost,
        .event = on_event,
        .caught_up = on_caught_up,
        .status = on_status,
        .progress = on_progress,
        .closing = on_closing,
        .applied = on_applied,
        .interrupted = on_interrupted,
        .ended = on_ended,
        .ctx = reader,
    };
    enum tributary_code code = TRIBUTARY_OK;

    if (!reader)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory, or of descriptors");
    /* Callbacks may run before this returns, and find `subscriber` set. */
    code = tributary_subscribe(client, options, &callbacks, &reader->subscriber, status);
    if (code != TRIBUTARY_OK) {
        destroy(reader);
        return code;
    }
    *reader_out = reader;
    return TRIBUTARY_OK;
}

/* Takes the first item, which is there. Sets *resumes where the stream is to go on. Under the
 * lock. */
static const struct tributary_item *take_first(struct tributary_reader *reader, bool *resumes)
{
    if (reader->count == 0) {
        reader->end_taken = true;
        return &reader->last->item;
    }
    reader->taken = container_of(list_first(&reader->items), struct reader_item, link);
    list_remove(&reader->taken->link);
    reader->count--;
    reader->bytes -= reader->taken->size;
    if (reader->is_held && reader->count <= reader->max_items / 2 && reader->bytes <= reader->max_bytes / 2) {
        reader->is_held = false;
        *resumes = true;
    }
    return &reader->taken->item;
}

enum tributary_code tributary_reader_next(struct tributary_reader *reader, int64_t timeout_ns,
                                          const struct tributary_item **item_out)
{
    const int64_t deadline_ns = clock_from_now_ns(timeout_ns);
    enum tributary_code code = TRIBUTARY_DEADLINE_EXCEEDED;
    bool in_time = true;
    bool resumes = false;

    if (on_client_thread(reader->client))
        return TRIBUTARY_FAILED_PRECONDITION;
    free(reader->taken);
    reader->taken = NULL;
    pthread_mutex_lock(&reader->lock);
    while (in_time && reader->count == 0 && !reader->has_ended)
        in_time = timeout_ns > 0 && cond_wait_until(&reader->changed, &reader->lock, deadline_ns);
    if (reader->count > 0 || reader->has_ended) {
        const bool was_readable = is_readable(reader);

        *item_out = take_first(reader, &resumes);
        update_fd(reader, was_readable);
        code = TRIBUTARY_OK;
    }
    pthread_mutex_unlock(&reader->lock);
    if (resumes)
        subscriber_resume(reader->subscriber);
    return code;
}

int tributary_reader_fd(const struct tributary_reader *reader)
{
    return reader->fd;
}

uint64_t tributary_reader_waiting(struct tributary_reader *reader)
{
    uint64_t count = 0;

    pthread_mutex_lock(&reader->lock);
    count = reader->count + (reader->has_ended && !reader->end_taken ? 1 : 0);
    pthread_mutex_unlock(&reader->lock);
    return count;
}

struct tributary_subscriber *tributary_reader_subscriber(struct tributary_reader *reader)
{
    return reader->subscriber;
}

void tributary_reader_free(struct tributary_reader *reader)
{
    if (!reader)
        return;
    tributary_subscriber_free(reader->subscriber);
    destroy(reader);
}
