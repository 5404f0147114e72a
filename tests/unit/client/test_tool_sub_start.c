/* test_tool_sub_start.c - where a stream begins: every form of `sub --from`. */
#include <criterion/criterion.h>

#include "base/base.h"
#include "client/tool/sub_start.h"

#define NOW UINT64_C(1769861645000000000) /* 2026-01-31T12:14:05Z */

static void expect(const char *value, enum tributary_start start, uint64_t start_value, uint32_t last)
{
    struct tributary_subscriber_options options = {.name = "n"};
    const char *fault = sub_start_read(value, NOW, &options);

    cr_assert_null(fault, "%s: %s", value, fault);
    cr_assert_eq(options.start, start, "%s", value);
    cr_assert_eq(options.start_value, start_value, "%s", value);
    cr_assert_eq(options.start_last, last, "%s", value);
}

Test(tool_sub_start, every_form_is_read)
{
    expect("live", TRIBUTARY_START_LIVE, 0, 0);
    expect("earliest", TRIBUTARY_START_EARLIEST, 0, 0);
    expect("last:1", TRIBUTARY_START_LIVE, 0, 1);
    expect("last:1024", TRIBUTARY_START_LIVE, 0, 1024);
    expect("seq:1", TRIBUTARY_START_SEQUENCE, 1, 0);
    expect("seq:18446744073709551615", TRIBUTARY_START_SEQUENCE, UINT64_MAX, 0);
    expect("2026-01-31T12:14:05Z", TRIBUTARY_START_TIME, NOW, 0);
    expect("2026-01-31 13:14:05.5+01:00", TRIBUTARY_START_TIME, NOW + 500000000, 0);
    expect("-15m", TRIBUTARY_START_TIME, NOW - UINT64_C(900000000000), 0);
    expect("-500ms", TRIBUTARY_START_TIME, NOW - 500000000, 0);
}

Test(tool_sub_start, a_time_before_1970_is_the_first_one)
{
    struct tributary_subscriber_options options = {.name = NULL};

    cr_assert_null(sub_start_read("-10s", UINT64_C(9000000000), &options));
    cr_assert_eq(options.start, TRIBUTARY_START_TIME);
    cr_assert_eq(options.start_value, 0);
}

Test(tool_sub_start, everything_else_is_refused_and_changes_nothing)
{
    static const char *const refused[] = {"",
                                          "now",
                                          "first",
                                          "last",
                                          "last:",
                                          "last:0",
                                          "last:1025",
                                          "seq",
                                          "seq:",
                                          "seq:0",
                                          "seq:-1",
                                          "seq:1x",
                                          "LAST:1",
                                          "-",
                                          "-0s",

                                          "--15m",
                                          "15m",
                                          "12",
                                          "1969-12-31T23:59:59Z",
                                          "today",
                                          "earliest ",
                                          "2026-02-30T00:00:00Z",
                                          "2300-01-01T00:00:00Z"};

    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct tributary_subscriber_options options = {.name = NULL};

        cr_assert_not_null(sub_start_read(refused[i], NOW, &options), "'%s'", refused[i]);
        cr_assert_eq(options.start, TRIBUTARY_START_LIVE, "'%s'", refused[i]);
        cr_assert_eq(options.start_last, 0, "'%s'", refused[i]);
    }
}
