/* subscribe_request.c - every bound of subscriber.proto, in one place. The settings have those that
 * an operator may change, with their defaults. */
#include "server/rpc/subscribe_request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/filter.h"
#include "event/text.h"
#include "flow/chan_limits.h"
#include "server/rpc/decode.h"
#include "server/rpc/sort_request.h"
#include "server/rpc/start_request.h"
#include "tributary/v1/subscriber.pb-c.h"

#define MAX_REQUEST_BYTES (64u * 1024u)
#define MAX_NAME_BYTES 256u

/* 0 stands for the default. */
static enum fault_reason number_read(uint64_t value, const char *field, const struct setting_range *range,
                                     uint64_t *value_out, struct fault *fault)
{
    char bound[40];

    if (value > (uint64_t)range->max) {
        snprintf(bound, sizeof(bound), "at most %" PRId64, range->max);
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, field, value, bound);
    }
    *value_out = value > 0 ? value : (uint64_t)range->default_value;
    return FAULT_NONE;
}

static enum fault_reason number32_read(uint32_t value, const char *field, const struct setting_range *range,
                                       uint32_t *value_out, struct fault *fault)
{
    uint64_t wide = 0;
    enum fault_reason reason = number_read(value, field, range, &wide, fault);

    if (!reason)
        *value_out = (uint32_t)wide;
    return reason;
}

/* `duration` NULL: the default. */
static enum fault_reason duration_read(const Google__Protobuf__Duration *duration, const char *field,
                                       const struct setting_range *range, int64_t *ns_out,
                                       struct fault *fault)
{
    const struct duration_rule rule = {field, range->default_value, range->min, range->max, true};

    return decode_duration(duration ? &duration->base : NULL, &rule, ns_out, fault);
}

/* The selectors of a request in the form that filter_new() reads, in three blocks of memory. They
 * point into the request. */
struct selectors {
    struct selector *selectors;
    struct bytes *patterns;
    struct pair *pairs;
    size_t selector_count, pattern_count, pair_count; /* filled in so far */
};

static void selectors_fini(struct selectors *made)
{
    free(made->selectors);
    free(made->patterns);
    free(made->pairs);
}

static enum err selectors_alloc(struct selectors *made, const Tributary__V1__SubscribeRequest *request)
{
    size_t patterns = 0;
    size_t pairs = 0;

    for (size_t i = 0; i < request->n_selectors + request->n_exclude; i++) {
        const Tributary__V1__Selector *from =
            i < request->n_selectors ? request->selectors[i] : request->exclude[i - request->n_selectors];

        patterns += from->n_keys + from->n_types;
        pairs += from->n_headers + from->n_labels;
    }
    made->selectors = calloc(request->n_selectors + request->n_exclude + 1, sizeof(*made->selectors));
    made->patterns = calloc(patterns + 1, sizeof(*made->patterns));
    made->pairs = calloc(pairs + 1, sizeof(*made->pairs));
    return made->selectors && made->patterns && made->pairs ? ERR_OK : ERR_NO_MEMORY;
}

static const struct bytes *patterns_add(struct selectors *made, char *const *from, size_t count)
{
    struct bytes *first = &made->patterns[made->pattern_count];

    for (size_t i = 0; i < count; i++)
        first[i] = text_bytes(from[i]);
    made->pattern_count += count;
    return first;
}

static const struct pair *pairs_add(struct selectors *made, Tributary__V1__Selector__Pair *const *from,
                                    size_t count)
{
    struct pair *first = &made->pairs[made->pair_count];

    for (size_t i = 0; i < count; i++)
        first[i] = (struct pair){text_bytes(from[i]->name), text_bytes(from[i]->value)};
    made->pair_count += count;
    return first;
}

/* The counts fit into 32 bits: a request has about 1 MiB at most. */
static const struct selector *selectors_add(struct selectors *made, Tributary__V1__Selector *const *from,
                                            size_t count)
{
    const struct selector *first = &made->selectors[made->selector_count];

    for (size_t i = 0; i < count; i++) {
        made->selectors[made->selector_count++] = (struct selector){
            .producer = text_bytes(from[i]->producer),
            .producer_name = text_bytes(from[i]->producer_name),
            .topic = text_bytes(from[i]->topic),
            .keys = patterns_add(made, from[i]->keys, from[i]->n_keys),
            .types = patterns_add(made, from[i]->types, from[i]->n_types),
            .headers = pairs_add(made, from[i]->headers, from[i]->n_headers),
            .labels = pairs_add(made, from[i]->labels, from[i]->n_labels),
            .key_count = (uint32_t)from[i]->n_keys,
            .type_count = (uint32_t)from[i]->n_types,
            .header_count = (uint32_t)from[i]->n_headers,
            .label_count = (uint32_t)from[i]->n_labels,
        };
    }
    return first;
}

static enum fault_reason filter_read(const Tributary__V1__SubscribeRequest *request,
                                     struct filter **filter_out, struct fault *fault)
{
    struct selectors made = {0};
    enum fault_reason reason;

    if (selectors_alloc(&made, request)) {
        reason = fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    } else {
        const struct selector *selectors = selectors_add(&made, request->selectors, request->n_selectors);
        const struct selector *excludes = selectors_add(&made, request->exclude, request->n_exclude);

        reason = filter_new(selectors, request->n_selectors, excludes, request->n_exclude, filter_out, fault);
    }
    selectors_fini(&made);
    return reason;
}

enum fault_reason select_read(const ProtobufCMessage *message, struct filter **filter_out,
                              struct fault *fault)
{
    const Tributary__V1__ConsumeRequest__Select *select =
        (const Tributary__V1__ConsumeRequest__Select *)(const void *)message;
    Tributary__V1__SubscribeRequest request = TRIBUTARY__V1__SUBSCRIBE_REQUEST__INIT;

    request.n_selectors = select->n_selectors;
    request.selectors = select->selectors;
    request.n_exclude = select->n_exclude;
    request.exclude = select->exclude;
    return filter_read(&request, filter_out, fault);
}

/* enum overflow has the API's numbers. decode() has refused unknown ones. */
static enum overflow overflow_of(Tributary__V1__Overflow overflow, enum overflow default_value)
{
    return overflow == TRIBUTARY__V1__OVERFLOW__OVERFLOW_UNSPECIFIED ? default_value
                                                                     : (enum overflow)overflow;
}

static enum fault_reason buffer_read(const Tributary__V1__Buffer *buffer,
                                     const struct subscription_ranges *ranges, struct chan_limits *limits,
                                     struct fault *fault)
{
    static const Tributary__V1__Buffer none = TRIBUTARY__V1__BUFFER__INIT;
    enum fault_reason reason;

    if (!buffer)
        buffer = &none;
    reason = number32_read(buffer->max_events, "buffer.max_events", &ranges->max_events, &limits->max_events,
                           fault);
    if (!reason)
        reason =
            number_read(buffer->max_bytes, "buffer.max_bytes", &ranges->max_bytes, &limits->max_bytes, fault);
    if (!reason)
        reason =
            duration_read(buffer->max_age, "buffer.max_age", &ranges->max_age_ns, &limits->max_age_ns, fault);
    if (!reason)
        reason = duration_read(buffer->block_timeout, "buffer.block_timeout", &ranges->block_timeout_ns,
                               &limits->block_timeout_ns, fault);
    if (reason)
        return reason;
    limits->overflow = overflow_of(buffer->overflow, OVERFLOW_BY_FEED);
    limits->fallback = overflow_of(buffer->fallback, OVERFLOW_DROP_OLDEST);
    if (limits->fallback == OVERFLOW_BLOCK || limits->fallback == OVERFLOW_LATEST_PER_KEY)
        return fault_bytes(
            fault, FAULT_OUT_OF_BOUNDS, "buffer.fallback",
            text_bytes(limits->fallback == OVERFLOW_BLOCK ? "OVERFLOW_BLOCK" : "OVERFLOW_LATEST_PER_KEY"),
            "DROP_OLDEST, DROP_NEWEST or DISCONNECT");
    return FAULT_NONE;
}

static enum fault_reason sender_read(const Tributary__V1__SubscribeRequest *message,
                                     const struct subscription_ranges *ranges,
                                     struct subscribe_request *request, struct fault *fault)
{
    enum fault_reason reason =
        duration_read(message->linger, "linger", &ranges->linger_ns, &request->linger_ns, fault);

    if (!reason)
        reason = duration_read(message->heartbeat_interval, "heartbeat_interval", &ranges->heartbeat_ns,
                               &request->heartbeat_ns, fault);
    if (!reason)
        reason = number32_read(message->max_batch_events, "max_batch_events", &ranges->max_batch_events,
                               &request->max_batch_events, fault);
    if (!reason)
        reason = number32_read(message->max_batch_bytes, "max_batch_bytes", &ranges->max_batch_bytes,
                               &request->max_batch_bytes, fault);
    return reason;
}

static enum fault_reason from_read(const Tributary__V1__SubscribeRequest *message,
                                   struct subscribe_request *request, struct fault *fault)
{
    struct start_request start = {.params = &request->params};
    enum fault_reason reason = start_read(message->start ? &message->start->base : NULL, &start, fault);

    request->resume = start.points;
    return reason;
}

static enum fault_reason identity_read(const Tributary__V1__SubscribeRequest *message,
                                       struct subscribe_request *request, struct fault *fault)
{
    if (message->request.len > MAX_REQUEST_BYTES)
        return fault_number(fault, FAULT_TOO_LONG, "request", message->request.len, "at most 65536 bytes");
    request->params.request = (struct bytes){message->request.data, message->request.len};
    request->params.end_when_all_ended = message->end_when == TRIBUTARY__V1__END_WHEN__END_WHEN_ALL_ENDED;
    request->params.end_when_caught_up = message->end_when == TRIBUTARY__V1__END_WHEN__END_WHEN_CAUGHT_UP;
    request->limit_events = message->limit_events;
    request->states = message->notices != TRIBUTARY__V1__NOTICES__NOTICES_NONE;
    request->params.name = text_bytes(message->name);
    return request->params.name.size > 0 ? name_check(request->params.name, "name", MAX_NAME_BYTES, fault)
                                         : FAULT_NONE;
}

enum fault_reason subscribe_request_read(const ProtobufCMessage *unpacked,
                                         const struct subscription_ranges *ranges,
                                         struct subscribe_request *request_out, struct fault *fault)
{
    const Tributary__V1__SubscribeRequest *message =
        (const Tributary__V1__SubscribeRequest *)(const void *)unpacked;
    struct subscribe_request request = {0};
    enum fault_reason reason = filter_read(message, &request.params.filter, fault);

    if (!reason)
        reason = identity_read(message, &request, fault);
    if (!reason)
        reason = buffer_read(message->buffer, ranges, &request.params.limits, fault);
    if (!reason)
        reason = sort_window_read(message->sort_window, &request.params.limits, fault);
    if (!reason)
        reason = sender_read(message, ranges, &request, fault);
    if (!reason)
        reason = from_read(message, &request, fault);
    if (reason) {
        subscribe_request_fini(&request);
        return reason;
    }
    *request_out = request;
    return FAULT_NONE;
}

enum fault_reason subscribe_request_check_topics(const struct subscribe_request *request, bool has_topics,
                                                 struct fault *fault)
{
    if (!request->params.end_when_caught_up || has_topics)
        return FAULT_NONE;
    return fault_bytes(fault, FAULT_OUT_OF_BOUNDS, "end_when", text_bytes("END_WHEN_CAUGHT_UP"),
                       "there are no stored topics without --state-dir");
}

void subscribe_request_lower(struct subscribe_request *request, const struct settings *settings)
{
    struct chan_limits *limits = &request->params.limits;

    limits->max_bytes = MIN_OF(limits->max_bytes, (uint64_t)settings->memory_limit_bytes / 100 *
                                                      settings->channel_share_percent);
    limits->block_timeout_ns = MIN_OF(limits->block_timeout_ns, settings->max_block_timeout_ns);
}

void subscribe_request_fini(struct subscribe_request *request)
{
    filter_free(request->params.filter);
    free(request->resume);
    *request = (struct subscribe_request){0};
}

void settings_write(const struct subscribe_request *request, uint32_t revision, struct buf *block)
{
    Tributary__V1__Settings settings = TRIBUTARY__V1__SETTINGS__INIT;
    const struct chan_limits *limits = &request->params.limits;

    settings.max_events = limits->max_events;
    settings.max_bytes = limits->max_bytes;
    settings.max_age_nanos = (uint64_t)limits->max_age_ns;
    settings.overflow = (Tributary__V1__Overflow)limits->overflow;
    settings.block_timeout_nanos = (uint64_t)limits->block_timeout_ns;
    settings.fallback = (Tributary__V1__Overflow)limits->fallback;
    settings.linger_nanos = (uint64_t)request->linger_ns;
    settings.max_batch_events = request->max_batch_events;
    settings.max_batch_bytes = request->max_batch_bytes;
    settings.heartbeat_interval_nanos = (uint64_t)request->heartbeat_ns;
    settings.revision = revision;
    settings.sort_duration_nanos = (uint64_t)limits->sort.duration_ns;
    settings.sort_events = limits->sort.max_events;
    encode(&settings.base, block);
}
