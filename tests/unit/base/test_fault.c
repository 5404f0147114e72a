/* test_fault.c - the table of reasons, quoting, and messages that always fit. */
#include "base/fault.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

Test(fault, every_reason_has_a_name_a_text_and_an_error_code)
{
    for (int reason = 1; reason < FAULT_COUNT; reason++) {
        enum fault_code code = fault_code((enum fault_reason)reason);

        cr_assert_gt(strlen(fault_reason_name((enum fault_reason)reason)), 2u);
        cr_assert_gt(strlen(fault_text((enum fault_reason)reason)), 10u);
        cr_assert_neq(code, CODE_OK);
        cr_assert_neq(code, CODE_UNKNOWN);
    }
    cr_assert_str_eq(fault_reason_name(FAULT_EVENT_TOO_LARGE), "EVENT_TOO_LARGE");
    cr_assert_eq(fault_code(FAULT_EVENT_TOO_LARGE), CODE_INVALID_ARGUMENT);
    cr_assert_eq(fault_code(FAULT_NONE), CODE_OK);
    cr_assert_str_eq(fault_reason_name(FAULT_COUNT), "UNKNOWN");
    cr_assert_eq(fault_code(FAULT_COUNT), CODE_UNKNOWN);
    cr_assert_not_null(fault_text(FAULT_COUNT));
}

Test(fault, codes_are_named_as_grpc_names_them)
{
    cr_assert_str_eq(fault_code_name(CODE_OK), "OK");
    cr_assert_str_eq(fault_code_name(CODE_INVALID_ARGUMENT), "INVALID_ARGUMENT");
    cr_assert_str_eq(fault_code_name(CODE_UNAUTHENTICATED), "UNAUTHENTICATED");
    cr_assert_str_eq(fault_code_name((enum fault_code)17), "UNKNOWN");
    for (int code = 0; code <= CODE_UNAUTHENTICATED; code++)
        cr_assert_not_null(fault_code_name((enum fault_code)code), "%d", code);
}

Test(fault, a_message_has_field_text_bound_and_value)
{
    struct fault fault;
    char text[256];

    cr_assert_eq(fault_bytes(&fault, FAULT_TOO_LONG, "topic", bytes_of("a\nb"), "at most 2 bytes"),
                 FAULT_TOO_LONG);
    fault_within(&fault, "events[3].");
    cr_assert_eq(fault_message(&fault, text, sizeof(text)), strlen(text));
    cr_assert_str_eq(text, "events[3].topic: a value is too long: at most 2 bytes (got \"a\\nb\")");

    cr_assert_eq(fault_number(&fault, FAULT_OUT_OF_BOUNDS, "options.max_events", UINT64_MAX, "1 to 10"),
                 FAULT_OUT_OF_BOUNDS);
    fault_message(&fault, text, sizeof(text));
    cr_assert_str_eq(
        text, "options.max_events: a setting is out of its bounds: 1 to 10 (got 18446744073709551615)");

    cr_assert_eq(fault_set(&fault, FAULT_KICKED, NULL, NULL), FAULT_KICKED);
    fault_message(&fault, text, sizeof(text));
    cr_assert_str_eq(text, "an operator ended this subscription");
    cr_assert_eq(fault.retry_ns, 0);
}

Test(fault, setting_a_fault_replaces_all_of_it)
{
    struct fault fault;

    fault_bytes(&fault, FAULT_TOO_LONG, "topic", bytes_of("x"), "bound");
    fault.retry_ns = 7;
    fault_set(&fault, FAULT_EMPTY, "key", NULL);
    cr_assert_str_eq(fault.field, "key");
    cr_assert_str_eq(fault.value, "");
    cr_assert_str_eq(fault.bound, "");
    cr_assert_eq(fault.retry_ns, 0);
}

Test(fault, a_value_of_64_bytes_is_whole_and_one_of_65_is_cut)
{
    uint8_t worst[65];
    struct fault fault;

    memset(worst, 0xff, sizeof(worst));
    fault_bytes(&fault, FAULT_BAD_UTF8, "key", (struct bytes){worst, 64}, NULL);
    cr_assert_eq(strlen(fault.value), 2u + 64u * 4u);
    cr_assert_eq(fault.value[strlen(fault.value) - 1], '"');
    fault_bytes(&fault, FAULT_BAD_UTF8, "key", (struct bytes){worst, 65}, NULL);
    cr_assert_eq(strlen(fault.value), 2u + 64u * 4u + 3u);
    cr_assert_str_eq(fault.value + strlen(fault.value) - 4, "\"...");
}

Test(fault, a_field_is_cut_to_fit_between_characters)
{
    struct fault fault;
    char long_field[200];

    memset(long_field, 'f', 199);
    long_field[199] = '\0';
    fault_set(&fault, FAULT_EMPTY, long_field, long_field);
    cr_assert_eq(strlen(fault.field), sizeof(fault.field) - 1);
    cr_assert_eq(strlen(fault.bound), sizeof(fault.bound) - 1);

    memcpy(long_field + sizeof(fault.field) - 2, "\xc3\xa9", 2);
    fault_set(&fault, FAULT_EMPTY, long_field, NULL);
    cr_assert_eq(strlen(fault.field), sizeof(fault.field) - 2, "half a character is none");

    fault_within(&fault, "prefix.");
    cr_assert_eq(strncmp(fault.field, "prefix.fff", 10), 0);
    cr_assert_eq(strlen(fault.field), sizeof(fault.field) - 1);
}

Test(fault, quoting_escapes_everything_outside_printable_ascii)
{
    char text[64];
    static const uint8_t all[] = {'a', '"', '\\', '\n', '\r', '\t', 0, 0x1b, 0x7f, 0xc3};

    cr_assert_eq(quote_bytes((struct bytes){all, sizeof(all)}, 64, text, sizeof(text)), strlen(text));
    cr_assert_str_eq(text, "\"a\\\"\\\\\\n\\r\\t\\x00\\x1b\\x7f\\xc3\"");
    cr_assert_eq(quote_bytes((struct bytes){0}, 64, text, sizeof(text)), 2u);
    cr_assert_str_eq(text, "\"\"");
    quote_bytes(bytes_of("abcd"), 3, text, sizeof(text));
    cr_assert_str_eq(text, "\"abc\"...");
}

Test(fault, quoting_and_messages_fit_into_any_capacity)
{
    struct fault fault;
    uint8_t worst[20];

    memset(worst, 0x80, sizeof(worst));
    fault_bytes(&fault, FAULT_BAD_UTF8, "key", (struct bytes){worst, sizeof(worst)}, "some bound");
    for (size_t capacity = 0; capacity < 200; capacity++) {
        char *text = malloc(capacity + 1); /* the sanitizer detects a write past its end */
        const char *end = capacity > 2 + 4 * sizeof(worst) + 3 ? "\"" : "\"...";
        size_t size;

        text[capacity] = 'z';
        size = quote_bytes((struct bytes){worst, sizeof(worst)}, sizeof(worst), text, capacity);
        cr_assert(size == 0 || (size < capacity && strlen(text) == size && text[0] == '"'));
        cr_assert(size > 0 || capacity < 6);
        cr_assert(size == 0 || strcmp(text + size - strlen(end), end) == 0, "%s", text);
        size = fault_message(&fault, text, capacity);
        cr_assert(capacity == 0 || (size < capacity && strlen(text) == size));
        cr_assert_eq(text[capacity], 'z');
        free(text);
    }
}
