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
