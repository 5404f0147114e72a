/* test_tool_value.c - moments, as people write them; durations and sizes, for people. */
#include <criterion/criterion.h>
#include <inttypes.h>

#include "base/base.h"
#include "client/tool/value.h"

Test(tool_value, moments_are_written_and_read_back_to_the_nanosecond)
{
    static const uint64_t moments[] = {1,
                                       999999999,
                                       1000000000,
                                       1769861645123456789,
                                       UINT64_MAX,
                                       UINT64_MAX - 1,
                                       253402300799999999 % UINT64_MAX};
    char text[MOMENT_CAPACITY];

    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        uint64_t read = 0;

        moment_text(moments[i], text);
        cr_assert(moment_parse(text, &read), "%s", text);
        cr_assert_eq(read, moments[i], "%s", text);
    }
    moment_text(UINT64_C(1769861645123456789), text);
    cr_assert_str_eq(text, "2026-01-31T12:14:05.123456789Z");
}

#define AT UINT64_C(1769861645000000000) /* 2026-01-31T12:14:05Z */

Test(tool_value, moments_are_read_in_every_form_of_rfc_3339)
{
    static const struct {
        const char *text;
        uint64_t value;
    } samples[] = {
        {"2026-01-31T12:14:05Z", AT},
        {"2026-01-31T13:14:05+01:00", AT},
        {"2026-01-31T11:44:05.5-00:30", AT + 500000000},
        {"2026-02-01T12:13:05+23:59", AT},
        {"2026-01-31T12:14:05-00:00", AT},
        {"2026-01-31 12:14:05Z", AT},
        {"2026-01-31t12:14:05z", AT}, /* finding 43 */
        {"2026-01-31T12:14:05.000000001Z", AT + 1},
        {"2026-01-31T12:14:05.1234567891234Z", AT + 123456789},
        {"2026-01-31T12:14:05.9999999999999999999999Z", AT + 999999999},
        {"1769861645000000001", AT + 1},
        {"2024-02-29T00:00:00Z", UINT64_C(1709164800000000000)},
        {"2000-02-29T00:00:00Z", UINT64_C(951782400000000000)},
        {"2016-12-31T23:59:60Z", UINT64_C(1483228800000000000)}, /* a leap second */
        {"2016-12-31T23:59:60.25Z", UINT64_C(1483228800250000000)},
        {"2017-01-01T05:29:60+05:30", UINT64_C(1483228800000000000)},
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T01:00:00+01:00", 0},
        {"2554-07-21T23:34:33.709551615Z", UINT64_MAX},
        {"0", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        uint64_t read = 7;

        cr_expect(moment_parse(samples[i].text, &read), "%s", samples[i].text);
        cr_expect_eq(read, samples[i].value, "%s is %" PRIu64, samples[i].text, read);
    }
}

Test(tool_value, what_is_no_moment_is_refused)
{
    static const char *const wrong[] = {"",
                                        "yesterday",
                                        "2026-01-31",
                                        "2026-01-31T12:14:05",
                                        "2026-01-31T12:14Z",
                                        "2026-01-31T12:14:05.Z",
                                        "2026-01-31T12:14:05+1:00",
                                        "2026-01-31T12:14:05+25:00",
                                        "2026-01-31T12:14:05+01:60",
                                        "2026-01-31T12:14:05+0100",
                                        "2026-01-31T12:14:05Z ",
                                        " 2026-01-31T12:14:05Z",
                                        "2026-1-31T12:14:05Z",
                                        "2026-01-31X12:14:05Z",
                                        "2026-02-29T00:00:00Z",
                                        "2026-02-31T00:00:00Z",
                                        "2100-02-29T00:00:00Z",
                                        "2026-04-31T00:00:00Z",
                                        "2026-00-01T00:00:00Z",
                                        "2026-13-01T00:00:00Z",
                                        "2026-01-00T00:00:00Z",
                                        "2026-01-31T24:00:00Z",
                                        "2026-01-31T12:60:00Z",
                                        "2026-01-31T12:14:61Z",
                                        "2026-01-31T12:14:60Z", /* no leap second is there */
                                        "2016-12-31T23:59:60+01:00",
                                        "1969-12-31T23:59:59Z",
                                        "1970-01-01T00:00:00+00:01",
                                        "2554-07-21T23:34:33.709551616Z",
                                        "9999-12-31T23:59:59Z",
                                        "02026-01-31T12:14:05Z",
                                        "1764324000",    /* seconds */
                                        "1764324000000", /* milliseconds */
                                        "18446744073709551616",
                                        "-1",
                                        "1.5"};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        uint64_t read = 7;

        cr_expect_not(moment_parse(wrong[i], &read), "'%s' is %" PRIu64, wrong[i], read);
        cr_expect_eq(read, 7, "it is unchanged");
    }
}

Test(tool_value, durations_and_sizes_are_written_for_people)
{
    char text[40];

    duration_text(12345678, text, sizeof(text));
    cr_assert_str_eq(text, "12.3 ms");
    duration_text(1500000000, text, sizeof(text));
    cr_assert_str_eq(text, "1.5 s");
    duration_text(119000000000, text, sizeof(text));
    cr_assert_str_eq(text, "119 s");
    duration_text(7500000000000, text, sizeof(text));
    cr_assert_str_eq(text, "2 h 5 min");
    bytes_text(1023, text, sizeof(text));
    cr_assert_str_eq(text, "1023 B");
    bytes_text(1536, text, sizeof(text));
    cr_assert_str_eq(text, "1.5 KiB");
}
