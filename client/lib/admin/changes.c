/* changes.c - the functions of tributary/changes.h: one stream of Admin.Watch, opened again
 * whenever it is lost.
 *
 *   OPENING --a message--> LIVE
 *    ^  | lost, late        | lost          All but ENDED can be freed; then the call is cancelled,
 *    |  v                   |               and ENDED follows its end. An error that is not
 *   BACKOFF <---------------+               retryable ends it too. */
#include <stdlib.h>

#include "base/fsm.h"
#include "client/lib/admin/admin_call.h"
#include "client/lib/admin/producer.h"
#include "client/lib/admin/subscription.h"
#include "client/lib/core/bytes.h"
#include "client/lib/core/status.h"
#include "client/lib/core/stream.h"
#include "grpc/slices.h"

#define METHOD "/tributary.v1.Admin/Watch"

enum changes_state { CHANGES_OPENING, CHANGES_LIVE, CHANGES_BACKOFF, CHANGES_ENDED };

static const struct fsm machine = {
    .name = "client.changes",
    .states = {[CHANGES_OPENING] = {"OPENING", BIT(CHANGES_LIVE) | BIT(CHANGES_BACKOFF) | BIT(CHANGES_ENDED)},
               [CHANGES_LIVE] = {"LIVE", BIT(CHANGES_BACKOFF) | BIT(CHANGES_ENDED)},
               [CHANGES_BACKOFF] = {"BACKOFF", BIT(CHANGES_OPENING) | BIT(CHANGES_ENDED)},
               [CHANGES_ENDED] = {"ENDED", 0}},
};

struct tributary_changes {
    /* Set once. */
    struct tributary *client;
    struct tributary_changes_callbacks callbacks;
    struct buf request; /* WatchRequest */
    bool no_reconnect;

    /* Client thread only. */
    enum changes_state state;
    struct stream stream;
    struct cq_timer retry; /* BACKOFF: the next attempt. OPENING: the limit for the first message */
    uint32_t attempt;
    bool was_live; /* a stream has begun, and what it said is out of date once it is lost */
    bool is_freed;
    struct post begin, end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool released;
};

/* ---- what arrives ---- */

struct passing {
    struct tributary_changes *changes;
    struct tributary_change change;
};

static void pass_on(const struct passing *passing)
{
    const struct tributary_changes_callbacks *callbacks = &passing->changes->callbacks;

    if (callbacks->changed)
        callbacks->changed(callbacks->ctx, &passing->change);
}

static void on_producer(void *ctx, const struct tributary_producer *producer)
{
    struct passing *passing = ctx;

    passing->change.producer = producer;
    pass_on(passing);
}

static void on_subscription(void *ctx, const struct tributary_subscription *subscription)
{
    struct passing *passing = ctx;

    passing->change.subscription = subscription;
    pass_on(passing);
}

/* False: out of memory. */
static bool show(struct tributary_changes *changes, const Tributary__V1__Change *from)
{
    struct passing passing = {.changes = changes,
                              .change = {.kind = (enum tributary_change_kind)from->kind,
                                         .number = from->number,
                                         .time_unix_nano = from->time_unix_nano,
                                         .reason = from->reason,
                                         .missed = from->missed}};

    if (from->producer)
        return admin_show_producer(on_producer, &passing, from->producer);
    if (from->subscription)
        return admin_show_subscription(on_subscription, &passing, from->subscription);
    pass_on(&passing);
    return true;
}

/* The first message of a stream. What came with the one before it is out of date. */
static void on_live(struct tributary_changes *changes)
{
    const struct passing resync = {.changes = changes,
                                   .change = {.kind = TRIBUTARY_CHANGE_RESYNC,
                                              .time_unix_nano = (uint64_t)clock_wall_ns(),
                                              .reason = ""}};

    fsm_move(&machine, changes, CHANGES_LIVE);
    cq_timer_stop(changes->client->thread, &changes->retry);
    changes->attempt = 0;
    if (changes->was_live)
        pass_on(&resync);
    changes->was_live = true;
}

static void on_message(struct stream *stream, struct bytes message)
{
    struct tributary_changes *changes = container_of(stream, struct tributary_changes, stream);
    Tributary__V1__WatchResponse *response = NULL;
    bool complete = true;

    if (changes->is_freed)
        return;
    response = tributary__v1__watch_response__unpack(NULL, message.size, message.data);
    if (!response) {
        stream_cancel(stream, TRIBUTARY_INTERNAL, "the message of the server cannot be read");
        return;
    }
    if (changes->state == CHANGES_OPENING)
        on_live(changes);
    for (size_t i = 0; i < response->n_changes && complete; i++)
        complete = show(changes, response->changes[i]);
    tributary__v1__watch_response__free_unpacked(response, NULL);
    if (changes->callbacks.applied)
        changes->callbacks.applied(changes->callbacks.ctx);
    if (!complete)
        stream_cancel(stream, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
}

/* ---- the stream ---- */

static void open_stream(struct tributary_changes *changes)
{
    grpc_slice request = slice_copy_of((struct bytes){changes->request.data, changes->request.size});
    const struct stream_opening opening = {
        .method = METHOD, .first = &request, .deadline_ns = INT64_MAX, .wait_for_connection = true};

    cq_timer_set(changes->client->thread, &changes->retry,
                 clock_mono_ns() + changes->client->connect_timeout_ns);
    stream_open(&changes->stream, &opening);
    grpc_slice_unref(request);
}

/* The last use of it on the client thread. After the unlock it may be freed. */
static void release(struct tributary_changes *changes)
{
    pthread_mutex_lock(&changes->lock);
    changes->released = true;
    pthread_cond_broadcast(&changes->changed);
    pthread_mutex_unlock(&changes->lock);
}

static void end(struct tributary_changes *changes, const struct tributary_status *status)
{
    cq_timer_stop(changes->client->thread, &changes->retry);
    fsm_move(&machine, changes, CHANGES_ENDED);
    if (changes->callbacks.ended)
        changes->callbacks.ended(changes->callbacks.ctx, status);
    if (changes->is_freed)
        release(changes);
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_changes *changes = container_of(stream, struct tributary_changes, stream);

    if (changes->is_freed || changes->no_reconnect || !status_is_retryable(status)) {
        end(changes, status);
        return;
    }
    const int64_t retry_ns = client_backoff_ns(changes->client, changes->attempt++);

    fsm_move(&machine, changes, CHANGES_BACKOFF);
    cq_timer_set(changes->client->thread, &changes->retry, clock_mono_ns() + retry_ns);
    if (changes->callbacks.interrupted)
        changes->callbacks.interrupted(changes->callbacks.ctx, status, retry_ns);
}

static void on_retry(struct cq_timer *timer, int64_t now_ns)
{
    struct tributary_changes *changes = container_of(timer, struct tributary_changes, retry);

    (void)now_ns;
    if (changes->state == CHANGES_OPENING) {
        stream_cancel(&changes->stream, TRIBUTARY_UNAVAILABLE, "the server cannot be reached");
        return;
    }
    fsm_move(&machine, changes, CHANGES_OPENING);
    open_stream(changes);
}

static void on_begin(struct post *post)
{
    open_stream(container_of(post, struct tributary_changes, begin));
}

static void on_free(struct post *post)
{
    struct tributary_changes *changes = container_of(post, struct tributary_changes, end);
    struct tributary_status status;

    changes->is_freed = true;
    if (changes->state == CHANGES_ENDED) {
        release(changes);
    } else if (changes->state == CHANGES_BACKOFF) {
        status_set(&status, TRIBUTARY_CANCELLED, "freed while there was no connection");
        end(changes, &status);
    } else {
        stream_cancel(&changes->stream, TRIBUTARY_CANCELLED, "freed");
    }
}

/* ---- any thread ---- */

static void write_request(const struct tributary_changes_options *options, struct buf *packed)
{
    Tributary__V1__WatchRequest request = TRIBUTARY__V1__WATCH_REQUEST__INIT;

    request.pattern = admin_text(options->pattern);
    request.subscriptions = options->subscriptions;
    request.skip_snapshot = options->skip_snapshot;
    uint8_t *to = buf_extend(packed, tributary__v1__watch_request__get_packed_size(&request));
    if (to)
        tributary__v1__watch_request__pack(&request, to);
}

enum tributary_code tributary_changes_open(struct tributary *client,
                                           const struct tributary_changes_options *options,
                                           const struct tributary_changes_callbacks *callbacks,
                                           struct tributary_changes **changes_out,
                                           struct tributary_status *status)
{
    static const struct stream_port port = {.received = on_message, .ended = on_ended};
    struct tributary_changes *changes = calloc(1, sizeof(*changes));

    if (changes)
        write_request(options, &changes->request);
    if (!changes || changes->request.broken) {
        free(changes);
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    }
    changes->client = client;
    changes->callbacks = *callbacks;
    changes->no_reconnect = options->no_reconnect;
    CHECK(pthread_mutex_init(&changes->lock, NULL) == 0);
    cond_init(&changes->changed);
    stream_init(&changes->stream, client, &port);
    changes->retry.fired = on_retry;
    changes->begin.run = on_begin;
    changes->end.run = on_free;
    atomic_fetch_add(&client->users, 1);
    *changes_out = changes; /* before a callback can run */
    client_post(client, &changes->begin);
    return status_set(status, TRIBUTARY_OK, "");
}

void tributary_changes_free(struct tributary_changes *changes)
{
    if (!changes)
        return;
    struct tributary *client = changes->client;

    CHECK(!on_client_thread(client));
    client_post(client, &changes->end);
    pthread_mutex_lock(&changes->lock);
    while (!changes->released)
        cond_wait_until(&changes->changed, &changes->lock, INT64_MAX);
    pthread_mutex_unlock(&changes->lock);
    pthread_cond_destroy(&changes->changed);
    pthread_mutex_destroy(&changes->lock);
    buf_fini(&changes->request);
    free(changes);
    atomic_fetch_sub(&client->users, 1);
}
