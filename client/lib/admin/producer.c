/* producer.c - makes a struct tributary_producer of a Producer. */
#include "client/lib/admin/producer.h"

#include <stdlib.h>

#include "base/base.h"
#include "client/lib/admin/admin_call.h"

/* What a producer points to and the message does not hold in the same form. */
struct parts {
    struct tributary_label *labels, *endpoint_labels, *metadata; /* owned, as are the requests */
    struct tributary_bytes *requests;
    struct tributary_endpoint endpoint;
    struct tributary_failure failure;
};

static bool copy_arrays(struct parts *parts, const Tributary__V1__Endpoint *from)
{
    if (!ADMIN_NEW_ARRAY(parts->endpoint_labels, from->n_labels) ||
        !ADMIN_NEW_ARRAY(parts->metadata, from->n_metadata) ||
        !ADMIN_NEW_ARRAY(parts->requests, from->n_requests))
        return false;
    for (size_t i = 0; i < from->n_labels; i++)
        parts->endpoint_labels[i] = (struct tributary_label){from->labels[i]->key, from->labels[i]->value};
    for (size_t i = 0; i < from->n_metadata; i++)
        parts->metadata[i] = (struct tributary_label){from->metadata[i]->key, from->metadata[i]->value};
    for (size_t i = 0; i < from->n_requests; i++)
        parts->requests[i] = (struct tributary_bytes){from->requests[i].data, from->requests[i].len};
    return true;
}

static bool copy_endpoint(struct parts *parts, const Tributary__V1__Endpoint *from)
{
    if (!copy_arrays(parts, from))
        return false;
    parts->endpoint = (struct tributary_endpoint){
        .name = from->name,
        .address = from->address,
        .method = from->method,
        .requests = parts->requests,
        .request_count = from->n_requests,
        .half_close = (enum tributary_endpoint_half_close)from->half_close,
        .metadata = parts->metadata,
        .metadata_count = from->n_metadata,
        .labels = parts->endpoint_labels,
        .label_count = from->n_labels,
        .activation = (enum tributary_endpoint_activation)from->activation,
        .restart = (enum tributary_endpoint_restart)from->restart,
        .backoff_ns = admin_duration_ns(from->backoff),
        .max_backoff_ns = admin_duration_ns(from->max_backoff),
        .connect_timeout_ns = admin_duration_ns(from->connect_timeout),
        .first_message_timeout_ns = admin_duration_ns(from->first_message_timeout),
        .idle_timeout_ns = admin_duration_ns(from->idle_timeout),
        .decode = (enum tributary_endpoint_decode)from->decode,
        .authority = from->authority,
        .tls = from->tls,
        .each_address = from->each_address != 0,
        .resolve_period_ns = admin_duration_ns(from->resolve_period),
        .key_field = from->key_field,
        .time_field = from->time_field,
        .serve = (const char *const *)from->serve,
        .serve_count = from->n_serve,
        .serve_request_metadata = (const char *const *)from->serve_request_metadata,
        .serve_request_metadata_count = from->n_serve_request_metadata,
        .serve_answer_metadata = (const char *const *)from->serve_answer_metadata,
        .serve_answer_metadata_count = from->n_serve_answer_metadata,
        .history_events = from->history_events,
        .history_bytes = from->history_bytes,
    };
    return true;
}

static struct tributary_failure failure_of(const Tributary__V1__Producer__Failure *from)
{
    return (struct tributary_failure){
        .dialling = from->where == TRIBUTARY__V1__PRODUCER__FAILURE__WHERE__DIAL,
        .code = from->code,
        .message = from->message,
        .time_unix_nano = from->time_unix_nano,
    };
}

/* False: out of memory. */
static bool collect(struct parts *parts, const Tributary__V1__Producer *from)
{
    if (!ADMIN_NEW_ARRAY(parts->labels, from->n_labels))
        return false;
    for (size_t i = 0; i < from->n_labels; i++)
        parts->labels[i] = (struct tributary_label){from->labels[i]->key, from->labels[i]->value};
    if (from->failure)
        parts->failure = failure_of(from->failure);
    return !from->endpoint || copy_endpoint(parts, from->endpoint);
}

static void pass_on(void (*each)(void *ctx, const struct tributary_producer *producer), void *ctx,
                    const Tributary__V1__Producer *from, const struct parts *parts)
{
    const bool labels_in_endpoint = from->n_labels == 0 && from->endpoint;
    const struct tributary_producer producer = {
        .name = from->name,
        .peer = from->peer,
        .kind = (enum tributary_producer_kind)from->kind,
        .state = (int)from->state,
        .epoch = from->epoch,
        .last_sequence = from->last_sequence,
        .published = admin_totals(from->published),
        .open_calls = from->open_calls,
        .blocked_calls = from->blocked_calls,
        .subscriptions = from->subscriptions,
        .last_event_unix_nano = from->last_event_unix_nano,
        .labels = labels_in_endpoint ? parts->endpoint_labels : parts->labels,
        .label_count = labels_in_endpoint ? from->endpoint->n_labels : from->n_labels,
        .topics = (const char *const *)from->topics,
        .topic_count = from->n_topics,
        .per_consumer = from->per_consumer != 0,
        .activations = from->activations,
        .paused_activations = from->paused_activations,
        .expired_activations = from->expired_activations,
        .endpoint = from->endpoint ? &parts->endpoint : NULL,
        .upstream_calls = from->upstream_calls,
        .failure = from->failure ? &parts->failure : NULL,
        .origin = (enum tributary_origin)from->origin,
        .origin_text = from->origin_text,
        .ended_calls = from->ended_calls,
        .aborted_calls = from->aborted_calls,
        .aborted_subscriptions = (const char *const *)from->aborted_subscriptions,
        .aborted_subscription_count = from->n_aborted_subscriptions,
        .children = (const char *const *)from->children,
        .child_count = from->n_children,
        .kept = from->kept != 0,
        .not_kept_reason = (enum tributary_not_kept)from->not_kept_reason,
        .inner_sources = from->inner_sources,
        .lost_upstream = admin_totals(from->lost_upstream),
    };

    each(ctx, &producer);
}

bool admin_show_producer(void (*each)(void *ctx, const struct tributary_producer *producer), void *ctx,
                         const Tributary__V1__Producer *from)
{
    struct parts parts = {.labels = NULL};
    const bool collected = !each || collect(&parts, from);

    if (each && collected)
        pass_on(each, ctx, from, &parts);
    free(parts.labels);
    free(parts.endpoint_labels);
    free(parts.metadata);
    free(parts.requests);
    return collected;
}
