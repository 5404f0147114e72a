/* test_retention.c - names and settings of topics, and what is no longer kept. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "topic/retention.h"

TestSuite(retention);

static bool drops(struct topic_settings settings, uint64_t events, uint64_t bytes, int64_t age_ns)
{
    const struct retention_size first = {10, 1000};

    return retention_drops(&settings, (struct retention_size){events, bytes}, first, 5 * NS_PER_S,
                           5 * NS_PER_S + age_ns);
}

Test(retention, without_a_bound_everything_stays)
{
    cr_assert_not(drops((struct topic_settings){0}, UINT64_MAX, UINT64_MAX, INT64_MAX / 2));
    cr_assert_eq(retention_due_ns(&(struct topic_settings){0}, 5), INT64_MAX);
}

Test(retention, a_row_goes_when_the_rest_reaches_a_bound)
{
    const struct topic_settings events = {.max_events = 100}, bytes = {.max_bytes = 5000};

    cr_assert_not(drops(events, 109, 0, 0));
    cr_assert(drops(events, 110, 0, 0));
    cr_assert_not(drops(bytes, 0, 5999, 0));
    cr_assert(drops(bytes, 0, 6000, 0));
    cr_assert(drops((struct topic_settings){.max_events = 1}, 20, 0, 0));
}

Test(retention, a_row_goes_when_it_is_too_old)
{
    const struct topic_settings age = {.max_age_ns = 60 * NS_PER_S};

    cr_assert_not(drops(age, 10, 1000, 60 * NS_PER_S - 1));
    cr_assert(drops(age, 10, 1000, 60 * NS_PER_S), "the last row too");
    cr_assert_not(drops(age, 10, 1000, -NS_PER_S), "the clock went back");
    cr_assert_eq(retention_due_ns(&(struct topic_settings){.max_age_ns = INT64_MAX}, 5), INT64_MAX);
}

static void check_kept(const struct topic_settings *settings, uint8_t version)
{
    OWNED(buf_fini) struct buf data = {0};
    struct topic_settings found;

    topic_settings_encode(settings, &data);
    cr_assert_eq(data.data[0], version);
    cr_assert(topic_settings_decode((struct bytes){data.data, data.size}, &found));
    cr_assert_eq(found.max_age_ns, settings->max_age_ns);
    cr_assert_eq(found.max_bytes, settings->max_bytes);
    cr_assert_eq(found.max_events, settings->max_events);
    cr_assert_eq(found.id_window_ns, settings->id_window_ns);
    cr_assert_eq(found.max_ids, settings->max_ids);
}

Test(retention, settings_are_read_as_they_were_written)
{
    const struct topic_settings settings = {
        .max_age_ns = 3600 * NS_PER_S, .max_bytes = UINT64_C(1) << 40, .max_events = 7};
    OWNED(buf_fini) struct buf data = {0};
    struct topic_settings found;

    check_kept(&settings, 1);
    check_kept(&(struct topic_settings){.id_window_ns = MAX_ID_WINDOW_NS, .max_ids = MAX_TOPIC_IDS}, 2);
    check_kept(&(struct topic_settings){.max_age_ns = NS_PER_S, .max_ids = 1}, 2);
    topic_settings_encode(&settings, &data);
    for (size_t size = 0; size < data.size; size++)
        cr_assert_not(topic_settings_decode((struct bytes){data.data, size}, &found));
    data.data[0] = 3;
    cr_assert_not(topic_settings_decode((struct bytes){data.data, data.size}, &found), "a later version");
}

static enum fault_reason check(struct topic_settings settings)
{
    struct fault fault;

    return topic_settings_check(&settings, &fault);
}

Test(retention, settings_beyond_their_bounds)
{
    cr_assert_eq(check((struct topic_settings){0}), FAULT_NONE);
    cr_assert_eq(check((struct topic_settings){.max_age_ns = NS_PER_S}), FAULT_NONE);
    cr_assert_eq(check((struct topic_settings){.max_age_ns = NS_PER_S - 1}), FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(check((struct topic_settings){.max_age_ns = -1}), FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(check((struct topic_settings){.max_bytes = UINT64_MAX}), FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(check((struct topic_settings){.max_events = UINT64_MAX}), FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(check((struct topic_settings){.id_window_ns = -1}), FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(check((struct topic_settings){.id_window_ns = MAX_ID_WINDOW_NS + 1}), FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(check((struct topic_settings){.max_ids = MAX_TOPIC_IDS + 1}), FAULT_OUT_OF_BOUNDS);
}

Test(retention, names_of_topics)
{
    struct fault fault;
    char name[257];

    memset(name, 'a', sizeof(name));
    cr_assert_eq(topic_name_check(text_bytes("orders.dlq"), "name", &fault), FAULT_NONE);
    cr_assert_eq(topic_name_check(text_bytes(""), "name", &fault), FAULT_EMPTY);
    cr_assert_eq(topic_name_check(text_bytes("@orders"), "name", &fault), FAULT_BAD_NAME);
    cr_assert_eq(topic_name_check((struct bytes){(const uint8_t *)name, 255}, "name", &fault), FAULT_NONE);
    cr_assert_eq(topic_name_check((struct bytes){(const uint8_t *)name, 256}, "name", &fault),
                 FAULT_TOO_LONG);
    cr_assert_eq(topic_name_check(text_bytes("a\nb"), "name", &fault), FAULT_BAD_NAME);
}
