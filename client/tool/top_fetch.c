/* top_fetch.c - the server's lists become rows. */
#include "client/tool/top_fetch.h"

#include <stdlib.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/producers_show.h"

#define PAGE_TIMEOUT_NS (3 * NS_PER_S)

static void on_producer(void *ctx, const struct tributary_producer *producer)
{
    struct top_snapshot *snapshot = ctx;
    const struct top_row row = {
        .texts = {producer->name, producer_kind_name(producer), tributary_state_name(producer->state)},
        .values = {0, 0, 0, 0, 0, producer->subscriptions, producer->blocked_calls,
                   producer->paused_activations},
        .epoch = producer->epoch,
        .totals = {producer->published.events, producer->published.bytes},
        .at_ns = clock_mono_ns(),
    };

    top_round_add(&snapshot->rounds[TOP_PRODUCERS], &row);
}

static const char *condition(const struct tributary_subscription *subscription)
{
    return subscription->draining          ? "draining"
           : subscription->fallback_active ? "fallback"
           : subscription->blocked         ? "blocked"
                                           : "flowing";
}

static void on_subscription(void *ctx, const struct tributary_subscription *subscription)
{
    struct top_snapshot *snapshot = ctx;
    const struct top_row row = {
        .texts = {subscription->id, subscription->name, subscription->peer, NULL, NULL, NULL, NULL, NULL,
                  condition(subscription)},
        .values = {0, 0, 0, 0, (double)subscription->queued.events, (double)subscription->queued.bytes,
                   (double)subscription->dropped.events},
        .epoch = subscription->started_unix_nano,
        .totals = {subscription->delivered.events, subscription->dropped.events},
        .at_ns = clock_mono_ns(),
    };

    top_round_add(&snapshot->rounds[TOP_CONSUMERS], &row);
}

static bool read_lists(struct tributary *client, int64_t timeout_ns, struct top_snapshot *snapshot,
                       struct tributary_status *status)
{
    const struct tributary_producers_query producers = {
        .timeout_ns = timeout_ns, .each = on_producer, .ctx = snapshot};
    const struct tributary_subscriptions_query subscriptions = {
        .timeout_ns = timeout_ns, .each = on_subscription, .ctx = snapshot};

    if (tributary_producers(client, &producers, status) != TRIBUTARY_OK ||
        tributary_subscriptions(client, &subscriptions, status) != TRIBUTARY_OK)
        return false;
    if (!snapshot->rounds[TOP_PRODUCERS].broken && !snapshot->rounds[TOP_CONSUMERS].broken)
        return true;
    *status = (struct tributary_status){.code = TRIBUTARY_RESOURCE_EXHAUSTED, .message = "out of memory"};
    return false;
}

struct top_snapshot *top_snapshot_read(struct tributary *client, int64_t timeout_ns,
                                       const struct top_snapshot *before, struct tributary_status *status)
{
    struct top_snapshot *snapshot = calloc(1, sizeof(*snapshot));

    if (!snapshot) {
        *status = (struct tributary_status){.code = TRIBUTARY_RESOURCE_EXHAUSTED, .message = "out of memory"};
        return NULL;
    }
    if (!read_lists(client, timeout_ns, snapshot, status)) {
        top_snapshot_free(snapshot);
        return NULL;
    }
    for (unsigned i = 0; i < TOP_LISTS; i++)
        top_round_complete(&snapshot->rounds[i], (enum top_list)i, before ? &before->rounds[i] : NULL);
    return snapshot;
}

void top_snapshot_free(struct top_snapshot *snapshot)
{
    if (!snapshot)
        return;
    for (unsigned i = 0; i < TOP_LISTS; i++)
        top_round_fini(&snapshot->rounds[i]);
    free(snapshot);
}

static void *run(void *ctx)
{
    struct top_fetch *fetch = ctx;

    pthread_mutex_lock(&fetch->lock);
    while (!fetch->is_over) {
        if (fetch->state != TOP_FETCH_BUSY) {
            pthread_cond_wait(&fetch->changed, &fetch->lock);
            continue;
        }
        pthread_mutex_unlock(&fetch->lock);
        struct tributary_status status = {.code = TRIBUTARY_OK};
        struct top_snapshot *result =
            top_snapshot_read(fetch->client, PAGE_TIMEOUT_NS, fetch->before, &status);

        pthread_mutex_lock(&fetch->lock);
        fetch->result = result;
        fetch->status = status;
        fetch->state = TOP_FETCH_DONE;
        stop_wake(fetch->stop);
    }
    pthread_mutex_unlock(&fetch->lock);
    return NULL;
}

bool top_fetch_start(struct top_fetch *fetch, struct stop *stop)
{
    *fetch = (struct top_fetch){.stop = stop};
    CHECK(pthread_mutex_init(&fetch->lock, NULL) == 0);
    CHECK(pthread_cond_init(&fetch->changed, NULL) == 0);
    fetch->is_started = pthread_create(&fetch->thread, NULL, run, fetch) == 0;
    return fetch->is_started;
}

void top_fetch_request(struct top_fetch *fetch, struct tributary *client, const struct top_snapshot *before)
{
    pthread_mutex_lock(&fetch->lock);
    fetch->client = client;
    fetch->before = before;
    fetch->state = TOP_FETCH_BUSY;
    pthread_cond_signal(&fetch->changed);
    pthread_mutex_unlock(&fetch->lock);
}

bool top_fetch_result(struct top_fetch *fetch, struct top_snapshot **snapshot_out,
                      struct tributary_status *status)
{
    bool is_done = false;

    pthread_mutex_lock(&fetch->lock);
    is_done = fetch->state == TOP_FETCH_DONE;
    if (is_done) {
        *snapshot_out = fetch->result;
        *status = fetch->status;
        fetch->result = NULL;
        fetch->state = TOP_FETCH_IDLE;
    }
    pthread_mutex_unlock(&fetch->lock);
    return is_done;
}

void top_fetch_end(struct top_fetch *fetch)
{
    if (!fetch->is_started)
        return;
    pthread_mutex_lock(&fetch->lock);
    fetch->is_over = true;
    pthread_cond_signal(&fetch->changed);
    pthread_mutex_unlock(&fetch->lock);
    pthread_join(fetch->thread, NULL);
    top_snapshot_free(fetch->result);
    pthread_cond_destroy(&fetch->changed);
    pthread_mutex_destroy(&fetch->lock);
}
