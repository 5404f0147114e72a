/* test_tool_json.c - an event that is written as JSON and read back is the same event. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "client/lib/core/encode.h"
#include "client/tool/event_json.h"
#include "event/text.h"
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

Test(tool_json, the_producer_of_a_stored_topics_event_is_its_origin)
{
    const struct tributary_delivery delivery = {
        .source = tributary_text("@orders"), .origin = tributary_text("web-1"), .sequence = 3};
    json_t *object = event_to_json(&delivery);
    char *text = json_dumps(object, JSON_COMPACT);
    struct json_event parsed = {0};

    cr_assert_str_eq(text, "{\"producer\":\"@orders\",\"origin\":\"web-1\",\"sequence\":3,\"epoch\":\"0\"}");
    cr_assert(json_event_read(&parsed, text, strlen(text), NULL), "%s", parsed.fault);
    cr_assert_eq(parsed.producer.size, strlen("web-1"));
    cr_assert_not(reads("{\"origin\":\"a\\nb\"}"), "it must be a name");
    cr_assert_not(reads("{\"origin\":5}"));
    json_event_fini(&parsed);
    free(text);
    json_decref(object);
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

/* Reads a line, which is an event. */
static struct json_event read_event(const char *line)
{
    struct json_event parsed = {0};

    cr_assert(json_event_read(&parsed, line, strlen(line), NULL), "%s: %s", line, parsed.fault);
    return parsed;
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

Test(tool_json, finding_38_json_data_is_kept_byte_by_byte)
{
    static const char *const samples[][2] = {
        {"{\"data\":0.1234567890123456789}", "0.1234567890123456789"},
        {"{\"data\": 1e400000 }", NULL}, /* no number that anybody could read */
        {"{\"data\":-0.0,\"topic\":\"t\"}", "-0.0"},
        {"{\"data\":true\r\n}", "true"},
        {"{\"data\":[ 1 , 2.50 ]}", "[ 1 , 2.50 ]"},
        {"  {\"topic\":\"data\", \"headers\":{\"data\":\"x\"} , \"data\" : {\"}\":\"\\\"]\"} }  ",
         "{\"}\":\"\\\"]\"}"},
        {"{\"key\":\"\\\\\",\"data\":[[],{},\"\"]}", "[[],{},\"\"]"},
        {"{\"d\\u0061ta\":[1, 2]}", "[1,2]"}, /* its name has an escape: written anew */
    };

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        if (!samples[i][1]) {
            cr_expect_not(reads(samples[i][0]));
            continue;
        }
        struct json_event parsed = read_event(samples[i][0]);

        cr_expect_eq(parsed.event.data.size, strlen(samples[i][1]), "%s: %.*s", samples[i][0],
                     (int)parsed.event.data.size, (const char *)parsed.event.data.data);
        cr_expect(memcmp(parsed.event.data.data, samples[i][1], parsed.event.data.size) == 0, "%s",
                  samples[i][0]);
        json_event_fini(&parsed);
    }
}

Test(tool_json, a_fault_names_the_member_and_the_value)
{
    static const char *const samples[][2] = {
        {"{\"level\":1}", "\"level\" is unknown"},
        {"{\"Data\":\"x\"}", "\"Data\" is unknown"},
        {"{\"\\u001b[2J\":1}", "\"?[2J\" is unknown"}, /* nothing that a terminal would obey */
        {"{\"time\":\"soon\"}", "\"time\": \"soon\" is neither an RFC 3339 moment"},
        {"{\"time\":1764324000}", "\"time\": 1764324000 is neither"},
        {"{\"time\":1.7e18}", "\"time\": 1.7e18 is neither"},
        {"{\"expires\":\"2026-02-30T00:00:00Z\"}", "\"expires\": \"2026-02-30T00:00:00Z\" is neither"},
        {"{\"deliver_after\":true}", "\"deliver_after\": true is neither"},
        {"{\"time\":99999999999999999999}", "too big integer"},
        {"{\"headers\":{\"a\":\"b\",\"deep\":{\"x\":1}}}", "the value of \"deep\" is not a string"},
        {"{\"headers\":{\"a\":\"b\",\"a\":\"c\"}}", "duplicate"},
        {"{\"topic\":\"a\",\"topic\":\"a\"}", "duplicate"},
        {"{\"data\":{\"a\":1,\"a\":2}}", "duplicate"},
        {"{\"data\":null,\"data_base64\":\"YQ==\"}", "comes together"},
        {"{\"id\":5}", "\"id\" is not a string"},
        {"{\"headers\":{\"a\\u0000\":\"b\"}}", "NUL"},
        {"\"data\"", "'[' or '{' expected"},
        {"[{}]", "not a JSON object"},
        {"{\"data\":\"\xc3\"}", "unable to decode byte 0xc3"},
        {"{\"data\":\"x\"", "expected near end of file"},
    };

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct json_event parsed = {0};

        cr_expect_not(json_event_read(&parsed, samples[i][0], strlen(samples[i][0]), NULL), "%s",
                      samples[i][0]);
        cr_expect(strstr(parsed.fault, samples[i][1]), "%s: %s", samples[i][0], parsed.fault);
        json_event_fini(&parsed);
    }
}

Test(tool_json, a_long_text_in_a_fault_is_shortened_between_two_characters)
{
    char line[600] = "{\"";
    struct json_event parsed = {0};

    for (int i = 0; i < 150; i++)
        strcat(line, "\xe2\x82\xac");
    strcat(line, "\":1}");
    cr_assert_not(json_event_read(&parsed, line, strlen(line), NULL));
    cr_assert(strstr(parsed.fault, "\xe2\x82\xac...\" is unknown"), "%s", parsed.fault);
    cr_assert(utf8_valid((struct bytes){(const uint8_t *)parsed.fault, strlen(parsed.fault)}));
    json_event_fini(&parsed);
}

Test(tool_json, white_space_and_a_byte_order_mark_around_a_line_do_not_matter)
{
    static const char *const lines[] = {"\xef\xbb\xbf{\"data\":\"x\"}", "{\"data\":\"x\"}\r",
                                        " \t{ \"data\" : \"x\" } "};

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct json_event parsed = read_event(lines[i]);

        cr_assert_eq(parsed.event.data.size, 1);
        json_event_fini(&parsed);
    }
    cr_assert_not(reads("\xef\xbb\xbf\xef\xbb\xbf{}"));
    cr_assert_not(reads("\xef\xbb\xbf"));
}

Test(tool_json, a_producer_is_a_valid_name)
{
    struct json_event parsed = read_event("{\"producer\":\"web-1\"}");

    cr_assert_eq(parsed.producer.size, 5);
    json_event_fini(&parsed);
    parsed = read_event("{\"producer\":null}");
    cr_assert_eq(parsed.producer.size, 0);
    json_event_fini(&parsed);
    cr_assert_not(reads("{\"producer\":\"a\\u0000\"}"));
    cr_assert_not(reads("{\"producer\":\"a\\n\"}"));
    cr_assert_not(reads("{\"producer\":7}"));
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
