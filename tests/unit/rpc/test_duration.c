/* test_duration.c - durations: absent, zero, and both sides of each bound. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "google/protobuf/duration.pb-c.h"
#include "server/rpc/decode.h"

static const struct duration_rule pause = {"pause", 7 * NS_PER_S, 100 * NS_PER_MS, 3600 * NS_PER_S, true};
static const struct duration_rule wait = {"wait", 7 * NS_PER_S, 1, NS_PER_S, false};

static enum fault_reason read(int64_t seconds, int32_t nanos, const struct duration_rule *rule,
                              int64_t *ns_out, struct fault *fault)
{
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;

    duration.seconds = seconds;
    duration.nanos = nanos;
    return decode_duration(&duration.base, rule, ns_out, fault);
}

Test(duration, absent_is_the_default_and_zero_is_accepted_where_the_rule_allows_it)
{
    struct fault fault;
    int64_t ns = -1;

    cr_assert_eq(decode_duration(NULL, &pause, &ns, &fault), FAULT_NONE);
    cr_expect_eq(ns, 7 * NS_PER_S);
    cr_assert_eq(read(0, 0, &pause, &ns, &fault), FAULT_NONE);
    cr_expect_eq(ns, 0);
    cr_expect_eq(read(0, 0, &wait, &ns, &fault), FAULT_OUT_OF_BOUNDS);
}

Test(duration, accepts_the_bounds_and_refuses_one_nanosecond_beyond_them)
{
    struct fault fault;
    int64_t ns = -1;

    cr_assert_eq(read(0, 100000000, &pause, &ns, &fault), FAULT_NONE);
    cr_expect_eq(ns, 100 * NS_PER_MS);
    cr_assert_eq(read(3600, 0, &pause, &ns, &fault), FAULT_NONE);
    cr_expect_eq(ns, 3600 * NS_PER_S);
    cr_assert_eq(read(0, 99999999, &pause, &ns, &fault), FAULT_OUT_OF_BOUNDS);
    cr_expect_str_eq(fault.field, "pause");
    cr_expect_str_eq(fault.value, "0.099999999 s");
    cr_expect_str_eq(fault.bound, "0, or 100 ms to 1 h");
    cr_assert_eq(read(3600, 1, &pause, &ns, &fault), FAULT_OUT_OF_BOUNDS);
    cr_expect_str_eq(fault.value, "3600.000000001 s");
    cr_assert_eq(read(1, 1, &wait, &ns, &fault), FAULT_OUT_OF_BOUNDS);
    cr_expect_str_eq(fault.bound, "at most 1 s");
    cr_expect_eq(ns, 3600 * NS_PER_S, "a refusal leaves the result untouched");
}

Test(duration, refuses_malformed_ones_and_names_their_value)
{
    struct fault fault;
    int64_t ns;

    cr_expect_eq(read(-1, 0, &pause, &ns, &fault), FAULT_BAD_DURATION);
    cr_expect_str_eq(fault.value, "-1.000000000 s");
    cr_expect_eq(read(0, -1, &pause, &ns, &fault), FAULT_BAD_DURATION);
    cr_expect_eq(read(1, -1, &pause, &ns, &fault), FAULT_BAD_DURATION);
    cr_expect_eq(read(0, 1000000000, &pause, &ns, &fault), FAULT_BAD_DURATION);
    cr_expect_eq(read(INT64_MIN, INT32_MIN, &pause, &ns, &fault), FAULT_BAD_DURATION);
    cr_expect_eq(read(INT64_MAX, 0, &pause, &ns, &fault), FAULT_BAD_DURATION);
    cr_expect_eq(read(INT64_C(315576000000), 0, &pause, &ns, &fault), FAULT_OUT_OF_BOUNDS,
                 "well-formed, and too long");
    cr_expect_eq(read(INT64_C(315576000001), 0, &pause, &ns, &fault), FAULT_BAD_DURATION);
}
