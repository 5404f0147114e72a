/* test_quantity.c - finding 42: durations, sizes, counts and numbers, as people write them for both
 * programs. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

#include "base/quantity.h"

struct sample {
    const char *text;
    int64_t value; /* -1: refused */
};

static char fault[QUANTITY_FAULT_CAPACITY];

static void expect_samples(enum quantity_kind kind, const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 77;

        fault[0] = '\0';
        const bool read = quantity_parse(kind, samples[i].text, quantity_any(kind), &value, fault);

        cr_expect_eq(read, samples[i].value >= 0, "'%s'", samples[i].text);
        cr_expect_eq(value, read ? (uint64_t)samples[i].value : 77, "'%s' is %" PRIu64, samples[i].text,
                     value);
        cr_expect_eq(read, fault[0] == '\0', "'%s': %s", samples[i].text, fault);
    }
}

Test(quantity, durations_are_read_with_and_without_units)
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
                                            {"0.1h", 360000000000},
                                            {"0.000000001", 1},
                                            {"0s", 0},
                                            {"9223372036s", 9223372036000000000},
                                            {"9223372036854775807ns", INT64_MAX},
                                            {"0.0000000001", -1},
                                            {"1.5ns", -1},
                                            {"0.1234567890123456789s", -1},
                                            {"", -1},
                                            {"s", -1},
                                            {"-1", -1},
                                            {"+1", -1},
                                            {" 1", -1},
                                            {"1x", -1},
                                            {"1s2", -1},
                                            {"1 s", -1},
                                            {"1S", -1},
                                            {"1.", -1},
                                            {"1..5", -1},
                                            {"1.5.5", -1},
                                            {".5", -1},
                                            {"9223372037s", -1},
                                            {"9223372036s1s", -1},
                                            {"1e3", -1},
                                            {"never", -1},
                                            {"99999999999999999999", -1}};

    expect_samples(QUANTITY_DURATION, samples, ARRAY_LEN(samples));
}

Test(quantity, never_is_zero_where_it_is_allowed)
{
    static const struct sample samples[] = {
        {"never", 0}, {"1h", 3600000000000}, {"Never", -1}, {"nevers", -1}};

    expect_samples(QUANTITY_DURATION_OR_NEVER, samples, ARRAY_LEN(samples));
}

Test(quantity, sizes_are_read_with_and_without_units)
{
    static const struct sample samples[] = {{"0", 0},
                                            {"4096", 4096},
                                            {"64KiB", 65536},
                                            {"4M", 4194304},
                                            {"4MB", 4194304},
                                            {"1.5k", 1536},
                                            {"2G", 2147483648},
                                            {"1T", INT64_C(1) << 40},
                                            {"5B", 5},
                                            {"4mb", -1},
                                            {"5iB", -1},
                                            {"1.5", -1},
                                            {"0.3K", -1},
                                            {"x", -1},
                                            {"", -1},
                                            {"1K2", -1},
                                            {"1 K", -1},
                                            {"-1", -1},
                                            {"99999999999G", -1}};

    expect_samples(QUANTITY_BYTES, samples, ARRAY_LEN(samples));
}

Test(quantity, counts_are_read_with_and_without_units)
{
    static const struct sample samples[] = {
        {"0", 0},           {"4096", 4096},      {"20k", 20000},
        {"20K", 20000},     {"10M", 10000000},   {"1.5M", 1500000},
        {"2G", 2000000000}, {"0.001k", 1},       {"9223372036854775807", INT64_MAX},
        {"1.5", -1},        {"0.0001k", -1},     {"k", -1},
        {"", -1},           {"1kB", -1},         {"1 k", -1},
        {"-1", -1},         {"99999999999G", -1}};

    expect_samples(QUANTITY_COUNT, samples, ARRAY_LEN(samples));
}

Test(quantity, numbers_are_digits_up_to_64_bits)
{
    static const struct sample samples[] = {{"0", 0},    {"007", 7}, {"9223372036854775807", INT64_MAX},
                                            {"", -1},    {"1a", -1}, {"-1", -1},
                                            {"1.0", -1}, {"1k", -1}, {"18446744073709551616", -1}};
    uint64_t value = 0;

    expect_samples(QUANTITY_NUMBER, samples, ARRAY_LEN(samples));
    cr_assert(quantity_parse(QUANTITY_NUMBER, "18446744073709551615", quantity_any(QUANTITY_NUMBER), &value,
                             fault));
    cr_assert_eq(value, UINT64_MAX);
}

static const char *refusal(enum quantity_kind kind, const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;

    cr_assert_not(quantity_parse(kind, text, (struct quantity_bounds){min, max}, &value, fault), "%s", text);
    return fault;
}

Test(quantity, a_refusal_says_the_bound)
{
    uint64_t value = 0;

    cr_assert(quantity_parse(QUANTITY_BYTES, "1K", (struct quantity_bounds){1024, 2048}, &value, fault));
    cr_assert(quantity_parse(QUANTITY_BYTES, "2K", (struct quantity_bounds){1024, 2048}, &value, fault));
    cr_expect_str_eq(refusal(QUANTITY_BYTES, "1023", 1024, 1 << 20), "must be 1K to 1M");
    cr_expect_str_eq(refusal(QUANTITY_BYTES, "99999999999999999999", 0, 1 << 20), "must be at most 1M");
    cr_expect_str_eq(refusal(QUANTITY_NUMBER, "65", 1, 64), "must be 1 to 64");
    cr_expect_str_eq(refusal(QUANTITY_COUNT, "2M", 1000, 1000000), "must be 1k to 1M");
    cr_expect_str_eq(refusal(QUANTITY_DURATION, "1ns", 1000000, UINT64_C(3600000000000)),
                     "must be 1ms to 1h");
    cr_expect_str_eq(refusal(QUANTITY_DURATION_OR_NEVER, "0", 1000000000, UINT64_C(90000000000)),
                     "must be 1s to 90s, or never");
    cr_expect_str_eq(refusal(QUANTITY_DURATION, "300000000000", 0, INT64_MAX), "must be at most 292 years");
    cr_expect_str_eq(refusal(QUANTITY_DURATION, "1.5ns", 0, INT64_MAX),
                     "must be a whole number of nanoseconds");
    cr_expect_str_eq(refusal(QUANTITY_BYTES, "0.5", 0, 9), "must be a whole number");
    cr_expect(strstr(refusal(QUANTITY_DURATION, "1 s", 0, INT64_MAX), "ns, us, ms, s, m or h"));
}

Test(quantity, what_is_written_is_read_back)
{
    static const struct {
        enum quantity_kind kind;
        uint64_t value;
        const char *text;
    } samples[] = {{QUANTITY_DURATION, 0, "0s"},
                   {QUANTITY_DURATION, 1, "1ns"},
                   {QUANTITY_DURATION, 1500000, "1500us"},
                   {QUANTITY_DURATION, 60000000000, "60s"},
                   {QUANTITY_DURATION, 7200000000000, "2h"},
                   {QUANTITY_DURATION_OR_NEVER, 0, "never"},
                   {QUANTITY_DURATION_OR_NEVER, 5000000, "5ms"},
                   {QUANTITY_BYTES, 0, "0"},
                   {QUANTITY_BYTES, 1025, "1025"},
                   {QUANTITY_BYTES, UINT64_C(1) << 30, "1G"},
                   {QUANTITY_BYTES, UINT64_C(3) << 39, "1536G"},
                   {QUANTITY_COUNT, 1500, "1500"},
                   {QUANTITY_COUNT, 2000, "2k"},
                   {QUANTITY_NUMBER, 2000, "2000"}};

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        char text[QUANTITY_TEXT_CAPACITY];
        uint64_t value = 77;

        quantity_text(samples[i].kind, samples[i].value, text);
        cr_expect_str_eq(text, samples[i].text);
        cr_expect(quantity_parse(samples[i].kind, text, quantity_any(samples[i].kind), &value, fault));
        cr_expect_eq(value, samples[i].value, "%s", text);
    }
}
