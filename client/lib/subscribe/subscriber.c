/* subscriber.c - what any thread may call: subscribe, finish, cancel, wait, free. */
#include "client/lib/subscribe/subscriber.h"

#include <stdlib.h>
#include <string.h>

#include "client/lib/subscribe/subscribe_encode.h"
#include "client/lib/core/status.h"

static void destroy(struct tributary_subscriber *subscriber)
{
    buf_fini(&subscriber->request);
    buf_fini(&subscriber->filter);
    consume_fini(&subscriber->consume);
    resume_state_fini(&subscriber->resume);
    buf_fini(&subscriber->id);
    decoder_fini(&subscriber->decoder);
    free(subscriber);
}

enum tributary_code tributary_subscribe(struct tributary *client,
                                        const struct tributary_subscriber_options *options,
                                        const struct tributary_subscriber_callbacks *callbacks,
                                        struct tributary_subscriber **subscriber_out,
                                        struct tributary_status *status)
{
    struct tributary_subscriber *subscriber = calloc(1, sizeof(*subscriber));

    if (!subscriber)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");

    const struct tributary_filter filter = {options->selectors, options->selector_count, options->exclude,
                                            options->exclude_count};
    const char *fault = subscribe_write_filter(&filter, &subscriber->filter);

    if (!fault)
        fault = subscribe_write_options(options, &subscriber->request);

    if (options->resume_token.size > 0 && !fault)
        buf_bytes(&subscriber->resume.token, options->resume_token.data, options->resume_token.size);
    if (fault || subscriber->request.broken || subscriber->filter.broken || subscriber->resume.token.broken) {
        destroy(subscriber);
        return fault ? status_set(status, TRIBUTARY_INVALID_ARGUMENT, fault)
                     : status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    }
    subscriber->client = client;
    subscriber->callbacks = *callbacks;
    subscriber->no_reconnect = options->no_reconnect;
    subscriber->start = (struct subscribe_start){options->start, options->start_value, options->start_last};
    subscriber->limit_events = options->limit_events;
    subscriber->consume.enabled = options->consume;
    subscriber->consume.events = credit_of(options->credit_events, options->credit_by_hand);
    subscriber->consume.bytes = credit_of(options->credit_bytes, options->credit_by_hand);
    CHECK(pthread_mutex_init(&subscriber->lock, NULL) == 0);
    cond_init(&subscriber->changed);
    subscriber_stream_init(subscriber);
    atomic_fetch_add(&client->users, 1);
    *subscriber_out = subscriber; /* before a callback can run */
    client_post(client, &subscriber->begin);
    return status_set(status, TRIBUTARY_OK, "");
}

void tributary_subscriber_finish(struct tributary_subscriber *subscriber, int64_t drain_ns)
{
    pthread_mutex_lock(&subscriber->lock);

    const bool first = !subscriber->wants_finish;

    subscriber->wants_finish = true;
    if (first)
        subscriber->drain_ns = drain_ns;
    pthread_mutex_unlock(&subscriber->lock);
    if (first)
        client_post(subscriber->client, &subscriber->work);
}

void tributary_subscriber_cancel(struct tributary_subscriber *subscriber)
{
    if (on_client_thread(subscriber->client))
        subscriber->decoder.stop = true;
    pthread_mutex_lock(&subscriber->lock);

    const bool first = !subscriber->wants_cancel;

    subscriber->wants_cancel = true;
    pthread_mutex_unlock(&subscriber->lock);
    if (first)
        client_post(subscriber->client, &subscriber->work);
}

enum tributary_code tributary_subscriber_wait(struct tributary_subscriber *subscriber, int64_t timeout_ns,
                                              struct tributary_status *status)
{
    const int64_t deadline_ns = clock_from_now_ns(timeout_ns);
    enum tributary_code code = TRIBUTARY_OK;
    bool in_time = true;

    CHECK(!on_client_thread(subscriber->client));
    pthread_mutex_lock(&subscriber->lock);
    while (in_time && !subscriber->ended)
        in_time = cond_wait_until(&subscriber->changed, &subscriber->lock, deadline_ns);
    if (subscriber->ended) {
        code = subscriber->final.code;
        if (status)
            *status = subscriber->final;
    } else {
        code = status_set(status, TRIBUTARY_DEADLINE_EXCEEDED, "the subscription has not ended");
        if (status)
            strcpy(status->reason, "STILL_RUNNING");
    }
    pthread_mutex_unlock(&subscriber->lock);
    return code;
}

void tributary_subscriber_free(struct tributary_subscriber *subscriber)
{
    if (!subscriber)
        return;

    struct tributary *client = subscriber->client;

    CHECK(!on_client_thread(client));
    client_post(client, &subscriber->end);
    pthread_mutex_lock(&subscriber->lock);
    while (!subscriber->released)
        cond_wait_until(&subscriber->changed, &subscriber->lock, INT64_MAX);
    pthread_mutex_unlock(&subscriber->lock);
    pthread_cond_destroy(&subscriber->changed);
    pthread_mutex_destroy(&subscriber->lock);
    destroy(subscriber);
    atomic_fetch_sub(&client->users, 1);
}
