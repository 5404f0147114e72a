/* admin.c - the functions of tributary/admin.h and tributary/subscriptions.h. Each packs a request,
 * waits for the answer, unpacks it, and passes it on in the public structs. Their texts lie in the
 * unpacked message. */
#include "client/lib/core/unary.h"

#include <stdlib.h>
#include <string.h>

#include "client/lib/core/status.h"
#include "grpc/health/v1/health.pb-c.h"
#include "tributary/v1/admin.pb-c.h"

#define PAGE_SIZE 100u
#define PAGE_SIZE_WITH_SOURCES 20u
#define MAX_PAGES 100000u /* against a server that never sends a last page */

static char *text(const char *from)
{
    return (char *)(uintptr_t)(from ? from : "");
}

/* Packs the request, waits for the answer and unpacks it. NULL: an error, which is in *status. */
static ProtobufCMessage *call(struct tributary *client, const struct unary_method *method,
                              const ProtobufCMessage *request, const ProtobufCMessageDescriptor *answer_type,
                              struct tributary_status *status)
{
    struct tributary_status unused;
    struct buf packed = {0};
    struct buf answer = {0};
    ProtobufCMessage *message = NULL;
    uint8_t *at = buf_extend(&packed, protobuf_c_message_get_packed_size(request));

    status = status ? status : &unused;
    if (at)
        protobuf_c_message_pack(request, at);
    if (unary_call_run(client, method, &packed, &answer, status) == TRIBUTARY_OK) {
        message = protobuf_c_message_unpack(answer_type, NULL, answer.size, answer.data);
        if (!message)
            status_set(status, TRIBUTARY_INTERNAL, "the answer of the server cannot be read");
    }
    buf_fini(&packed);
    buf_fini(&answer);
    return message;
}

static struct tributary_totals totals(const Tributary__V1__Tally *from)
{
    return from ? (struct tributary_totals){from->events, from->bytes} : (struct tributary_totals){0, 0};
}

/* False: out of memory. */
static bool show_producer(void (*each)(void *ctx, const struct tributary_producer *producer), void *ctx,
                          const Tributary__V1__Producer *from)
{
    struct tributary_label *labels = calloc(from->n_labels + 1, sizeof(*labels));

    if (!labels)
        return false;
    for (size_t i = 0; i < from->n_labels; i++)
        labels[i] = (struct tributary_label){from->labels[i]->key, from->labels[i]->value};

    const struct tributary_producer producer = {
        .name = from->name,
        .peer = from->peer,
        .is_session = from->kind == TRIBUTARY__V1__PRODUCER__KIND__SESSION,
        .state = (int)from->state,
        .epoch = from->epoch,
        .last_sequence = from->last_sequence,
        .published = totals(from->published),
        .open_calls = from->open_calls,
        .blocked_calls = from->blocked_calls,
        .subscriptions = from->subscriptions,
        .last_event_unix_nano = from->last_event_unix_nano,
        .labels = labels,
        .label_count = from->n_labels,
        .topics = (const char *const *)from->topics,
        .topic_count = from->n_topics,
        .per_consumer = from->per_consumer != 0,
        .activations = from->activations,
        .paused_activations = from->paused_activations,
        .expired_activations = from->expired_activations,
    };

    each(ctx, &producer);
    free(labels);
    return true;
}

static struct tributary_settings settings(const Tributary__V1__Settings *from)
{
    if (!from)
        return (struct tributary_settings){.max_events = 0};
    return (struct tributary_settings){
        .max_events = from->max_events,
        .max_bytes = from->max_bytes,
        .max_age_ns = (int64_t)MIN_OF(from->max_age_nanos, (uint64_t)INT64_MAX),
        .overflow = (enum tributary_overflow)from->overflow,
        .block_timeout_ns = (int64_t)MIN_OF(from->block_timeout_nanos, (uint64_t)INT64_MAX),
        .fallback = (enum tributary_overflow)from->fallback,
        .linger_ns = (int64_t)MIN_OF(from->linger_nanos, (uint64_t)INT64_MAX),
        .max_batch_events = from->max_batch_events,
        .max_batch_bytes = from->max_batch_bytes,
        .heartbeat_ns = (int64_t)MIN_OF(from->heartbeat_interval_nanos, (uint64_t)INT64_MAX),
        .revision = from->revision,
    };
}

static struct tributary_source_totals source_totals(const Tributary__V1__Subscription__LossOfSource *from)
{
    return (struct tributary_source_totals){from->source,           from->epoch,
                                            totals(from->accepted), totals(from->delivered),
                                            totals(from->dropped),  totals(from->queued)};
}

/* False: out of memory. */
static bool show_subscription(const struct tributary_subscriptions_query *query,
                              const Tributary__V1__Subscription *from)
{
    struct tributary_loss_totals *losses = calloc(from->n_losses + 1, sizeof(*losses));
    struct tributary_source_totals *sources = calloc(from->n_sources + 1, sizeof(*sources));
    const bool whole = losses && sources;

    if (whole) {
        for (size_t i = 0; i < from->n_losses; i++)
            losses[i] =
                (struct tributary_loss_totals){(int)from->losses[i]->reason, totals(from->losses[i]->lost)};
        for (size_t i = 0; i < from->n_sources; i++)
            sources[i] = source_totals(from->sources[i]);

        const struct tributary_subscription subscription = {
            .id = from->id,
            .name = from->name,
            .peer = from->peer,
            .started_unix_nano = from->started_unix_nano,
            .settings = settings(from->settings),
            .accepted = totals(from->accepted),
            .delivered = totals(from->delivered),
            .dropped = totals(from->dropped),
            .queued = totals(from->queued),
            .losses = losses,
            .loss_count = from->n_losses,
            .sources = sources,
            .source_count = from->n_sources,
            .producers_matched = from->producers_matched,
            .blocked = from->blocked != 0,
            .fallback_active = from->fallback_active != 0,
            .draining = from->draining != 0,
        };

        query->each(query->ctx, &subscription);
    }
    free(losses);
    free(sources);
    return whole;
}

enum tributary_code tributary_check(struct tributary *client, const char *service, int64_t timeout_ns,
                                    bool *serving_out, struct tributary_status *status)
{
    const struct unary_method method = {"/grpc.health.v1.Health/Check", timeout_ns};
    struct tributary_status own;
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    Grpc__Health__V1__HealthCheckResponse *answer = NULL;

    status = status ? status : &own;
    request.service = text(service);
    answer = (void *)call(client, &method, &request.base,
                          &grpc__health__v1__health_check_response__descriptor, status);
    if (!answer)
        return status->code;
    *serving_out = answer->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    protobuf_c_message_free_unpacked(&answer->base, NULL);
    return TRIBUTARY_OK;
}

/* Keeps the token for the next page. False: this was the last one. */
static bool turn_page(char **token, const char *next, uint32_t *pages)
{
    free(*token);
    *token = strdup(next);
    return *token && (*token)[0] != '\0' && ++*pages < MAX_PAGES;
}

enum tributary_code tributary_producers(struct tributary *client,
                                        const struct tributary_producers_query *query,
                                        struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/ListProducers", query->timeout_ns};
    struct tributary_status own;
    char *token = NULL;
    uint32_t pages = 0;
    bool more = true;

    status = status ? status : &own;
    status_set(status, TRIBUTARY_OK, "");
    while (more) {
        Tributary__V1__ListProducersRequest request = TRIBUTARY__V1__LIST_PRODUCERS_REQUEST__INIT;
        Tributary__V1__ListProducersResponse *answer = NULL;

        request.pattern = text(query->pattern);
        request.page_size = PAGE_SIZE;
        request.page_token = text(token);
        answer = (void *)call(client, &method, &request.base,
                              &tributary__v1__list_producers_response__descriptor, status);
        if (!answer)
            break;
        for (size_t i = 0; i < answer->n_producers; i++) {
            if (!show_producer(query->each, query->ctx, answer->producers[i]))
                status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
        }
        more = turn_page(&token, answer->next_page_token, &pages);
        protobuf_c_message_free_unpacked(&answer->base, NULL);
    }
    free(token);
    return status->code;
}

enum tributary_code tributary_producer_get(struct tributary *client,
                                           const struct tributary_producers_query *query,
                                           struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/GetProducer", query->timeout_ns};
    struct tributary_status own;
    Tributary__V1__GetProducerRequest request = TRIBUTARY__V1__GET_PRODUCER_REQUEST__INIT;
    Tributary__V1__Producer *answer = NULL;

    status = status ? status : &own;
    request.name = text(query->pattern);
    answer = (void *)call(client, &method, &request.base, &tributary__v1__producer__descriptor, status);
    if (answer) {
        if (!show_producer(query->each, query->ctx, answer))
            status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
        protobuf_c_message_free_unpacked(&answer->base, NULL);
    }
    return status->code;
}

enum tributary_code tributary_producer_remove(struct tributary *client,
                                              const struct tributary_removal *removal,
                                              struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/RemoveProducer", removal->timeout_ns};
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    Tributary__V1__RemoveProducerRequest request = TRIBUTARY__V1__REMOVE_PRODUCER_REQUEST__INIT;
    struct tributary_status own;
    Tributary__V1__Producer *answer = NULL;

    status = status ? status : &own;
    request.name = text(removal->name);
    request.mode = removal->cancel ? TRIBUTARY__V1__REMOVE_PRODUCER_REQUEST__MODE__CANCEL
                                   : TRIBUTARY__V1__REMOVE_PRODUCER_REQUEST__MODE__DRAIN;
    if (removal->drain_ns > 0 && !removal->cancel) {
        duration.seconds = removal->drain_ns / NS_PER_S;
        duration.nanos = (int32_t)(removal->drain_ns % NS_PER_S);
        request.deadline = &duration;
    }
    answer = (void *)call(client, &method, &request.base, &tributary__v1__producer__descriptor, status);
    if (answer) {
        if (removal->each && !show_producer(removal->each, removal->ctx, answer))
            status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
        protobuf_c_message_free_unpacked(&answer->base, NULL);
    }
    return status->code;
}

enum tributary_code tributary_subscriptions(struct tributary *client,
                                            const struct tributary_subscriptions_query *query,
                                            struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/ListSubscriptions", query->timeout_ns};
    struct tributary_status own;
    char *token = NULL;
    uint32_t pages = 0;
    bool more = true;

    status = status ? status : &own;
    status_set(status, TRIBUTARY_OK, "");
    while (more) {
        Tributary__V1__ListSubscriptionsRequest request = TRIBUTARY__V1__LIST_SUBSCRIPTIONS_REQUEST__INIT;
        Tributary__V1__ListSubscriptionsResponse *answer = NULL;

        request.page_size = query->sources ? PAGE_SIZE_WITH_SOURCES : PAGE_SIZE;
        request.page_token = text(token);
        request.sources = query->sources;
        answer = (void *)call(client, &method, &request.base,
                              &tributary__v1__list_subscriptions_response__descriptor, status);
        if (!answer)
            break;
        for (size_t i = 0; i < answer->n_subscriptions; i++) {
            if (!show_subscription(query, answer->subscriptions[i]))
                status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
        }
        more = turn_page(&token, answer->next_page_token, &pages);
        protobuf_c_message_free_unpacked(&answer->base, NULL);
    }
    free(token);
    return status->code;
}

enum tributary_code tributary_kick(struct tributary *client, const struct tributary_kick *kick,
                                   struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/Disconnect", kick->timeout_ns};
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    Tributary__V1__DisconnectRequest request = TRIBUTARY__V1__DISCONNECT_REQUEST__INIT;
    struct tributary_status own;
    ProtobufCMessage *answer = NULL;

    status = status ? status : &own;
    request.subscription_id = text(kick->subscription_id);
    request.reason = text(kick->reason);
    request.drain = kick->drain;
    if (kick->drain_ns > 0) {
        duration.seconds = kick->drain_ns / NS_PER_S;
        duration.nanos = (int32_t)(kick->drain_ns % NS_PER_S);
    }
    if (kick->drain_ns != 0)
        request.deadline = &duration;
    answer = call(client, &method, &request.base, &tributary__v1__subscription__descriptor, status);
    if (answer)
        protobuf_c_message_free_unpacked(answer, NULL);
    return status->code;
}

static bool show_info(const Tributary__V1__Info *from,
                      void (*each)(void *ctx, const struct tributary_info *info), void *ctx)
{
    struct tributary_counter *counters = calloc(from->n_counters + 1, sizeof(*counters));

    if (!counters)
        return false;
    for (size_t i = 0; i < from->n_counters; i++)
        counters[i] = (struct tributary_counter){from->counters[i]->name, from->counters[i]->value};

    const struct tributary_info info = {
        .version = from->version,
        .grpc_version = from->grpc_version,
        .started_unix_nano = from->started_unix_nano,
        .listening = (const char *const *)from->listening,
        .listening_count = from->n_listening,
        .pid = from->pid,
        .max_event_bytes = from->max_event_bytes,
        .max_batch_bytes = from->max_batch_bytes,
        .max_batch_events = from->max_batch_events,
        .max_calls_per_connection = from->max_calls_per_connection,
        .max_connections = from->max_connections,
        .memory_limit_bytes = from->memory_limit_bytes,
        .memory_used_bytes = from->memory_used_bytes,
        .draining = from->draining != 0,
        .counters = counters,
        .counter_count = from->n_counters,
    };

    each(ctx, &info);
    free(counters);
    return true;
}

enum tributary_code tributary_info(struct tributary *client, int64_t timeout_ns,
                                   void (*each)(void *ctx, const struct tributary_info *info), void *ctx,
                                   struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/GetInfo", timeout_ns};
    Tributary__V1__GetInfoRequest request = TRIBUTARY__V1__GET_INFO_REQUEST__INIT;
    struct tributary_status own;
    Tributary__V1__Info *answer = NULL;

    status = status ? status : &own;
    answer = (void *)call(client, &method, &request.base, &tributary__v1__info__descriptor, status);
    if (answer) {
        if (!show_info(answer, each, ctx))
            status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
        protobuf_c_message_free_unpacked(&answer->base, NULL);
    }
    return status->code;
}
