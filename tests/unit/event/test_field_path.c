/* test_field_path.c - a field of any message, by the numbers that lead to it. */
#include <criterion/criterion.h>

#include <string.h>

#include "event/field_path.h"

static struct bytes of(const char *text, size_t size)
{
    return (struct bytes){(const uint8_t *)text, size};
}

#define BYTES(text) of(text, sizeof(text) - 1)

static struct field_path path_of(const char *text)
{
    struct field_path path = {.count = 0};

    cr_assert(field_path_parse(text, &path), "%s", text);
    return path;
}

Test(field_path, numbers_with_dots_are_a_path)
{
    struct field_path path = path_of("1.536870911.3");

    cr_assert_eq(path.count, 3);
    cr_assert(path.numbers[0] == 1 && path.numbers[1] == 536870911 && path.numbers[2] == 3);
    cr_assert_eq(path_of("1.2.3.4.5.6.7.8").count, 8);
}

Test(field_path, nothing_else_is)
{
    static const char *const wrong[] = {
        "",           "0",   "a",   "1.", ".1", "1..2", "1.2.3.4.5.6.7.8.9",   "01", "-1", "1 ", "536870912",
        "4294967297", "1,2", "1.0", "+1", " 1", "1e3",  "99999999999999999999"};
    struct field_path path = {.count = 77};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        cr_assert(!field_path_parse(wrong[i], &path) && path.count == 77, "'%s'", wrong[i]);
}

Test(field_path, the_last_field_of_a_number_counts_at_each_level)
{
    struct field_path path = path_of("3.2");
    struct field field;

    cr_assert_eq(field_path_find(&path, BYTES("\x1a\x02\x10\x05\x1a\x04\x10\x06\x10\x07"), &field),
                 FIELD_FOUND);
    cr_assert(field.type == WIRE_VARINT && field.value == 7);
    cr_assert_eq(field_path_find(&path, BYTES("\x1a\x02\x10\x05\x1a\x00"), &field), FIELD_MISSING,
                 "the last message has none");
    cr_assert_eq(field_path_find(&path, BYTES(""), &field), FIELD_MISSING);
    cr_assert_eq(field_path_find(&path, BYTES("\x10\x05"), &field), FIELD_MISSING);
}

Test(field_path, what_is_malformed_is_unreadable)
{
    struct field_path path = path_of("3.2");
    struct field field;

    cr_assert_eq(field_path_find(&path, BYTES("\x1a\x05\x10"), &field), FIELD_UNREADABLE, "cut off");
    cr_assert_eq(field_path_find(&path, BYTES("\x1a\x01\x10"), &field), FIELD_UNREADABLE, "cut off inside");
    cr_assert_eq(field_path_find(&path, BYTES("\x18\x01"), &field), FIELD_UNREADABLE, "a number on the way");
    cr_assert_eq(field_path_find(&path, BYTES("\x1b\x1c"), &field), FIELD_UNREADABLE, "a group");
    cr_assert_eq(field_path_find(&path, BYTES("\x1a\x02\x10\x05\xff"), &field), FIELD_UNREADABLE,
                 "behind it");
}

Test(field_path, so_many_fields_are_looked_at)
{
    static uint8_t message[2 * (FIELD_PATH_FIELDS + 1)];
    struct field_path path = path_of("1");
    struct field field;

    for (size_t i = 0; i < sizeof(message); i += 2)
        message[i] = 0x08;
    cr_assert_eq(field_path_find(&path, (struct bytes){message, 2 * FIELD_PATH_FIELDS}, &field), FIELD_FOUND);
    cr_assert_eq(field_path_find(&path, (struct bytes){message, sizeof(message)}, &field), FIELD_UNREADABLE);
}

static struct field text_field(const char *text, size_t size)
{
    return (struct field){.number = 1, .type = WIRE_LEN, .bytes = of(text, size)};
}

Test(field_path, a_text_or_a_number_is_a_key)
{
    char text[FIELD_KEY_BYTES], longest[FIELD_KEY_BYTES + 1];
    size_t size = 7;
    struct field field = text_field("k\xc3\xa9y", 4);

    memset(longest, 'x', sizeof(longest));
    cr_assert(field_as_key(&field, text, &size) && size == 4 && memcmp(text, "k\xc3\xa9y", 4) == 0);
    field = text_field("", 0);
    cr_assert(field_as_key(&field, text, &size) && size == 0);
    field = text_field(longest, FIELD_KEY_BYTES);
    cr_assert(field_as_key(&field, text, &size) && size == FIELD_KEY_BYTES);
    size = 7;
    field = text_field(longest, FIELD_KEY_BYTES + 1);
    cr_assert(!field_as_key(&field, text, &size) && size == 7, "too long");
    field = text_field("\xff", 1);
    cr_assert(!field_as_key(&field, text, &size), "no UTF-8");
    field = text_field("a\0b", 3);
    cr_assert(!field_as_key(&field, text, &size), "a NUL");
    field = (struct field){.type = WIRE_VARINT, .value = UINT64_MAX};
    cr_assert(field_as_key(&field, text, &size) && size == 20);
    cr_assert(memcmp(text, "18446744073709551615", 20) == 0);
    field = (struct field){.type = WIRE_FIXED32, .value = 0};
    cr_assert(field_as_key(&field, text, &size) && size == 1 && text[0] == '0');
}

Test(field_path, a_timestamp_or_nanoseconds_are_a_time)
{
    uint64_t at = 5;
    struct field field = text_field("\x08\x02\x10\x03", 4);

    cr_assert(field_as_time(&field, &at) && at == UINT64_C(2000000003));
    field = text_field("", 0);
    cr_assert(field_as_time(&field, &at) && at == 0, "1970");
    field = (struct field){.type = WIRE_FIXED64, .value = 77};
    cr_assert(field_as_time(&field, &at) && at == 77);
    field = (struct field){.type = WIRE_VARINT, .value = INT64_MAX};
    cr_assert(field_as_time(&field, &at) && at == INT64_MAX);
    at = 5;
    field.value = (uint64_t)INT64_MAX + 1;
    cr_assert(!field_as_time(&field, &at), "before 1970, as an int64");
    field = (struct field){.type = WIRE_FIXED32, .value = 1};
    cr_assert(!field_as_time(&field, &at));
    field = text_field("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    cr_assert(!field_as_time(&field, &at), "-1 s");
    field = text_field("\x10\x80\x94\xeb\xdc\x03", 6);
    cr_assert(!field_as_time(&field, &at), "1e9 ns");
    field = text_field("\x0a\x00", 2);
    cr_assert(!field_as_time(&field, &at), "seconds are no text");
    field = text_field("not a message", 13);
    cr_assert(!field_as_time(&field, &at) && at == 5);
}
