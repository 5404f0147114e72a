/* test_tool_json.c - an event that is written as JSON and read back is the same event. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "client/lib/core/encode.h"
#include "client/tool/event_json.h"
#include "lib/events.h"

static bool same(struct tributary_bytes left, struct tributary_bytes right)
{
    return left.size == right.size && (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

/* The value of a header. Where its name comes twice, the last one counts. */
static struct tributary_bytes value_of(const struct tributary_event *event, struct tributary_bytes name)
{
    struct tributary_bytes value = {NULL, SIZE_MAX};

    for (size_t i = 0; i < event->header_count; i++) {
        if (same(event->headers[i].name, name))
            value = event->headers[i].value;
    }
    return value;
}

static void assert_same(const struct tributary_event *left, const struct tributary_event *right)
{
    cr_assert(same(left->id, right->id) && same(left->topic, right->topic) && same(left->key, right->key));
    cr_assert(same(left->type, right->type) && same(left->content_type, right->content_type) &&
              same(left->data, right->data));
    cr_assert_eq(left->time_unix_nano, right->time_unix_nano);
    cr_assert_eq(left->expires_unix_nano, right->expires_unix_nano);
    cr_assert_eq(left->deliver_after_unix_nano, right->deliver_after_unix_nano);
    for (size_t i = 0; i < left->header_count; i++)
        cr_assert(same(value_of(left, left->headers[i].name), value_of(right, left->headers[i].name)));
    for (size_t i = 0; i < right->header_count; i++)
        cr_assert(same(value_of(left, right->headers[i].name), value_of(right, right->headers[i].name)));
}

static void round_trip(const struct tributary_event *event)
{
    const struct tributary_delivery delivery = {.event = *event,
                                                .source = tributary_text("p"),
                                                .epoch = UINT64_MAX,
                                                .sequence = 3,
                                                .observed_time_unix_nano = 9,
                                                .attempt = 2};
    json_t *object = event_to_json(&delivery);
    struct json_event parsed = {0};

    cr_assert_not_null(object);

    char *text = json_dumps(object, JSON_COMPACT);

    cr_assert_null(strchr(text, '\n'));
    cr_assert(json_event_read(&parsed, text, strlen(text), NULL), "%s: %s", parsed.fault, text);
    assert_same(event, &parsed.event);
    json_event_fini(&parsed);
    json_decref(object);
    free(text);
}

/* Makes up to `max` bytes of valid text or, with `binary`, of any bytes. */
static struct tributary_bytes random_text(struct dice *dice, uint8_t *buffer, size_t max, bool binary)
{
    static const char *const pieces[] = {
        "a",  "\"",   "\\",   "/", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\x8a",
        "\n", "\x01", "\x7f", " ", "0",        "\xef\xbf\xbf"};
    const size_t size = dice_roll(dice, max + 1);
    size_t used = 0;

    while (used < size) {
        const char *piece = pieces[dice_roll(dice, ARRAY_LEN(pieces))];

        if (binary)
            buffer[used++] = (uint8_t)dice_roll(dice, 256);
        else if (used + strlen(piece) > size)
            break;
        else
            for (; *piece != '\0'; piece++)
                buffer[used++] = (uint8_t)*piece;
    }
    return (struct tributary_bytes){buffer, used};
}

static uint64_t random_moment(struct dice *dice)
{
    return dice_roll(dice, 3) == 0   ? 0
           : dice_roll(dice, 2) == 0 ? UINT64_MAX - dice_roll(dice, 1000)
                                     : dice_roll(dice, UINT64_C(1) << 62);
}

Test(tool_json, random_events_stay_the_same)
{
    struct dice dice = dice_new("random_events_stay_the_same");
    uint8_t buffers[6][64];
    uint8_t names[4][2][16];

    for (int round = 0; round < 5000; round++) {
        struct tributary_header headers[4];
        struct tributary_event event = {
            .id = random_text(&dice, buffers[0], 20, false),
            .topic = random_text(&dice, buffers[1], 20, false),
            .key = random_text(&dice, buffers[2], 20, false),
            .type = random_text(&dice, buffers[3], 20, false),
            .content_type = random_text(&dice, buffers[4], 20, false),
            .data = random_text(&dice, buffers[5], 40, dice_roll(&dice, 2) == 0),
            .time_unix_nano = random_moment(&dice),
            .expires_unix_nano = random_moment(&dice),
            .deliver_after_unix_nano = random_moment(&dice),
            .headers = headers,
            .header_count = dice_roll(&dice, 5),
        };

        for (size_t i = 0; i < event.header_count; i++) {
            headers[i].name = random_text(&dice, names[i][0], 3, false);
            if (headers[i].name.size == 0)
                headers[i].name = tributary_text("n");
            headers[i].value = random_text(&dice, names[i][1], 8, false);
        }
        round_trip(&event);
    }
}

Test(tool_json, data_that_is_not_text_is_written_as_base64)
{
    struct tributary_delivery delivery = {.event = {.data = {"\xff\x00z", 3}}};
    json_t *object = event_to_json(&delivery);

    cr_assert_null(json_object_get(object, "data"));
    cr_assert_str_eq(json_string_value(json_object_get(object, "data_base64")), "/wB6");
    json_decref(object);
    delivery.event.data = (struct tributary_bytes){"a\0b", 3};
    object = event_to_json(&delivery);
    cr_assert_not_null(json_object_get(object, "data_base64"));
    json_decref(object);
}

Test(tool_json, members_that_an_event_does_not_set_are_left_out)
{
    const struct tributary_delivery delivery = {.source = tributary_text("p"), .sequence = 1};
    json_t *object = event_to_json(&delivery);
    char *text = json_dumps(object, JSON_COMPACT);

    cr_assert_str_eq(text, "{\"producer\":\"p\",\"sequence\":1,\"epoch\":\"0\"}");
    free(text);
    json_decref(object);
}

static bool reads(const char *line)
{
    struct json_event parsed = {0};
    const bool read = json_event_read(&parsed, line, strlen(line), NULL);

    cr_assert(read || parsed.fault[0] != '\0');
    json_event_fini(&parsed);
    return read;
}

Test(tool_json, a_line_that_is_no_event_is_refused_with_a_reason)
{
    cr_assert(reads("{}"));
    cr_assert(reads("{\"data\":\"x\",\"topic\":null,\"time\":0,\"producer\":\"p\",\"attempt\":2}"));
    cr_assert_not(reads("{\"level\":\"info\",\"msg\":\"x\"}"), "K4 38");
    cr_assert_not(reads("{\"time\":5}"));
    cr_assert_not(reads(""));
    cr_assert_not(reads("[]"));
    cr_assert_not(reads("{\"topic\":{}}"));
    cr_assert_not(reads("{\"headers\":[]}"));
    cr_assert_not(reads("{\"headers\":{\"a\":1}}"));
    cr_assert_not(reads("{\"time\":\"soon\"}"));
    cr_assert_not(reads("{\"time\":-1}"));
    cr_assert_not(reads("{\"data_base64\":\"a\"}"));
    cr_assert_not(reads("{\"data_base64\":\"YQ==\",\"data\":\"a\"}"));
    cr_assert_not(reads("{\"data\":\"a\",\"data\":\"b\"}"));
    cr_assert_not(reads("{\"data\":\"a\"} x"));
    cr_assert_not(reads("{\"data\":\"\xff\"}"));
}

Test(tool_json, data_that_is_no_string_is_taken_as_json)
{
    static const char line[] = "{\"data\":{\"a\":[1,2.5,true,null]},\"msg\":1}";
    struct json_event parsed = {0};
    uint64_t ignored = 0;

    cr_assert(json_event_read(&parsed, line, sizeof(line) - 1, &ignored));
    cr_assert_eq(ignored, 1);
    cr_assert_eq(parsed.event.data.size, strlen("{\"a\":[1,2.5,true,null]}"));
    cr_assert_arr_eq(parsed.event.data.data, "{\"a\":[1,2.5,true,null]}", parsed.event.data.size);
    cr_assert_eq(parsed.event.content_type.size, strlen("application/json"));
    json_event_fini(&parsed);
}

Test(tool_json, base64_is_read_strictly)
{
    static const char *const bad[] = {
        "YQ=", "YQ", "YQ==YQ==", "YR==", "YWJ=", "Y===", "====", "Y Q=", "YQ=\n"};
    struct buf out = {0};

    cr_assert(base64_read(&out, "", 0));
    cr_assert_eq(out.size, 0);
    cr_assert(base64_read(&out, "YWI=", 4));
    cr_assert_eq(out.size, 2);
    cr_assert_arr_eq(out.data, "ab", 2);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_not(base64_read(&out, bad[i], strlen(bad[i])), "%s", bad[i]);
    buf_fini(&out);
}
