/* subscribe_encode.c - writes a SubscribeRequest. */
#include "client/lib/subscribe/subscribe_encode.h"

#include "client/lib/core/bytes.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

#define MAX_LIST 64u
#define MAX_REQUEST 65536u
#define NOTICES_NONE 2u
#define END_WHEN_ALL_ENDED 2u
#define END_WHEN_CAUGHT_UP 3u

static void put_pairs(struct buf *buf, uint32_t number, const char *const (*pairs)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf pair = {0};

        field_text(&pair, PB_SELECTOR_PAIR_NAME, pairs[i][0]);
        field_text(&pair, PB_SELECTOR_PAIR_VALUE, pairs[i][1]);
        field_message(buf, number, &pair);
    }
}

static const char *put_selector(struct buf *request, uint32_t number,
                                const struct tributary_selector *selector)
{
    struct buf inner = {0};

    if (selector->key_count > MAX_LIST || selector->type_count > MAX_LIST ||
        selector->header_count > MAX_LIST || selector->label_count > MAX_LIST)
        return "a selector's list has over 64 entries";
    field_text(&inner, PB_SELECTOR_PRODUCER, selector->producer);
    field_text(&inner, PB_SELECTOR_PRODUCER_NAME, selector->producer_name);
    field_text(&inner, PB_SELECTOR_TOPIC, selector->topic);
    for (size_t i = 0; i < selector->key_count; i++)
        field_bytes_always(&inner, PB_SELECTOR_KEYS, text_bytes(selector->keys[i]));
    for (size_t i = 0; i < selector->type_count; i++)
        field_bytes_always(&inner, PB_SELECTOR_TYPES, text_bytes(selector->types[i]));
    put_pairs(&inner, PB_SELECTOR_HEADERS, selector->headers, selector->header_count);
    put_pairs(&inner, PB_SELECTOR_LABELS, selector->labels, selector->label_count);
    field_message(request, number, &inner);
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

    field_varint(&inner, PB_BUFFER_MAX_EVENTS, options->max_events);
    field_varint(&inner, PB_BUFFER_MAX_BYTES, options->max_bytes);
    field_duration(&inner, PB_BUFFER_MAX_AGE, options->max_age_ns);
    field_varint(&inner, PB_BUFFER_OVERFLOW, (uint64_t)options->overflow);
    field_duration(&inner, PB_BUFFER_BLOCK_TIMEOUT, options->block_timeout_ns);
    field_varint(&inner, PB_BUFFER_FALLBACK, (uint64_t)options->fallback);
    field_message(request, PB_SUBSCRIBE_REQUEST_BUFFER, &inner);
}

static void put_sort_window(struct buf *request, const struct tributary_subscriber_options *options)
{
    struct buf inner = {0};

    if (options->sort_window_ns == 0)
        return;
    field_varint(&inner, PB_SORT_WINDOW_EVENTS, options->sort_events);
    field_duration(&inner, PB_SORT_WINDOW_DURATION, options->sort_window_ns);
    field_text(&inner, PB_SORT_WINDOW_FIELD, options->sort_field);
    field_message(request, PB_SUBSCRIBE_REQUEST_SORT_WINDOW, &inner);
}

/* ConsumeRequest.Select has its filter in the same fields as SubscribeRequest. */
_Static_assert(PB_CONSUME_REQUEST_SELECT_SELECTORS == PB_SUBSCRIBE_REQUEST_SELECTORS &&
                   PB_CONSUME_REQUEST_SELECT_EXCLUDE == PB_SUBSCRIBE_REQUEST_EXCLUDE,
               "one function writes both");

const char *subscribe_write_filter(const struct tributary_filter *filter, struct buf *request)
{
    static const struct tributary_selector everything = {.producer = "*"};
    const bool none = filter->selector_count == 0;
    const char *fault =
        put_selectors(request, PB_SUBSCRIBE_REQUEST_SELECTORS, none ? &everything : filter->selectors,
                      none ? 1 : filter->selector_count);

    return fault
               ? fault
               : put_selectors(request, PB_SUBSCRIBE_REQUEST_EXCLUDE, filter->exclude, filter->exclude_count);
}

static const char *fault_of_start(const struct tributary_subscriber_options *options)
{
    const bool has_value =
        options->start == TRIBUTARY_START_SEQUENCE || options->start == TRIBUTARY_START_TIME;

    if (options->start < TRIBUTARY_START_LIVE || options->start > TRIBUTARY_START_TIME)
        return "start: unknown";
    if (options->start != TRIBUTARY_START_LIVE && (options->start_last > 0 || options->resume_token.size > 0))
        return "start: not with start_last or resume_token";
    if (!has_value && options->start_value > 0)
        return "start_value: only with SEQUENCE and TIME";
    if (options->start == TRIBUTARY_START_SEQUENCE && options->start_value == 0)
        return "start_value: at least 1";
    return NULL;
}

static const char *fault_of(const struct tributary_subscriber_options *options)
{
    const int64_t durations[] = {options->max_age_ns, options->block_timeout_ns, options->linger_ns,
                                 options->heartbeat_ns};

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        if (durations[i] < TRIBUTARY_NONE)
            return "a duration is negative";
    }
    if (options->sort_window_ns < 0)
        return "sort_window_ns: negative";
    if (options->sort_window_ns == 0 && (options->sort_events > 0 || options->sort_field))
        return "sort_events and sort_field: only with sort_window_ns";
    if (options->resume_token.size > MAX_RESUME_TOKEN_BYTES)
        return "resume_token: over 64 KiB";
    if (options->request.size > MAX_REQUEST)
        return "request: over 64 KiB";
    if (options->start_last > 0 && options->resume_token.size > 0)
        return "start_last and resume_token exclude each other";
    if (options->end_when_all_ended && options->end_when_caught_up)
        return "end_when_all_ended and end_when_caught_up exclude each other";
    if (!options->consume &&
        (options->credit_events > 0 || options->credit_bytes > 0 || options->credit_by_hand))
        return "credit: only with consume";
    return NULL;
}

const char *subscribe_write_options(const struct tributary_subscriber_options *options, struct buf *request)
{
    const char *fault = fault_of(options);

    if (!fault)
        fault = fault_of_start(options);
    if (fault)
        return fault;
    field_bytes(request, PB_SUBSCRIBE_REQUEST_REQUEST, to_bytes(options->request));
    put_buffer(request, options);
    put_sort_window(request, options);
    field_duration(request, PB_SUBSCRIBE_REQUEST_LINGER, options->linger_ns);
    field_varint(request, PB_SUBSCRIBE_REQUEST_MAX_BATCH_EVENTS, options->max_batch_events);
    field_varint(request, PB_SUBSCRIBE_REQUEST_MAX_BATCH_BYTES, options->max_batch_bytes);
    field_duration(request, PB_SUBSCRIBE_REQUEST_HEARTBEAT_INTERVAL, options->heartbeat_ns);
    field_varint(request, PB_SUBSCRIBE_REQUEST_NOTICES, options->no_statuses ? NOTICES_NONE : 0);
    field_text(request, PB_SUBSCRIBE_REQUEST_NAME, options->name);
    field_varint(request, PB_SUBSCRIBE_REQUEST_END_WHEN,
                 options->end_when_caught_up   ? END_WHEN_CAUGHT_UP
                 : options->end_when_all_ended ? END_WHEN_ALL_ENDED
                                               : 0);
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
    field_varint(request, PB_SUBSCRIBE_REQUEST_LIMIT_EVENTS, events);
}

void subscribe_write_start(struct buf *request, const struct subscribe_start *start)
{
    const bool is_earliest =
        start->from == TRIBUTARY_START_EARLIEST || (start->from == TRIBUTARY_START_TIME && start->value == 0);
    struct buf inner = {0};

    field_varint(&inner, PB_START_LAST, start->last);
    if (is_earliest)
        field_bytes_always(&inner, PB_START_EARLIEST, (struct bytes){NULL, 0});
    if (start->from == TRIBUTARY_START_SEQUENCE)
        field_fixed64(&inner, PB_START_SEQUENCE, start->value);
    if (start->from == TRIBUTARY_START_TIME)
        field_fixed64(&inner, PB_START_TIME_UNIX_NANO, start->value);
    if (inner.size > 0)
        field_message(request, PB_SUBSCRIBE_REQUEST_START, &inner);
    else
        buf_fini(&inner);
}

void subscribe_write_resume(struct buf *request, struct bytes token)
{
    struct buf inner = {0};

    if (token.size == 0)
        return;
    field_bytes_always(&inner, PB_START_RESUME, token);
    field_message(request, PB_SUBSCRIBE_REQUEST_START, &inner);
}
