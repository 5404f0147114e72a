/* endpoint.c - the functions of tributary/endpoint.h. The message points into the caller's texts,
 * and into arrays that are freed after the call. */
#include <stdlib.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/lib/admin/admin_call.h"
#include "client/lib/admin/producer.h"
#include "client/lib/core/status.h"
#include "tributary/v1/admin.pb-c.h"

/* The message, and what it points to. The arrays are owned. */
struct parts {
    Tributary__V1__Endpoint message;
    ProtobufCBinaryData *requests;
    Tributary__V1__Endpoint__MetadataEntry *metadata, **metadata_list;
    Tributary__V1__Endpoint__LabelsEntry *labels, **label_list;
    Google__Protobuf__Duration backoff, max_backoff, connect, first_message, idle, resolve;
};

static bool fill_requests(struct parts *parts, const struct tributary_endpoint *from)
{
    if (!ADMIN_NEW_ARRAY(parts->requests, from->request_count))
        return false;
    for (size_t i = 0; i < from->request_count; i++)
        parts->requests[i] =
            (ProtobufCBinaryData){from->requests[i].size, (uint8_t *)(uintptr_t)from->requests[i].data};
    parts->message.requests = parts->requests;
    parts->message.n_requests = from->request_count;
    return true;
}

static bool fill_metadata(struct parts *parts, const struct tributary_endpoint *from)
{
    if (!ADMIN_NEW_ARRAY(parts->metadata, from->metadata_count) ||
        !ADMIN_NEW_ARRAY(parts->metadata_list, from->metadata_count))
        return false;
    for (size_t i = 0; i < from->metadata_count; i++) {
        tributary__v1__endpoint__metadata_entry__init(&parts->metadata[i]);
        parts->metadata[i].key = admin_text(from->metadata[i].name);
        parts->metadata[i].value = admin_text(from->metadata[i].value);
        parts->metadata_list[i] = &parts->metadata[i];
    }
    parts->message.metadata = parts->metadata_list;
    parts->message.n_metadata = from->metadata_count;
    return true;
}

static bool fill_labels(struct parts *parts, const struct tributary_endpoint *from)
{
    if (!ADMIN_NEW_ARRAY(parts->labels, from->label_count) ||
        !ADMIN_NEW_ARRAY(parts->label_list, from->label_count))
        return false;
    for (size_t i = 0; i < from->label_count; i++) {
        tributary__v1__endpoint__labels_entry__init(&parts->labels[i]);
        parts->labels[i].key = admin_text(from->labels[i].name);
        parts->labels[i].value = admin_text(from->labels[i].value);
        parts->label_list[i] = &parts->labels[i];
    }
    parts->message.labels = parts->label_list;
    parts->message.n_labels = from->label_count;
    return true;
}

/* NULL, which is the default, for 0. A negative duration is passed on; the server refuses it. */
static Google__Protobuf__Duration *duration_of(Google__Protobuf__Duration *duration, int64_t ns)
{
    google__protobuf__duration__init(duration);
    duration->seconds = ns / NS_PER_S;
    duration->nanos = (int32_t)(ns % NS_PER_S);
    return ns != 0 ? duration : NULL;
}

/* The message's list is not changed. */
static char **admin_texts(const char *const *texts)
{
    return (char **)(uintptr_t)texts;
}

/* False: out of memory. */
static bool fill(struct parts *parts, const struct tributary_endpoint *from)
{
    Tributary__V1__Endpoint *message = &parts->message;

    tributary__v1__endpoint__init(message);
    message->name = admin_text(from->name);
    message->address = admin_text(from->address);
    message->method = admin_text(from->method);
    message->authority = admin_text(from->authority);
    message->tls = admin_text(from->tls);
    message->key_field = admin_text(from->key_field);
    message->time_field = admin_text(from->time_field);
    message->serve = admin_texts(from->serve);
    message->n_serve = from->serve_count;
    message->serve_request_metadata = admin_texts(from->serve_request_metadata);
    message->n_serve_request_metadata = from->serve_request_metadata_count;
    message->serve_answer_metadata = admin_texts(from->serve_answer_metadata);
    message->n_serve_answer_metadata = from->serve_answer_metadata_count;
    message->descriptor_set.data = (uint8_t *)(uintptr_t)from->descriptor_set.data;
    message->descriptor_set.len = from->descriptor_set.size;
    message->history_events = from->history_events;
    message->history_bytes = from->history_bytes;
    message->half_close = (Tributary__V1__Endpoint__HalfClose)from->half_close;
    message->activation = (Tributary__V1__Endpoint__Activation)from->activation;
    message->restart = (Tributary__V1__Endpoint__Restart)from->restart;
    message->decode = (Tributary__V1__Endpoint__Decode)from->decode;
    message->backoff = duration_of(&parts->backoff, from->backoff_ns);
    message->max_backoff = duration_of(&parts->max_backoff, from->max_backoff_ns);
    message->connect_timeout = duration_of(&parts->connect, from->connect_timeout_ns);
    message->first_message_timeout = duration_of(&parts->first_message, from->first_message_timeout_ns);
    message->idle_timeout = duration_of(&parts->idle, from->idle_timeout_ns);
    message->each_address = from->each_address;
    message->resolve_period = duration_of(&parts->resolve, from->resolve_period_ns);
    return fill_requests(parts, from) && fill_metadata(parts, from) && fill_labels(parts, from);
}

static void free_parts(struct parts *parts)
{
    free(parts->requests);
    free(parts->metadata);
    free(parts->metadata_list);
    free(parts->labels);
    free(parts->label_list);
}

/* `parts` is zeroed, and its message is the endpoint of `request`. */
static enum tributary_code call(struct tributary *client, const char *path,
                                const struct tributary_addition *addition, const ProtobufCMessage *request,
                                struct parts *parts, struct tributary_status *status)
{
    const struct unary_method method = {path, addition->timeout_ns};
    struct tributary_status local_status;
    Tributary__V1__Producer *answer = NULL;

    status = status ? status : &local_status;
    if (fill(parts, addition->endpoint))
        answer = (void *)admin_call(client, &method, request, &tributary__v1__producer__descriptor, status);
    else
        status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    if (answer && !admin_show_producer(addition->each, addition->ctx, answer))
        status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    if (answer)
        protobuf_c_message_free_unpacked(&answer->base, NULL);
    free_parts(parts);
    return status->code;
}

enum tributary_code tributary_producer_add(struct tributary *client,
                                           const struct tributary_addition *addition,
                                           struct tributary_status *status)
{
    Tributary__V1__AddProducerRequest request = TRIBUTARY__V1__ADD_PRODUCER_REQUEST__INIT;
    struct parts parts = {.requests = NULL};

    request.endpoint = &parts.message;
    request.on_duplicate = addition->replace ? TRIBUTARY__V1__ADD_PRODUCER_REQUEST__ON_DUPLICATE__REPLACE
                                             : TRIBUTARY__V1__ADD_PRODUCER_REQUEST__ON_DUPLICATE__REJECT;
    return call(client, "/tributary.v1.Admin/AddProducer", addition, &request.base, &parts, status);
}

enum tributary_code tributary_producer_update(struct tributary *client,
                                              const struct tributary_addition *addition,
                                              struct tributary_status *status)
{
    Tributary__V1__UpdateProducerRequest request = TRIBUTARY__V1__UPDATE_PRODUCER_REQUEST__INIT;
    struct parts parts = {.requests = NULL};

    request.endpoint = &parts.message;
    return call(client, "/tributary.v1.Admin/UpdateProducer", addition, &request.base, &parts, status);
}
