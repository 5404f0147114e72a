/* test_client_subscribe_encode.c - the options of a subscriber are what the server reads. */
#include <criterion/criterion.h>
#include <string.h>

#include "client/lib/subscribe/subscribe_encode.h"
#include "tributary/v1/subscriber.pb-c.h"

static Tributary__V1__SubscribeRequest *round_trip(const struct tributary_subscriber_options *options,
                                                   const char *token)
{
    struct buf request = {0};
    Tributary__V1__SubscribeRequest *read = NULL;

    cr_assert_null(subscribe_write_request(options, &request));
    subscribe_write_resume(&request, (struct bytes){(const uint8_t *)token, strlen(token)});
    read = tributary__v1__subscribe_request__unpack(NULL, request.size, request.data);
    cr_assert_not_null(read);
    buf_fini(&request);
    return read;
}

Test(client_subscribe_encode, without_selectors_everything_is_selected)
{
    Tributary__V1__SubscribeRequest *read =
        round_trip(&(struct tributary_subscriber_options){.name = NULL}, "");

    cr_assert_eq(read->n_selectors, 1);
    cr_assert_str_eq(read->selectors[0]->producer, "*");
    cr_assert_null(read->linger);
    cr_assert_null(read->heartbeat_interval);
    cr_assert_null(read->buffer->block_timeout);
    cr_assert_eq(read->start, NULL);
    tributary__v1__subscribe_request__free_unpacked(read, NULL);
}

Test(client_subscribe_encode, every_option_that_is_set_is_written)
{
    const char *const keys[] = {"k1", "k*"};
    const char *const types[] = {"t1"};
    const char *const headers[][2] = {{"a", "b*"}};
    const struct tributary_selector selectors[] = {{.producer = "p",
                                                    .topic = "t",
                                                    .keys = keys,
                                                    .key_count = 2,
                                                    .types = types,
                                                    .type_count = 1,
                                                    .headers = headers,
                                                    .header_count = 1},
                                                   {.topic = "u"}};
    const struct tributary_selector exclude = {.producer = "x"};
    const struct tributary_subscriber_options options = {
        .name = "me",
        .selectors = selectors,
        .selector_count = 2,
        .exclude = &exclude,
        .exclude_count = 1,
        .max_events = 300,
        .max_bytes = UINT64_C(1) << 33,
        .max_age_ns = INT64_C(90500000000),
        .overflow = TRIBUTARY_OVERFLOW_BLOCK,
        .block_timeout_ns = TRIBUTARY_NONE,
        .fallback = TRIBUTARY_OVERFLOW_DISCONNECT,
        .linger_ns = 1,
        .max_batch_events = 5,
        .max_batch_bytes = 6,
        .heartbeat_ns = INT64_C(100000000),
        .no_statuses = true,
    };
    Tributary__V1__SubscribeRequest *read = round_trip(&options, "token");

    cr_assert_eq(read->n_selectors, 2);
    cr_assert_str_eq(read->selectors[0]->keys[1], "k*");
    cr_assert_str_eq(read->selectors[0]->types[0], "t1");
    cr_assert_str_eq(read->selectors[0]->headers[0]->name, "a");
    cr_assert_str_eq(read->selectors[0]->headers[0]->value, "b*");
    cr_assert_str_eq(read->selectors[1]->topic, "u");
    cr_assert_str_eq(read->selectors[1]->producer, "");
    cr_assert_str_eq(read->exclude[0]->producer, "x");
    cr_assert_eq(read->buffer->max_events, 300);
    cr_assert_eq(read->buffer->max_bytes, UINT64_C(1) << 33);
    cr_assert_eq(read->buffer->max_age->seconds, 90);
    cr_assert_eq(read->buffer->max_age->nanos, 500000000);
    cr_assert_eq(read->buffer->overflow, TRIBUTARY__V1__OVERFLOW__OVERFLOW_BLOCK);
    cr_assert_not_null(read->buffer->block_timeout, "an explicit 0");
    cr_assert_eq(read->buffer->block_timeout->seconds, 0);
    cr_assert_eq(read->buffer->fallback, TRIBUTARY__V1__OVERFLOW__OVERFLOW_DISCONNECT);
    cr_assert_eq(read->linger->nanos, 1);
    cr_assert_eq(read->max_batch_events, 5);
    cr_assert_eq(read->max_batch_bytes, 6);
    cr_assert_eq(read->heartbeat_interval->nanos, 100000000);
    cr_assert_eq(read->notices, TRIBUTARY__V1__NOTICES__NOTICES_NONE);
    cr_assert_str_eq(read->name, "me");
    cr_assert_eq(read->start->at_case, TRIBUTARY__V1__START__AT_RESUME);
    cr_assert_eq(read->start->resume.len, 5);
    tributary__v1__subscribe_request__free_unpacked(read, NULL);
}

Test(client_subscribe_encode, a_negative_duration_and_too_many_entries_are_refused)
{
    struct tributary_selector selectors[65] = {{.producer = NULL}};
    const char *keys[65] = {"a"};
    const struct tributary_selector crowded = {.keys = keys, .key_count = 65};
    struct buf request = {0};

    for (size_t i = 0; i < 65; i++)
        selectors[i].producer = "p";
    cr_assert_not_null(
        subscribe_write_request(&(struct tributary_subscriber_options){.linger_ns = -2}, &request));
    cr_assert_null(subscribe_write_request(
        &(struct tributary_subscriber_options){.linger_ns = TRIBUTARY_NONE}, &request));
    cr_assert_not_null(subscribe_write_request(
        &(struct tributary_subscriber_options){.selectors = selectors, .selector_count = 65}, &request));
    cr_assert_null(subscribe_write_request(
        &(struct tributary_subscriber_options){.selectors = selectors, .selector_count = 64}, &request));
    cr_assert_not_null(subscribe_write_request(
        &(struct tributary_subscriber_options){.selectors = &crowded, .selector_count = 1}, &request));
    cr_assert_not_null(subscribe_write_request(
        &(struct tributary_subscriber_options){.resume_token = {"", MAX_RESUME_TOKEN_BYTES + 1}}, &request));
    buf_fini(&request);
}

static Tributary__V1__Start *start_of(enum tributary_start from, uint64_t value, uint32_t last,
                                      Tributary__V1__SubscribeRequest **request)
{
    struct buf bytes = {0};

    subscribe_write_start(&bytes, &(struct subscribe_start){from, value, last});
    *request = tributary__v1__subscribe_request__unpack(NULL, bytes.size, bytes.data);
    cr_assert_not_null(*request);
    buf_fini(&bytes);
    return (*request)->start;
}

Test(client_subscribe_encode, a_start_is_where_the_options_say)
{
    static const struct {
        enum tributary_start from;
        uint64_t value;
        uint32_t last;
        Tributary__V1__Start__AtCase expected;
    } rows[] = {
        {TRIBUTARY_START_LIVE, 0, 7, TRIBUTARY__V1__START__AT_LAST},
        {TRIBUTARY_START_EARLIEST, 0, 0, TRIBUTARY__V1__START__AT_EARLIEST},
        {TRIBUTARY_START_SEQUENCE, 7, 0, TRIBUTARY__V1__START__AT_SEQUENCE},
        {TRIBUTARY_START_TIME, 7, 0, TRIBUTARY__V1__START__AT_TIME_UNIX_NANO},
        {TRIBUTARY_START_TIME, 0, 0, TRIBUTARY__V1__START__AT_EARLIEST},
    };
    Tributary__V1__SubscribeRequest *request = NULL;

    cr_assert_null(start_of(TRIBUTARY_START_LIVE, 0, 0, &request), "live is the default");
    tributary__v1__subscribe_request__free_unpacked(request, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const Tributary__V1__Start *start = start_of(rows[i].from, rows[i].value, rows[i].last, &request);

        cr_assert_eq(start->at_case, rows[i].expected, "row %zu", i);
        if (rows[i].last > 0)
            cr_assert_eq(start->last, 7);
        if (start->at_case == TRIBUTARY__V1__START__AT_SEQUENCE)
            cr_assert_eq(start->sequence, 7);
        if (start->at_case == TRIBUTARY__V1__START__AT_TIME_UNIX_NANO)
            cr_assert_eq(start->time_unix_nano, 7);
        tributary__v1__subscribe_request__free_unpacked(request, NULL);
    }
}

Test(client_subscribe_encode, starts_and_ends_that_exclude_each_other_are_refused)
{
    static const struct tributary_subscriber_options refused[] = {
        {.start = TRIBUTARY_START_SEQUENCE},
        {.start = TRIBUTARY_START_EARLIEST, .start_value = 1},
        {.start_value = 1},
        {.start = TRIBUTARY_START_EARLIEST, .start_last = 1},
        {.start = TRIBUTARY_START_TIME, .start_value = 1, .resume_token = {"t", 1}},
        {.start = (enum tributary_start)4},
        {.end_when_all_ended = true, .end_when_caught_up = true},
    };
    const struct tributary_subscriber_options good = {
        .start = TRIBUTARY_START_TIME, .start_value = 5, .end_when_caught_up = true};
    Tributary__V1__SubscribeRequest *read = round_trip(&good, "");

    cr_assert_eq(read->end_when, TRIBUTARY__V1__END_WHEN__END_WHEN_CAUGHT_UP);
    tributary__v1__subscribe_request__free_unpacked(read, NULL);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct buf request = {0};

        cr_assert_not_null(subscribe_write_request(&refused[i], &request), "row %zu", i);
        buf_fini(&request);
    }
}
