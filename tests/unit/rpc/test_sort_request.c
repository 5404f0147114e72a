/* test_sort_request.c - the sort window of a SubscribeRequest: defaults, bounds, and what is wrong
 * in words. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "server/rpc/sort_request.h"

struct input {
    Tributary__V1__SortWindow window;
    Google__Protobuf__Duration duration;
    struct chan_limits limits;
};

static struct input input_of(uint32_t max_events, uint32_t events, int64_t duration_ns, const char *field)
{
    struct input input = {.limits = {.max_events = max_events, .max_bytes = 1 << 20}};

    tributary__v1__sort_window__init(&input.window);
    google__protobuf__duration__init(&input.duration);
    input.window.events = events;
    input.window.field = (char *)field;
    input.duration.seconds = duration_ns / NS_PER_S;
    input.duration.nanos = (int32_t)(duration_ns % NS_PER_S);
    return input;
}

static enum fault_reason read_input(struct input *input, struct fault *fault)
{
    input->window.duration = &input->duration;
    return sort_window_read(&input->window, &input->limits, fault);
}

static void refuse(struct input input, enum fault_reason reason, const char *field, const char *value)
{
    struct fault fault = {0};

    cr_expect_eq(read_input(&input, &fault), reason, "%s", field);
    cr_expect_str_eq(fault.field, field);
    cr_expect_str_eq(fault.value, value, "%s: %s", field, fault.value);
}

Test(sort_request, without_a_window_events_are_not_sorted)
{
    struct chan_limits limits = {.max_events = 1, .sort = {.duration_ns = 7}};
    struct fault fault = {0};

    cr_assert_eq(sort_window_read(NULL, &limits, &fault), FAULT_NONE);
    cr_assert_eq(limits.sort.duration_ns, 0);
}

Test(sort_request, an_empty_window_has_defaults)
{
    struct chan_limits limits = {.max_events = 1024};
    Tributary__V1__SortWindow window;
    struct fault fault = {0};

    tributary__v1__sort_window__init(&window);
    cr_assert_eq(sort_window_read(&window, &limits, &fault), FAULT_NONE);
    cr_assert_eq(limits.sort.duration_ns, 100 * NS_PER_MS);
    cr_assert_eq(limits.sort.max_events, 512);
    cr_assert_eq(limits.sort.field.count, 0);
}

Test(sort_request, accepts_what_is_within_the_bounds)
{
    const int64_t durations[] = {NS_PER_MS, 60 * NS_PER_S};
    struct fault fault = {0};

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        struct input input = input_of(3, 1, durations[i], "1.3.2");

        cr_assert_eq(read_input(&input, &fault), FAULT_NONE);
        cr_assert_eq(input.limits.sort.duration_ns, durations[i]);
        cr_assert_eq(input.limits.sort.max_events, 1);
        cr_assert_eq(input.limits.sort.field.count, 3);
        cr_assert_eq(input.limits.sort.field.numbers[1], 3);
    }
}

Test(sort_request, refuses_what_is_beyond_them)
{
    struct input old = input_of(8, 0, NS_PER_S, "");

    refuse(input_of(8, 0, 0, ""), FAULT_OUT_OF_BOUNDS, "sort_window.duration", "0.000000000 s");
    refuse(input_of(8, 0, NS_PER_MS - 1, ""), FAULT_OUT_OF_BOUNDS, "sort_window.duration", "0.000999999 s");
    refuse(input_of(8, 0, 60 * NS_PER_S + 1, ""), FAULT_OUT_OF_BOUNDS, "sort_window.duration",
           "60.000000001 s");
    refuse(input_of(8, 0, -NS_PER_S, ""), FAULT_BAD_DURATION, "sort_window.duration", "-1.000000000 s");
    refuse(input_of(9, 5, NS_PER_S, ""), FAULT_OUT_OF_BOUNDS, "sort_window.events", "5");
    refuse(input_of(9, UINT32_MAX, NS_PER_S, ""), FAULT_OUT_OF_BOUNDS, "sort_window.events", "4294967295");
    refuse(input_of(1, 0, NS_PER_S, ""), FAULT_OUT_OF_BOUNDS, "buffer.max_events", "1");
    refuse(input_of(8, 0, NS_PER_S, "1.x"), FAULT_BAD_FIELD_PATH, "sort_window.field", "\"1.x\"");
    old.limits.max_age_ns = NS_PER_S;
    refuse(old, FAULT_OUT_OF_BOUNDS, "sort_window.duration", "1000000000");
}
