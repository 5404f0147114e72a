/* endpoint_plan.c - what an endpoint keeps of its parameters. */
#include "server/dial/endpoint_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/shared_bytes.h"
#include "grpc/own_mark.h"
#include "grpc/slices.h"
#include "loop/loop.h"

/* Events that are any bytes say where they come from. */
#define CONTENT_TYPE "application/grpc; method="

/* Beyond the limit of a message: so that ours answers, and not the core's. */
#define MESSAGE_EXTRA_BYTES (64u << 10)

static enum err copy_requests(struct endpoint_plan *plan, const struct endpoint_params *params)
{
    for (size_t i = 0; i < params->request_count; i++) {
        plan->requests[i] = params->shared_requests ? shared_bytes_retain(params->shared_requests[i])
                                                    : shared_bytes_new(params->requests[i]);
        if (!plan->requests[i])
            return ERR_NO_MEMORY;
        plan->calls.request_count++;
    }
    return ERR_OK;
}

static enum err copy_metadata(struct endpoint_plan *plan, const struct endpoint_params *params)
{
    plan->metadata = calloc(params->metadata_count + 1, sizeof(*plan->metadata));
    if (!plan->metadata)
        return ERR_NO_MEMORY;
    plan->metadata[0] = own_mark();
    for (size_t i = 0; i < params->metadata_count; i++)
        plan->metadata[i + 1] = (grpc_metadata){.key = slice_copy_of(params->metadata[i].name),
                                                .value = slice_copy_of(params->metadata[i].value)};
    plan->calls.metadata_count = params->metadata_count + 1;
    return ERR_OK;
}

static size_t size_of_names(const struct bytes *names, size_t count)
{
    size_t size = count * sizeof(*names);

    for (size_t i = 0; i < count; i++)
        size += names[i].size;
    return size;
}

static uint8_t *copy_names(struct bytes *to, uint8_t *at, const struct bytes *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = (struct bytes){at, from[i].size};
        memcpy(at, from[i].data, from[i].size);
        at += from[i].size;
    }
    return at;
}

static enum err copy_all_names(struct endpoint_plan *plan, const struct endpoint_params *params)
{
    const size_t requests = params->serve_request_metadata_count,
                 answers = params->serve_answer_metadata_count;
    uint8_t *at;

    plan->names = malloc(1 + size_of_names(params->serve_request_metadata, requests) +
                         size_of_names(params->serve_answer_metadata, answers));
    if (!plan->names)
        return ERR_NO_MEMORY;
    at = (uint8_t *)(plan->names + requests + answers);
    at = copy_names(plan->names, at, params->serve_request_metadata, requests);
    (void)copy_names(plan->names + requests, at, params->serve_answer_metadata, answers);
    plan->calls.request_names = plan->names;
    plan->calls.answer_names = plan->names + requests;
    plan->calls.request_name_count = requests;
    plan->calls.answer_name_count = answers;
    return ERR_OK;
}

enum err endpoint_plan_init(struct endpoint_plan *plan, const struct endpoint_params *params,
                            const struct place *place)
{
    struct upstream_plan *calls = &plan->calls;
    const size_t type_size = sizeof(CONTENT_TYPE) + strlen(params->method);

    char target[TARGET_CAPACITY];

    target_write(place, target);
    plan->target = strdup(target);
    plan->name = strndup((const char *)params->name.data, params->name.size);
    plan->method = strdup(params->method);
    plan->authority = strdup(params->authority);
    plan->content_type = malloc(type_size);
    if (!plan->target || !plan->name || !plan->method || !plan->authority || !plan->content_type ||
        copy_metadata(plan, params) != ERR_OK || copy_requests(plan, params) != ERR_OK ||
        copy_all_names(plan, params) != ERR_OK)
        return ERR_NO_MEMORY;
    snprintf(plan->content_type, type_size, "%s%s", CONTENT_TYPE, plan->method);
    calls->name = plan->name;
    calls->method = plan->method;
    calls->requests = plan->requests;
    calls->metadata = plan->metadata;
    calls->keep_open = params->keep_open;
    calls->is_native = strcmp(plan->method, NATIVE_METHOD) == 0;
    calls->event_batch = params->event_batch;
    calls->content_type = text_bytes(plan->content_type);
    if (params->key_field && params->key_field[0] != '\0')
        CHECK(field_path_parse(params->key_field, &calls->key_field)); /* it was checked */
    if (params->time_field && params->time_field[0] != '\0')
        CHECK(field_path_parse(params->time_field, &calls->time_field));
    calls->connect_timeout_ns = params->connect_timeout_ns;
    calls->first_message_timeout_ns = params->first_message_timeout_ns;
    calls->idle_timeout_ns = params->idle_timeout_ns;
    plan->connections = (struct connections){
        .target = plan->target,
        .authority = plan->authority,
        .connect_timeout_ns = params->connect_timeout_ns,
        .max_message_bytes = loop_settings(calls->loop)->framing.max_batch_bytes + MESSAGE_EXTRA_BYTES};
    connections_init(&plan->connections);
    calls->connections = &plan->connections;
    return ERR_OK;
}

void endpoint_plan_fini(struct endpoint_plan *plan)
{
    for (size_t i = 0; i < plan->calls.request_count; i++)
        shared_bytes_release(plan->requests[i]);
    for (size_t i = 0; i < plan->calls.metadata_count; i++) {
        grpc_slice_unref(plan->metadata[i].key);
        grpc_slice_unref(plan->metadata[i].value);
    }
    free(plan->metadata);
    free(plan->target);
    free(plan->names);
    free(plan->name);
    free(plan->method);
    free(plan->authority);
    free(plan->content_type);
}
