/* settings.c - writing a SubscribeRequest. Numbers of fields are those of subscriber.proto. */
#include "client/lib/subscribe/settings.h"

#include <string.h>

#include "base/clock.h"
#include "event/varint.h"

#define MAX_LIST 64u
#define MAX_REQUEST 65536u
#define NOTICES_NONE 2u
#define END_WHEN_ALL_ENDED 2u

static void put_tag(struct buf *buf, uint32_t number, uint32_t type)
{
    buf_byte(buf, (uint8_t)(number << 3 | type));
}

static void put_varint(struct buf *buf, uint64_t value)
{
    uint8_t bytes[10];

    buf_bytes(buf, bytes, varint_write(bytes, value));
}

void settings_write_number(struct buf *buf, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    put_tag(buf, number, WIRE_VARINT);
    put_varint(buf, value);
}

static void put_bytes(struct buf *buf, uint32_t number, const void *at, size_t size)
{
    put_tag(buf, number, WIRE_LEN);
    put_varint(buf, size);
    if (size > 0)
        buf_bytes(buf, at, size);
}

void settings_write_text(struct buf *buf, uint32_t number, struct bytes text)
{
    put_bytes(buf, number, text.data, text.size);
}

static void put_text(struct buf *buf, uint32_t number, const char *text)
{
    if (text != NULL && text[0] != '\0')
        put_bytes(buf, number, text, strlen(text));
}

/* Moves `inner` into `buf` as one field, and empties it. */
static void put_message(struct buf *buf, uint32_t number, struct buf *inner)
{
    put_bytes(buf, number, inner->data, inner->size);
    buf->broken |= inner->broken;
    buf_fini(inner);
}

void settings_write_duration(struct buf *buf, uint32_t number, int64_t duration_ns)
{
    struct buf inner = {0};

    if (duration_ns == 0)
        return;
    if (duration_ns > 0) {
        settings_write_number(&inner, 1, (uint64_t)(duration_ns / NS_PER_S));
        settings_write_number(&inner, 2, (uint64_t)(duration_ns % NS_PER_S));
    }
    put_message(buf, number, &inner);
}

static void put_pairs(struct buf *buf, uint32_t number, const char *const (*pairs)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf pair = {0};

        put_text(&pair, 1, pairs[i][0]);
        put_text(&pair, 2, pairs[i][1]);
        put_message(buf, number, &pair);
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
        put_bytes(&inner, 3, selector->keys[i], strlen(selector->keys[i]));
    for (size_t i = 0; i < selector->type_count; i++)
        put_bytes(&inner, 4, selector->types[i], strlen(selector->types[i]));
    put_pairs(&inner, 5, selector->headers, selector->header_count);
    put_pairs(&inner, 6, selector->labels, selector->label_count);
    put_message(request, number, &inner);
    return NULL;
}

static const char *put_selectors(struct buf *request, uint32_t number,
                                 const struct tributary_selector *selectors, size_t count)
{
    const char *fault = count > MAX_LIST ? "over 64 selectors" : NULL;

    for (size_t i = 0; i < count && fault == NULL; i++)
        fault = put_selector(request, number, &selectors[i]);
    return fault;
}

static void put_buffer(struct buf *request, const struct tributary_subscriber_options *options)
{
    struct buf inner = {0};

    settings_write_number(&inner, 1, options->max_events);
    settings_write_number(&inner, 2, options->max_bytes);
    settings_write_duration(&inner, 3, options->max_age_ns);
    settings_write_number(&inner, 4, (uint64_t)options->overflow);
    settings_write_duration(&inner, 5, options->block_timeout_ns);
    settings_write_number(&inner, 6, (uint64_t)options->fallback);
    put_message(request, 4, &inner);
}

const char *settings_write_selectors(const struct tributary_selection *selection, struct buf *request)
{
    static const struct tributary_selector everything = {.producer = "*"};
    const bool none = selection->selector_count == 0;
    const char *fault = put_selectors(request, 1, none ? &everything : selection->selectors,
                                      none ? 1 : selection->selector_count);

    return fault != NULL ? fault : put_selectors(request, 2, selection->exclude, selection->exclude_count);
}

static const char *fault_of(const struct tributary_subscriber_options *options)
{
    const int64_t durations[] = {options->max_age_ns, options->block_timeout_ns, options->linger_ns,
                                 options->heartbeat_ns};

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        if (durations[i] < TRIBUTARY_NONE)
            return "a duration is negative";
    }
    if (options->resume_token.size > MAX_RESUME_TOKEN)
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

const char *settings_write_rest(const struct tributary_subscriber_options *options, struct buf *request)
{
    const char *fault = fault_of(options);

    if (fault != NULL)
        return fault;
    if (options->request.size > 0)
        put_bytes(request, 3, options->request.data, options->request.size);
    put_buffer(request, options);
    settings_write_duration(request, 5, options->linger_ns);
    settings_write_number(request, 6, options->max_batch_events);
    settings_write_number(request, 7, options->max_batch_bytes);
    settings_write_duration(request, 9, options->heartbeat_ns);
    settings_write_number(request, 10, options->no_statuses ? NOTICES_NONE : 0);
    put_text(request, 11, options->name);
    settings_write_number(request, 12, options->end_when_all_ended ? END_WHEN_ALL_ENDED : 0);
    return NULL;
}

const char *settings_write(const struct tributary_subscriber_options *options, struct buf *request)
{
    const struct tributary_selection selection = {options->selectors, options->selector_count,
                                                  options->exclude, options->exclude_count};
    const char *fault = settings_write_selectors(&selection, request);

    return fault != NULL ? fault : settings_write_rest(options, request);
}

void settings_write_limit(struct buf *request, uint64_t events)
{
    settings_write_number(request, 13, events);
}

void settings_write_last(struct buf *request, uint32_t events)
{
    struct buf inner = {0};

    if (events == 0)
        return;
    settings_write_number(&inner, 2, events);
    put_message(request, 8, &inner);
}

void settings_write_resume(struct buf *request, struct bytes token)
{
    struct buf inner = {0};

    if (token.size == 0)
        return;
    put_bytes(&inner, 6, token.data, token.size);
    put_message(request, 8, &inner);
}
