/* test_tool_value.c - durations, sizes, counts and moments, as people write them. */
#include <criterion/criterion.h>
#include <inttypes.h>

#include "base/base.h"
#include "client/tool/value.h"

struct sample {
    const char *text;
    int64_t value; /* -1: refused */
};

Test(tool_value, durations_are_read_with_and_without_units)
{
    static const struct sample samples[] = {{"10", 10000000000},
                                            {"0", 0},
                                            {"0.5", 500000000},
                                            {"10s", 10000000000},
                                            {"500ms", 500000000},
                                            {"250us", 250000},
                                            {"7ns", 7},
                                            {"2m", 120000000000},
                                            {"1h", 3600000000000},
                                            {"1m30s", 90000000000},
                                            {"1.5s", 1500000000},
                                            {"0s", 0},
                                            {"", -1},
                                            {"s", -1},
                                            {"-1", -1},
                                            {"1x", -1},
                                            {"1s2", -1},
                                            {"1 s", -1},
                                            {"1.", -1},
                                            {".5", -1},
                                            {"9223372036s", 9223372036000000000},
                                            {"9223372037s", -1},
                                            {"1e3", -1},
                                            {"99999999999999999999", -1}};

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        int64_t value = -1;
        const bool read = duration_parse(samples[i].text, &value);

        cr_assert_eq(read, samples[i].value >= 0, "'%s'", samples[i].text);
        if (read)
            cr_assert_eq(value, samples[i].value, "'%s' is %" PRId64, samples[i].text, value);
    }
}

Test(tool_value, sizes_are_read_with_and_without_units)
{
    static const struct sample samples[] = {
        {"0", 0},         {"4096", 4096}, {"64KiB", 65536},   {"4M", 4194304}, {"4mb", -1},
        {"4MB", 4194304}, {"1.5k", 1536}, {"2G", 2147483648}, {"5B", 5},       {"5iB", -1},
        {"1.5", -1},      {"x", -1},      {"", -1},           {"1K2", -1},     {"99999999999G", -1}};

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        uint64_t value = 0;
        const bool read = bytes_parse(samples[i].text, &value);

        cr_assert_eq(read, samples[i].value >= 0, "'%s'", samples[i].text);
        if (read)
            cr_assert_eq(value, (uint64_t)samples[i].value, "'%s'", samples[i].text);
    }
}

Test(tool_value, counts_are_read_with_and_without_units)
{
    static const struct sample samples[] = {{"0", 0},
                                            {"4096", 4096},
                                            {"20k", 20000},
                                            {"20K", 20000},
                                            {"10M", 10000000},
                                            {"1.5M", 1500000},
                                            {"2G", 2000000000},
                                            {"0.001k", 1},
                                            {"1.5", -1},
                                            {"0.0001k", -1},
                                            {"k", -1},
                                            {"", -1},
                                            {"1kB", -1},
                                            {"1 k", -1},
                                            {"-1", -1},
                                            {"9223372036854775807", INT64_MAX},
                                            {"99999999999G", -1}};

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        uint64_t value = 0;
        const bool read = count_parse(samples[i].text, &value);

        cr_assert_eq(read, samples[i].value >= 0, "'%s'", samples[i].text);
        if (read)
            cr_assert_eq(value, (uint64_t)samples[i].value, "'%s'", samples[i].text);
    }
}

Test(tool_value, numbers_are_digits_up_to_64_bits)
{
    uint64_t number = 0;

    cr_assert(number_parse("18446744073709551615", &number));
    cr_assert_eq(number, UINT64_MAX);
    cr_assert_not(number_parse("18446744073709551616", &number));
    cr_assert_not(number_parse("", &number));
    cr_assert_not(number_parse("1a", &number));
    cr_assert_not(number_parse("-1", &number));
}

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

Test(tool_value, moments_are_also_read_in_other_forms)
{
    uint64_t read = 0;

    cr_assert(moment_parse("2026-01-31T13:14:05+01:00", &read));
    cr_assert_eq(read, UINT64_C(1769861645000000000));
    cr_assert(moment_parse("2026-01-31T11:44:05.5-00:30", &read));
    cr_assert_eq(read, UINT64_C(1769861645500000000));
    cr_assert(moment_parse("2026-01-31T12:14:05.1234567891234Z", &read));
    cr_assert_eq(read, UINT64_C(1769861645123456789));
    cr_assert(moment_parse("1769861645000000001", &read));
    cr_assert_eq(read, UINT64_C(1769861645000000001));
    cr_assert_not(moment_parse("2026-01-31T12:14:05", &read));
    cr_assert_not(moment_parse("2026-01-31T12:14:05.Z", &read));
    cr_assert_not(moment_parse("2026-01-31T12:14:05+1:00", &read));
    cr_assert_not(moment_parse("2026-01-31T12:14:05+25:00", &read));
    cr_assert_not(moment_parse("1969-12-31T23:59:59Z", &read));
    cr_assert_not(moment_parse("2554-07-21T23:34:33.709551616Z", &read));
    cr_assert(moment_parse("2026-11-28t10:00:00z", &read), "K4 43");
    cr_assert_eq(read, UINT64_C(1795860000000000000));
    cr_assert_not(moment_parse("1764324000", &read), "these are seconds");
    cr_assert_not(moment_parse("1764324000000", &read), "milliseconds");
    cr_assert_not(moment_parse("2026-01-31", &read));
    cr_assert_not(moment_parse("yesterday", &read));
    cr_assert_not(moment_parse("", &read));
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
