/* subscribe_encode.c - writes a SubscribeRequest. Field numbers are those of subscriber.proto. */
#include "client/lib/subscribe/subscribe_encode.h"

#include <string.h>

#include "client/lib/core/fields.h"

#define MAX_LIST 64u
#define MAX_REQUEST 65536u
#define NOTICES_NONE 2u
#define END_WHEN_ALL_ENDED 2u

static struct bytes text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void put_text(struct buf *buf, uint32_t number, const char *text)
{
    if (text && text[0] != '\0')
        field_append_text(buf, number, text_of(text));
}

static void put_pairs(struct buf *buf, uint32_t number, const char *const (*pairs)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf pair = {0};

        put_text(&pair, 1, pairs[i][0]);
        put_text(&pair, 2, pairs[i][1]);
        field_append_message(buf, number, &pair);
    }
}

static const char *put_selector(struct buf *request, uint32_t number,
                                const struct tributary_selector *selector)
{
    struct buf inner = {0};

    if (selector->key_count > MAX_LIST || selector->type_count > MAX_LIST ||
        selector->header_count > MAX_LIST || selector->label_count > MAX_LIST)
        return "a selector's list has over 64 entries";
    put_text(&inner, 1, selector->producer);
    put_text(&inner, 2, selector->topic);
    for (size_t i = 0; i < selector->key_count; i++)
        field_append_text(&inner, 3, text_of(selector->keys[i]));
    for (size_t i = 0; i < selector->type_count; i++)
        field_append_text(&inner, 4, text_of(selector->types[i]));
    put_pairs(&inner, 5, selector->headers, selector->header_count);
    put_pairs(&inner, 6, selector->labels, selector->label_count);
    field_append_message(request, number, &inner);
    return NULL;
}

static const char *put_selectors(struct buf *request, uint32_t number,
                                 const struct tributary_selector *selectors, size_t count)
{
    const char *fault = count > MAX_LIST ? "over 64 selectors" : NULL;

    for (size_t i = 0; i < count && !fault; i++)
        fault = put_selector(request, number, &selectors[i]);
    return fault;
}

static void put_buffer(struct buf *request, const struct tributary_subscriber_options *options)
{
    struct buf inner = {0};

    field_append_number(&inner, 1, options->max_events);
    field_append_number(&inner, 2, options->max_bytes);
    field_append_duration(&inner, 3, options->max_age_ns);
    field_append_number(&inner, 4, (uint64_t)options->overflow);
    field_append_duration(&inner, 5, options->block_timeout_ns);
    field_append_number(&inner, 6, (uint64_t)options->fallback);
    field_append_message(request, 4, &inner);
}

const char *subscribe_write_filter(const struct tributary_filter *filter, struct buf *request)
{
    static const struct tributary_selector everything = {.producer = "*"};
    const bool none = filter->selector_count == 0;
    const char *fault =
        put_selectors(request, 1, none ? &everything : filter->selectors, none ? 1 : filter->selector_count);

    return fault ? fault : put_selectors(request, 2, filter->exclude, filter->exclude_count);
}

static const char *fault_of(const struct tributary_subscriber_options *options)
{
    const int64_t durations[] = {options->max_age_ns, options->block_timeout_ns, options->linger_ns,
                                 options->heartbeat_ns};

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        if (durations[i] < TRIBUTARY_NONE)
            return "a duration is negative";
    }
    if (options->resume_token.size > MAX_RESUME_TOKEN_BYTES)
        return "resume_token: over 64 KiB";
    if (options->request.size > MAX_REQUEST)
        return "request: over 64 KiB";
    if (options->start_last > 0 && options->resume_token.size > 0)
        return "start_last and resume_token exclude each other";
    if (!options->consume &&
        (options->credit_events > 0 || options->credit_bytes > 0 || options->credit_by_hand))
        return "credit: only with consume";
    return NULL;
}

const char *subscribe_write_options(const struct tributary_subscriber_options *options, struct buf *request)
{
    const char *fault = fault_of(options);

    if (fault)
        return fault;
    if (options->request.size > 0)
        field_append_text(request, 3, (struct bytes){options->request.data, options->request.size});
    put_buffer(request, options);
    field_append_duration(request, 5, options->linger_ns);
    field_append_number(request, 6, options->max_batch_events);
    field_append_number(request, 7, options->max_batch_bytes);
    field_append_duration(request, 9, options->heartbeat_ns);
    field_append_number(request, 10, options->no_statuses ? NOTICES_NONE : 0);
    put_text(request, 11, options->name);
    field_append_number(request, 12, options->end_when_all_ended ? END_WHEN_ALL_ENDED : 0);
    return NULL;
}

const char *subscribe_write_request(const struct tributary_subscriber_options *options, struct buf *request)
{
    const struct tributary_filter filter = {options->selectors, options->selector_count, options->exclude,
                                            options->exclude_count};
    const char *fault = subscribe_write_filter(&filter, request);

    return fault ? fault : subscribe_write_options(options, request);
}

void subscribe_write_limit(struct buf *request, uint64_t events)
{
    field_append_number(request, 13, events);
}

void subscribe_write_start_last(struct buf *request, uint32_t events)
{
    struct buf inner = {0};

    if (events == 0)
        return;
    field_append_number(&inner, 2, events);
    field_append_message(request, 8, &inner);
}

void subscribe_write_resume(struct buf *request, struct bytes token)
{
    struct buf inner = {0};

    if (token.size == 0)
        return;
    field_append_text(&inner, 6, token);
    field_append_message(request, 8, &inner);
}
