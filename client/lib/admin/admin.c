/* admin.c - the functions of tributary/admin.h. Each packs a request, waits for the answer, unpacks
 * it, and passes it on in the public structs. Their texts lie in the unpacked message. */
#include "client/lib/admin/admin_call.h"

#include <stdlib.h>

#include "client/lib/admin/producer.h"
#include "client/lib/core/status.h"
#include "health/v1/health.pb-c.h"
#include "tributary/v1/admin.pb-c.h"

#define PAGE_SIZE 100u

enum tributary_code tributary_check(struct tributary *client, const char *service, int64_t timeout_ns,
                                    bool *serving_out, struct tributary_status *status)
{
    const struct unary_method method = {"/grpc.health.v1.Health/Check", timeout_ns};
    struct tributary_status local_status;
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    Grpc__Health__V1__HealthCheckResponse *answer = NULL;

    status = status ? status : &local_status;
    request.service = admin_text(service);
    answer = (void *)admin_call(client, &method, &request.base,
                                &grpc__health__v1__health_check_response__descriptor, status);
    if (!answer)
        return status->code;
    *serving_out = answer->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    protobuf_c_message_free_unpacked(&answer->base, NULL);
    return TRIBUTARY_OK;
}

static bool show_producers(const void *ctx, const ProtobufCMessage *message, const char **next_out)
{
    const Tributary__V1__ListProducersResponse *answer = (const void *)message;
    const struct tributary_producers_query *query = ctx;

    *next_out = answer->next_page_token;
    for (size_t i = 0; i < answer->n_producers; i++)
        if (!admin_show_producer(query->each, query->ctx, answer->producers[i]))
            return false;
    return true;
}

enum tributary_code tributary_producers(struct tributary *client,
                                        const struct tributary_producers_query *query,
                                        struct tributary_status *status)
{
    Tributary__V1__ListProducersRequest request = TRIBUTARY__V1__LIST_PRODUCERS_REQUEST__INIT;
    const struct admin_walk walk = {.client = client,
                                    .method = {"/tributary.v1.Admin/ListProducers", query->timeout_ns},
                                    .request = &request.base,
                                    .page_token = &request.page_token,
                                    .answer_type = &tributary__v1__list_producers_response__descriptor,
                                    .show = show_producers,
                                    .ctx = query};

    request.pattern = admin_text(query->pattern);
    request.page_size = PAGE_SIZE;
    return admin_walk_run(&walk, status);
}

enum tributary_code tributary_producer_get(struct tributary *client,
                                           const struct tributary_producers_query *query,
                                           struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/GetProducer", query->timeout_ns};
    struct tributary_status local_status;
    Tributary__V1__GetProducerRequest request = TRIBUTARY__V1__GET_PRODUCER_REQUEST__INIT;
    Tributary__V1__Producer *answer = NULL;

    status = status ? status : &local_status;
    request.name = admin_text(query->pattern);
    answer = (void *)admin_call(client, &method, &request.base, &tributary__v1__producer__descriptor, status);
    if (answer) {
        if (!admin_show_producer(query->each, query->ctx, answer))
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
    struct tributary_status local_status;
    Tributary__V1__Producer *answer = NULL;

    status = status ? status : &local_status;
    request.name = admin_text(removal->name);
    request.wait = removal->wait;
    request.mode = removal->cancel ? TRIBUTARY__V1__REMOVE_PRODUCER_REQUEST__MODE__CANCEL
                                   : TRIBUTARY__V1__REMOVE_PRODUCER_REQUEST__MODE__DRAIN;
    if (removal->drain_ns > 0 && !removal->cancel) {
        duration.seconds = removal->drain_ns / NS_PER_S;
        duration.nanos = (int32_t)(removal->drain_ns % NS_PER_S);
        request.deadline = &duration;
    }
    answer = (void *)admin_call(client, &method, &request.base, &tributary__v1__producer__descriptor, status);
    if (answer) {
        if (!admin_show_producer(removal->each, removal->ctx, answer))
            status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
        protobuf_c_message_free_unpacked(&answer->base, NULL);
    }
    return status->code;
}

static struct tributary_store store_of(const Tributary__V1__Info__Store *from,
                                       struct tributary_not_loaded *not_loaded)
{
    for (size_t i = 0; i < from->n_not_loaded; i++)
        not_loaded[i] =
            (struct tributary_not_loaded){from->not_loaded[i]->name, from->not_loaded[i]->message};
    return (struct tributary_store){
        .path = from->path,
        .uuid = from->uuid,
        .state = (enum tributary_store_state)from->state,
        .topics = from->topics,
        .database_bytes = from->database_bytes,
        .free_bytes = from->free_bytes,
        .log_bytes = from->log_bytes,
        .ballast_bytes = from->ballast_bytes,
        .code = from->code,
        .message = from->message,
        .not_loaded = not_loaded,
        .not_loaded_count = from->n_not_loaded,
    };
}

enum tributary_code tributary_drain(struct tributary *client, int64_t drain_ns, int64_t timeout_ns,
                                    struct tributary_draining *draining_out, struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/Drain", timeout_ns};
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    Tributary__V1__DrainRequest request = TRIBUTARY__V1__DRAIN_REQUEST__INIT;
    struct tributary_status local_status;
    Tributary__V1__DrainResponse *answer = NULL;

    status = status ? status : &local_status;
    if (drain_ns > 0) {
        duration.seconds = drain_ns / NS_PER_S;
        duration.nanos = (int32_t)(drain_ns % NS_PER_S);
        request.deadline = &duration;
    }
    answer = (void *)admin_call(client, &method, &request.base, &tributary__v1__drain_response__descriptor,
                                status);
    if (!answer)
        return status->code;
    *draining_out =
        (struct tributary_draining){answer->deadline_unix_nano, answer->producers, answer->subscriptions};
    protobuf_c_message_free_unpacked(&answer->base, NULL);
    return TRIBUTARY_OK;
}

static bool show_info(const Tributary__V1__Info *from,
                      void (*each)(void *ctx, const struct tributary_info *info), void *ctx)
{
    const size_t not_loaded_count = from->store ? from->store->n_not_loaded : 0;
    struct tributary_counter *counters = calloc(from->n_counters + 1, sizeof(*counters));
    struct tributary_not_loaded *not_loaded = calloc(not_loaded_count + 1, sizeof(*not_loaded));
    struct tributary_store store = {.path = ""};

    if (!counters || !not_loaded) {
        free(counters);
        free(not_loaded);
        return false;
    }
    if (from->store)
        store = store_of(from->store, not_loaded);
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
        .store = from->store ? &store : NULL,
    };

    each(ctx, &info);
    free(counters);
    free(not_loaded);
    return true;
}

enum tributary_code tributary_info(struct tributary *client, int64_t timeout_ns,
                                   void (*each)(void *ctx, const struct tributary_info *info), void *ctx,
                                   struct tributary_status *status)
{
    const struct unary_method method = {"/tributary.v1.Admin/GetInfo", timeout_ns};
    Tributary__V1__GetInfoRequest request = TRIBUTARY__V1__GET_INFO_REQUEST__INIT;
    struct tributary_status local_status;
    Tributary__V1__Info *answer = NULL;

    status = status ? status : &local_status;
    answer = (void *)admin_call(client, &method, &request.base, &tributary__v1__info__descriptor, status);
    if (answer) {
        if (!show_info(answer, each, ctx))
            status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
        protobuf_c_message_free_unpacked(&answer->base, NULL);
    }
    return status->code;
}
