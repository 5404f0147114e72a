/* settings.c - writing a SubscribeRequest. Numbers of fields are those of subscriber.proto. */
#include "client/lib/settings.h"

#include <string.h>

#include "base/clock.h"
#include "event/primitives.h"

#define LIST_MOST 64u

static void put_tag(struct buf *buf, uint32_t number, uint32_t type)
{
    buf_byte(buf, (uint8_t)(number << 3 | type));
}

static void put_varint(struct buf *buf, uint64_t value)
{
    uint8_t bytes[10];

    buf_bytes(buf, bytes, varint_write(bytes, value));
}

static void put_number(struct buf *buf, uint32_t number, uint64_t value)
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
    put_bytes(buf, number, text.at, text.size);
}

static void put_text(struct buf *buf, uint32_t number, const char *text)
{
    if (text != NULL && text[0] != '\0')
        put_bytes(buf, number, text, strlen(text));
}

/* Moves `inner` into `buf` as one field, and empties it. */
static void put_message(struct buf *buf, uint32_t number, struct buf *inner)
{
    put_bytes(buf, number, inner->at, inner->size);
    buf->broken |= inner->broken;
    buf_fini(inner);
}

void settings_write_duration(struct buf *buf, uint32_t number, int64_t duration_ns)
{
    struct buf inner = {0};

    if (duration_ns == 0)
        return;
    if (duration_ns > 0) {
        put_number(&inner, 1, (uint64_t)(duration_ns / NS_PER_S));
        put_number(&inner, 2, (uint64_t)(duration_ns % NS_PER_S));
    }
    put_message(buf, number, &inner);
}

static const char *put_selector(struct buf *request, uint32_t number, const struct tributary_selector *selector)
{
    struct buf inner = {0};

    if (selector->key_count > LIST_MOST || selector->type_count > LIST_MOST || selector->header_count > LIST_MOST)
        return "a selector's list has over 64 entries";
    put_text(&inner, 1, selector->producer);
    put_text(&inner, 2, selector->topic);
    for (size_t i = 0; i < selector->key_count; i++)
        put_bytes(&inner, 3, selector->keys[i], strlen(selector->keys[i]));
    for (size_t i = 0; i < selector->type_count; i++)
        put_bytes(&inner, 4, selector->types[i], strlen(selector->types[i]));
    for (size_t i = 0; i < selector->header_count; i++) {
        struct buf pair = {0};

        put_text(&pair, 1, selector->headers[i][0]);
        put_text(&pair, 2, selector->headers[i][1]);
        put_message(&inner, 5, &pair);
    }
    put_message(request, number, &inner);
    return NULL;
}

static const char *put_selectors(struct buf *request, uint32_t number, const struct tributary_selector *selectors, size_t count)
{
    const char *fault = count > LIST_MOST ? "over 64 selectors" : NULL;

    for (size_t i = 0; i < count && fault == NULL; i++)
        fault = put_selector(request, number, &selectors[i]);
    return fault;
}

static void put_buffer(struct buf *request, const struct tributary_subscriber_options *options)
{
    struct buf inner = {0};

    put_number(&inner, 1, options->max_events);
    put_number(&inner, 2, options->max_bytes);
    settings_write_duration(&inner, 3, options->max_age_ns);
    put_number(&inner, 4, (uint64_t)options->overflow);
    settings_write_duration(&inner, 5, options->block_timeout_ns);
    put_number(&inner, 6, (uint64_t)options->fallback);
    put_message(request, 4, &inner);
}

const char *settings_write(const struct tributary_subscriber_options *options, struct buf *request)
{
    static const struct tributary_selector everything = {.producer = "*"};
    const bool none = options->selector_count == 0;
    const int64_t durations[] = {options->max_age_ns, options->block_timeout_ns, options->linger_ns, options->heartbeat_ns};
    const char *fault = NULL;

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        if (durations[i] < TRIBUTARY_NONE)
            return "a duration is negative";
    }
    if (options->resume_token.size > RESUME_TOKEN_MOST)
        return "resume_token: over 64 KiB";
    fault = put_selectors(request, 1, none ? &everything : options->selectors, none ? 1 : options->selector_count);
    if (fault == NULL)
        fault = put_selectors(request, 2, options->exclude, options->exclude_count);
    if (fault != NULL)
        return fault;
    put_buffer(request, options);
    settings_write_duration(request, 5, options->linger_ns);
    put_number(request, 6, options->max_batch_events);
    put_number(request, 7, options->max_batch_bytes);
    settings_write_duration(request, 9, options->heartbeat_ns);
    put_number(request, 10, options->no_statuses ? 2 : 0);
    put_text(request, 11, options->name);
    return NULL;
}

void settings_write_resume(struct buf *request, struct bytes token)
{
    struct buf inner = {0};

    if (token.size == 0)
        return;
    put_bytes(&inner, 6, token.at, token.size);
    put_message(request, 8, &inner);
}
