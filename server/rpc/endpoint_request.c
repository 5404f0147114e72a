/* endpoint_request.c - every default of Endpoint, in one place. */
#include "server/rpc/endpoint_request.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/rpc/decode.h"

#define MASKED "***"

static const struct duration_rule backoff = {"endpoint.backoff", NS_PER_S, MIN_ENDPOINT_TIME_NS,
                                             MAX_ENDPOINT_WAIT_NS, false};
static const struct duration_rule max_backoff = {"endpoint.max_backoff", 30 * NS_PER_S, MIN_ENDPOINT_TIME_NS,
                                                 MAX_ENDPOINT_WAIT_NS, false};
static const struct duration_rule connect_timeout = {"endpoint.connect_timeout", 10 * NS_PER_S,
                                                     MIN_ENDPOINT_TIME_NS, MAX_ENDPOINT_WAIT_NS, false};
static const struct duration_rule first_message = {"endpoint.first_message_timeout", 0, MIN_ENDPOINT_TIME_NS,
                                                   MAX_ENDPOINT_QUIET_NS, true};
static const struct duration_rule resolve_period = {"endpoint.resolve_period", 30 * NS_PER_S, NS_PER_S,
                                                    MAX_ENDPOINT_WAIT_NS, false};
static const struct duration_rule idle = {"endpoint.idle_timeout", 0, MIN_ENDPOINT_TIME_NS,
                                          MAX_ENDPOINT_QUIET_NS, true};

static enum fault_reason no_memory(struct fault *fault)
{
    return fault_set(fault, FAULT_MEMORY_BUDGET, "endpoint", "");
}

static enum fault_reason read_times(const Tributary__V1__Endpoint *from, struct endpoint_params *params,
                                    struct fault *fault)
{
    const struct {
        const void *message;
        const struct duration_rule *rule;
        int64_t *ns;
    } times[] = {{from->backoff, &backoff, &params->backoff_ns},
                 {from->max_backoff, &max_backoff, &params->max_backoff_ns},
                 {from->connect_timeout, &connect_timeout, &params->connect_timeout_ns},
                 {from->first_message_timeout, &first_message, &params->first_message_timeout_ns},
                 {from->idle_timeout, &idle, &params->idle_timeout_ns},
                 {from->resolve_period, &resolve_period, &params->resolve_period_ns}};

    if (from->resolve_period && !from->each_address)
        return fault_set(fault, FAULT_EMPTY, "endpoint.each_address", "resolve_period is for it only");

    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        if (decode_duration(times[i].message, times[i].rule, times[i].ns, fault))
            return fault->reason;
    return FAULT_NONE;
}

static void read_lists(const Tributary__V1__Endpoint *from, struct endpoint_request *request)
{
    for (size_t i = 0; i < from->n_metadata; i++)
        request->metadata[i] =
            (struct pair){text_bytes(from->metadata[i]->key), text_bytes(from->metadata[i]->value)};
    for (size_t i = 0; i < from->n_serve; i++)
        request->serve[i] = text_bytes(from->serve[i]);
    for (size_t i = 0; i < from->n_serve_request_metadata; i++)
        request->request_names[i] = text_bytes(from->serve_request_metadata[i]);
    for (size_t i = 0; i < from->n_serve_answer_metadata; i++)
        request->answer_names[i] = text_bytes(from->serve_answer_metadata[i]);
    for (size_t i = 0; i < from->n_requests; i++)
        request->requests[i] = (struct bytes){from->requests[i].data, from->requests[i].len};
    for (size_t i = 0; i < from->n_labels; i++)
        request->labels[i] =
            (struct pair){text_bytes(from->labels[i]->key), text_bytes(from->labels[i]->value)};
}

enum fault_reason endpoint_schema_read(const Tributary__V1__Endpoint *from, struct schema **schema_out,
                                       struct fault *fault)
{
    *schema_out = NULL;
    if (!from || from->descriptor_set.len == 0)
        return FAULT_NONE;
    return schema_new("endpoint.descriptor_set",
                      (struct bytes){from->descriptor_set.data, from->descriptor_set.len}, schema_out, fault);
}

/* For those who look at the endpoint: values of metadata may be secrets, and descriptors are
 * long. */
static enum fault_reason write_definition(Tributary__V1__Endpoint *from, struct endpoint_request *request,
                                          struct fault *fault)
{
    static char masked[] = MASKED;
    const size_t set_bytes = from->descriptor_set.len;
    char *values[MAX_ENDPOINT_METADATA];

    if (from->n_metadata > MAX_ENDPOINT_METADATA)
        return fault_number(fault, FAULT_TOO_MANY, "endpoint.metadata", from->n_metadata, "at most 32");
    for (size_t i = 0; i < from->n_metadata; i++) {
        values[i] = from->metadata[i]->value;
        from->metadata[i]->value = masked;
    }
    from->descriptor_set.len = 0;
    encode(&from->base, &request->definition);
    from->descriptor_set.len = set_bytes;
    for (size_t i = 0; i < from->n_metadata; i++)
        from->metadata[i]->value = values[i];
    request->params.definition = (struct bytes){request->definition.data, request->definition.size};
    return request->definition.broken ? no_memory(fault) : FAULT_NONE;
}

/* What a cascade asks for where nobody says so: a SubscribeRequest with a selector for the producer
 * "*", and a buffer of 65 536 events and 32 MiB. */
static const uint8_t everything[] = {0x0a, 3,    0x0a, 1,    '*',  0x22, 9,    8,
                                     0x80, 0x80, 4,    0x10, 0x80, 0x80, 0x80, 0x10};

static void read_cascade(const Tributary__V1__Endpoint *from, struct endpoint_request *request)
{
    struct endpoint_params *params = &request->params;
    const bool is_subscribe = strcmp(params->method, SUBSCRIBE_METHOD) == 0;

    params->cascade = from->decode == TRIBUTARY__V1__ENDPOINT__DECODE__CASCADE ||
                      (from->decode <= TRIBUTARY__V1__ENDPOINT__DECODE__AUTO && is_subscribe);
    if (!params->cascade)
        return;
    params->event_batch = false;
    if (from->activation == TRIBUTARY__V1__ENDPOINT__ACTIVATION__ACTIVATION_UNSPECIFIED)
        params->mode = SESSION_SHARED;
    if (is_subscribe && params->request_count == 0) {
        request->requests[0] = (struct bytes){everything, sizeof(everything)};
        params->request_count = 1;
    }
}

/* A number that the API does not know was refused by decode() already. */
static void read_choices(const Tributary__V1__Endpoint *from, struct endpoint_params *params)
{
    const bool is_native = strcmp(params->method, NATIVE_METHOD) == 0;

    params->mode = from->activation == TRIBUTARY__V1__ENDPOINT__ACTIVATION__SHARED ? SESSION_SHARED
                   : from->activation == TRIBUTARY__V1__ENDPOINT__ACTIVATION__BY_REQUEST
                       ? SESSION_BY_REQUEST
                       : SESSION_PER_CONSUMER;
    params->restart = from->restart == TRIBUTARY__V1__ENDPOINT__RESTART__ALWAYS  ? RESTART_ALWAYS
                      : from->restart == TRIBUTARY__V1__ENDPOINT__RESTART__NEVER ? RESTART_NEVER
                                                                                 : RESTART_ON_FAILURE;
    params->keep_open = from->half_close == TRIBUTARY__V1__ENDPOINT__HALF_CLOSE__KEEP_OPEN;
    params->event_batch = from->decode == TRIBUTARY__V1__ENDPOINT__DECODE__EVENT_BATCH ||
                          (from->decode != TRIBUTARY__V1__ENDPOINT__DECODE__RAW && is_native);
    if (from->history_events > 0 || from->history_bytes > 0)
        params->history = (struct history_bounds){
            .events = from->history_events > 0 ? from->history_events : HISTORY_EVENTS,
            .bytes = from->history_bytes > 0 ? from->history_bytes : HISTORY_BYTES,
        };
}

enum fault_reason endpoint_request_read(Tributary__V1__Endpoint *from, struct schema *schema,
                                        struct endpoint_request *request, struct fault *fault)
{
    struct endpoint_params *params = &request->params;

    *request = (struct endpoint_request){.schema = schema_retain(schema)};
    if (!from)
        return fault_set(fault, FAULT_EMPTY, "endpoint", "an endpoint must be given");
    request->requests = calloc(from->n_requests + 1, sizeof(*request->requests));
    request->metadata = calloc(from->n_metadata + 1, sizeof(*request->metadata));
    request->labels = calloc(from->n_labels + 1, sizeof(*request->labels));
    request->serve = calloc(from->n_serve + 1, sizeof(*request->serve));
    request->request_names = calloc(from->n_serve_request_metadata + 1, sizeof(*request->request_names));
    request->answer_names = calloc(from->n_serve_answer_metadata + 1, sizeof(*request->answer_names));
    if (!request->requests || !request->metadata || !request->labels || !request->serve ||
        !request->request_names || !request->answer_names)
        return no_memory(fault);
    *params = (struct endpoint_params){
        .name = text_bytes(from->name),
        .address = from->address,
        .method = from->method[0] != '\0' || from->n_serve > 0 ? from->method : NATIVE_METHOD,
        .authority = from->authority,
        .tls = from->tls,
        .key_field = from->key_field,
        .time_field = from->time_field,
        .requests = request->requests,
        .request_count = from->n_requests,
        .metadata = request->metadata,
        .metadata_count = from->n_metadata,
        .labels = request->labels,
        .label_count = from->n_labels,
        .serve = request->serve,
        .serve_count = from->n_serve,
        .serve_request_metadata = request->request_names,
        .serve_request_metadata_count = from->n_serve_request_metadata,
        .serve_answer_metadata = request->answer_names,
        .serve_answer_metadata_count = from->n_serve_answer_metadata,
        .schema = schema,
        .each_address = from->each_address,
        .origin = ORIGIN_OPERATOR,
    };
    read_choices(from, params);
    read_lists(from, request);
    read_cascade(from, request);
    if (read_times(from, params, fault))
        return fault->reason;
    return write_definition(from, request, fault);
}

void endpoint_request_fini(struct endpoint_request *request)
{
    free(request->requests);
    free(request->metadata);
    free(request->labels);
    free(request->serve);
    free(request->request_names);
    free(request->answer_names);
    schema_release(request->schema);
    buf_fini(&request->definition);
}
