/* events.c - messages for tests. */
#include "lib/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/splitmix.h"
#include "event/varint.h"

struct bytes text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

void put_varint(struct buf *buf, uint64_t value)
{
    uint8_t bytes[MAX_VARINT_BYTES];

    buf_bytes(buf, bytes, varint_write(bytes, value));
}

void put_tag(struct buf *buf, uint32_t number, unsigned type)
{
    put_varint(buf, (uint64_t)number << 3 | type);
}

void put_padded(struct buf *buf, uint64_t value, size_t size)
{
    for (size_t i = 0; i + 1 < size; i++, value >>= 7)
        buf_byte(buf, (uint8_t)(value | 0x80));
    buf_byte(buf, (uint8_t)(value & 0x7f));
}

void put_field(struct buf *buf, uint32_t number, struct bytes content)
{
    put_tag(buf, number, WIRE_LEN);
    put_varint(buf, content.size);
    if (content.size > 0)
        buf_bytes(buf, content.data, content.size);
    CHECK(!buf->broken);
}

static void put_word(struct buf *buf, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    put_tag(buf, number, WIRE_FIXED64);
    for (int i = 0; i < 8; i++)
        buf_byte(buf, (uint8_t)(value >> (8 * i)));
}

static void put_text(struct buf *buf, uint32_t number, struct bytes text)
{
    if (text.size > 0)
        put_field(buf, number, text);
}

void put_event(struct buf *buf, const struct event_view *event, const struct pair *headers,
               size_t header_count)
{
    struct buf body = {0};

    put_text(&body, 1, event->id);
    put_text(&body, 2, event->topic);
    put_text(&body, 3, event->key);
    put_text(&body, 4, event->type);
    put_text(&body, 5, event->content_type);
    for (size_t i = 0; i < header_count; i++) {
        struct buf entry = {0};
        put_field(&entry, 1, headers[i].name);
        put_field(&entry, 2, headers[i].value);
        put_field(&body, 6, (struct bytes){entry.data, entry.size});
        buf_fini(&entry);
    }
    put_word(&body, 7, event->time_unix_nano);
    put_text(&body, 8, event->data);
    put_word(&body, 9, event->expires_unix_nano);
    put_word(&body, 10, event->deliver_after_unix_nano);
    put_field(buf, 1, (struct bytes){body.data, body.size});
    buf_fini(&body);
}

struct chunk *sample_chunk(uint32_t count, const char *topic, size_t data_size)
{
    return sample_chunk_expiring(count, topic, data_size, NULL);
}

struct chunk *sample_chunk_expiring(uint32_t count, const char *topic, size_t data_size,
                                    const uint64_t *expires_unix_nano)
{
    struct buf message = {0};
    struct framing_scan scan = {0};
    struct framing_limits limits = settings_defaults.framing;
    struct fault fault;
    struct chunk *chunk = NULL;
    uint8_t *data = calloc(1, data_size + 1);

    CHECK(data);
    for (uint32_t i = 0; i < count; i++) {
        char key[24];
        snprintf(key, sizeof(key), "%u", i);
        put_event(&message,
                  &(struct event_view){.topic = text_of(topic),
                                       .key = text_of(key),
                                       .data = {data, data_size},
                                       .expires_unix_nano = expires_unix_nano ? expires_unix_nano[i] : 0},
                  NULL, 0);
    }
    limits.max_batch_bytes = limits.max_event_bytes = UINT32_MAX;
    CHECK(framing_scan(&scan, (struct bytes){message.data, message.size}, &limits, &fault) == FAULT_NONE);
    CHECK(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk) == ERR_OK);
    framing_fini(&scan);
    buf_fini(&message);
    free(data);
    return chunk;
}

uint64_t dice_roll(struct dice *dice, uint64_t sides)
{
    return splitmix64(&dice->state) % sides;
}

struct dice dice_new(const char *test)
{
    const char *given = getenv("TRIBUTARY_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_wall_ns();

    fprintf(stderr, "%s: TRIBUTARY_SEED=%llu\n", test, (unsigned long long)seed);
    return (struct dice){seed};
}

/* Appends a text of up to 40 characters of one to four bytes, with control characters if
 * `control`. */
static void random_text(struct dice *dice, struct buf *buf, bool control)
{
    static const char *const wide[] = {"é",      "ß",      "€",          "漢",     "😀",
                                       "\u07ff", "\ufffd", "\U0010ffff", "\ud7ff", "\ue000"};
    uint64_t count = dice_roll(dice, 4) == 0 ? dice_roll(dice, 40) : dice_roll(dice, 10);

    for (uint64_t i = 0; i < count; i++) {
        if (dice_roll(dice, 8) == 0)
            buf_text(buf, wide[dice_roll(dice, ARRAY_LEN(wide))]);
        else if (control && dice_roll(dice, 16) == 0)
            buf_byte(buf, (uint8_t)(1 + dice_roll(dice, 31)));
        else
            buf_byte(buf, (uint8_t)(' ' + dice_roll(dice, 95)));
    }
}

/* Appends a tag in its shortest form, or now and then in a longer one. */
static void random_tag(struct dice *dice, struct buf *buf, uint32_t number, unsigned type)
{
    uint64_t tag = (uint64_t)number << 3 | type;

    if (dice_roll(dice, 20) == 0)
        put_padded(buf, tag, varint_size(tag) + dice_roll(dice, 6 - varint_size(tag)));
    else
        put_varint(buf, tag);
}

static void random_content(struct dice *dice, struct buf *buf, uint32_t number, struct buf *content)
{
    random_tag(dice, buf, number, WIRE_LEN);
    if (dice_roll(dice, 20) == 0)
        put_padded(buf, content->size,
                   varint_size(content->size) + dice_roll(dice, 6 - varint_size(content->size)));
    else
        put_varint(buf, content->size);
    if (content->size > 0)
        buf_bytes(buf, content->data, content->size);
    buf_clear(content);
}

static void random_scalar(struct dice *dice, struct buf *buf, uint32_t number, unsigned type)
{
    random_tag(dice, buf, number, type);
    if (type == WIRE_VARINT)
        put_varint(buf, dice_roll(dice, UINT64_MAX) >> dice_roll(dice, 64));
    else
        for (int i = 0; i < (type == WIRE_FIXED64 ? 8 : 4); i++)
            buf_byte(buf, (uint8_t)dice_roll(dice, 256));
}

static void random_unknown(struct dice *dice, struct buf *buf, uint32_t min)
{
    static const unsigned scalars[] = {WIRE_VARINT, WIRE_FIXED64, WIRE_FIXED32};
    uint32_t max = (1u << 29) - 1;
    uint32_t number = dice_roll(dice, 2) == 0 ? min + (uint32_t)dice_roll(dice, 30)
                                              : min + (uint32_t)dice_roll(dice, max - min);
    struct buf content = {0};

    if (dice_roll(dice, 2) == 0) {
        random_scalar(dice, buf, number, scalars[dice_roll(dice, ARRAY_LEN(scalars))]);
        return;
    }
    for (uint64_t left = dice_roll(dice, 20); left > 0; left--)
        buf_byte(&content, (uint8_t)dice_roll(dice, 256));
    random_content(dice, buf, number, &content);
    buf_fini(&content);
}

/* Appends an entry of headers: its key at least once and not empty, its value perhaps, in any
 * order. */
static void random_entry(struct dice *dice, struct buf *entry)
{
    struct buf text = {0};

    for (uint64_t parts = dice_roll(dice, 4); parts > 0; parts--) {
        if (dice_roll(dice, 6) == 0) {
            random_unknown(dice, entry, 3);
            continue;
        }
        random_text(dice, &text, true);
        random_content(dice, entry, 2, &text);
    }
    buf_byte(&text, (uint8_t)('a' + dice_roll(dice, 4)));
    random_text(dice, &text, true);
    random_content(dice, entry, 1, &text);
    if (dice_roll(dice, 2) == 0) {
        random_text(dice, &text, true);
        random_content(dice, entry, 2, &text);
    }
    buf_fini(&text);
}

static void random_event(struct dice *dice, struct buf *body)
{
    struct buf content = {0};

    for (uint64_t fields = dice_roll(dice, 9); fields > 0; fields--) {
        uint32_t number = 1 + (uint32_t)dice_roll(dice, 11);
        if (number == 7 || number == 9 || number == 10) {
            random_scalar(dice, body, number, WIRE_FIXED64);
            continue;
        }
        if (number > 10) {
            random_unknown(dice, body, 11);
            continue;
        }
        if (number == 6)
            random_entry(dice, &content);
        else if (number == 8)
            for (uint64_t left = dice_roll(dice, 300); left > 0; left--)
                buf_byte(&content, (uint8_t)dice_roll(dice, 256));
        else
            random_text(dice, &content, number == 1 || number == 3 || number == 5);
        random_content(dice, body, number, &content);
    }
    buf_fini(&content);
}

void random_message(struct dice *dice, struct buf *buf)
{
    struct buf body = {0};

    for (uint64_t events = dice_roll(dice, 12); events > 0; events--) {
        random_event(dice, &body);
        random_content(dice, buf, 1, &body);
        if (dice_roll(dice, 10) == 0)
            random_unknown(dice, buf, 20);
    }
    CHECK(!buf->broken);
    buf_fini(&body);
}

void mutate(struct dice *dice, struct buf *buf)
{
    for (uint64_t times = 1 + dice_roll(dice, 3); times > 0; times--) {
        size_t place = buf->size > 0 ? dice_roll(dice, buf->size) : 0;
        size_t removed;
        switch (buf->size > 0 ? dice_roll(dice, 5) : 4) {
        case 0:
            buf->data[place] = (uint8_t)dice_roll(dice, 256);
            break;
        case 1:
            buf->data[place] ^= (uint8_t)BIT(dice_roll(dice, 8));
            break;
        case 2:
            buf->data[place] = (uint8_t)(buf->data[place] + 1);
            break;
        case 3:
            removed = 1 + dice_roll(dice, 4);
            removed = MIN_OF(removed, buf->size - place);
            memmove(buf->data + place, buf->data + place + removed, buf->size - place - removed);
            buf->size -= removed;
            break;
        default:
            buf_byte(buf, 0);
            CHECK(!buf->broken);
            memmove(buf->data + place + 1, buf->data + place, buf->size - 1 - place);
            buf->data[place] = (uint8_t)dice_roll(dice, 256);
            break;
        }
    }
}
