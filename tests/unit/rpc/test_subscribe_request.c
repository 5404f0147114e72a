/* test_subscribe_request.c - every setting of a SubscribeRequest: its default, both sides of its
 * bounds, and the text of a refusal. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "flow/chan_limits.h"
#include "lib/chunks.h"
#include "lib/event_views.h"
#include "lib/events.h"
#include "server/rpc/subscribe_request.h"
#include "server/rpc/token.h"
#include "tributary/v1/subscriber.pb-c.h"

/* A request with one selector for everything, and room for its parts. */
struct input {
    Tributary__V1__SubscribeRequest message;
    Tributary__V1__Selector selector;
    Tributary__V1__Selector *selectors[1];
    Tributary__V1__Buffer buffer;
    Tributary__V1__Start start;
    Google__Protobuf__Duration duration;
};

static struct input *input_new(void)
{
    struct input *input = calloc(1, sizeof(*input));

    tributary__v1__subscribe_request__init(&input->message);
    tributary__v1__selector__init(&input->selector);
    tributary__v1__buffer__init(&input->buffer);
    tributary__v1__start__init(&input->start);
    google__protobuf__duration__init(&input->duration);
    input->selector.producer = (char *)"*";
    input->selectors[0] = &input->selector;
    input->message.n_selectors = 1;
    input->message.selectors = input->selectors;
    return input;
}

static const struct subscription_ranges *ranges = &settings_defaults.subscription; /* of every request */

static void refuse(struct input *input, enum fault_reason reason, const char *field, const char *value)
{
    struct subscribe_request request = {.linger_ns = 77};
    struct fault fault = {0};
    enum fault_reason got = subscribe_request_read(&input->message.base, ranges, &request, &fault);

    cr_expect_eq(got, reason, "%s: %s instead of %s", field, fault_reason_name(got),
                 fault_reason_name(reason));
    cr_expect_str_eq(fault.field, field);
    cr_expect_str_eq(fault.value, value, "%s: %s", field, fault.value);
    cr_expect_eq(request.linger_ns, 77, "a refusal leaves the result untouched");
    free(input);
}

static void accept(struct input *input, struct subscribe_request *request)
{
    struct fault fault = {0};

    cr_expect_eq(subscribe_request_read(&input->message.base, ranges, request, &fault), FAULT_NONE, "%s: %s",
                 fault.field, fault_reason_name(fault.reason));
    free(input);
}

Test(subscribe_request, what_is_not_set_has_the_documented_default)
{
    struct subscribe_request request;

    accept(input_new(), &request);
    cr_expect_not_null(request.params.filter);
    cr_expect_eq(request.params.limits.max_events, 1024);
    cr_expect_eq(request.params.limits.max_bytes, 4 << 20);
    cr_expect_eq(request.params.limits.max_age_ns, 0);
    cr_expect_eq(request.params.limits.overflow, OVERFLOW_BY_FEED);
    cr_expect_eq(request.params.limits.fallback, OVERFLOW_DROP_OLDEST);
    cr_expect_eq(request.params.limits.block_timeout_ns, 100 * NS_PER_MS);
    cr_expect_eq(request.linger_ns, 500 * NS_PER_US);
    cr_expect_eq(request.max_batch_events, 4096);
    cr_expect_eq(request.max_batch_bytes, 256 << 10);
    cr_expect_eq(request.heartbeat_ns, 10 * NS_PER_S);
    cr_expect(request.states);
    cr_expect_null(request.params.resume);
    cr_expect_eq(request.params.name.size, 0);
    subscribe_request_fini(&request);
}

/* A number: where it is, its maximum, and its path in a fault. */
struct number {
    size_t offset; /* within struct input */
    size_t size;
    uint64_t max;
    const char *field;
};

static void number_set(struct input *input, const struct number *number, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;

    memcpy((char *)input + number->offset, number->size == 4 ? (void *)&narrow : (void *)&value,
           number->size);
    input->message.buffer = &input->buffer;
}

Test(subscribe_request, accepts_numbers_up_to_their_bound_and_refuses_them_beyond_it)
{
    static const struct number numbers[] = {
        {offsetof(struct input, buffer.max_events), 4, 1048576, "buffer.max_events"},
        {offsetof(struct input, buffer.max_bytes), 8, 268435456, "buffer.max_bytes"},
        {offsetof(struct input, message.max_batch_events), 4, 65536, "max_batch_events"},
        {offsetof(struct input, message.max_batch_bytes), 4, 1048576, "max_batch_bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct input *input = input_new();
        struct subscribe_request request;
        char value[32];

        number_set(input, &numbers[i], numbers[i].max);
        accept(input, &request);
        cr_expect(request.params.limits.max_events == numbers[i].max ||
                  request.params.limits.max_bytes == numbers[i].max ||
                  request.max_batch_events == numbers[i].max || request.max_batch_bytes == numbers[i].max);
        subscribe_request_fini(&request);
        input = input_new();
        number_set(input, &numbers[i], 1);
        accept(input, &request);
        subscribe_request_fini(&request);
        input = input_new();
        number_set(input, &numbers[i], numbers[i].max + 1);
        snprintf(value, sizeof(value), "%llu", (unsigned long long)numbers[i].max + 1);
        refuse(input, FAULT_OUT_OF_BOUNDS, numbers[i].field, value);
    }
}

struct duration {
    size_t offset; /* of the pointer, within struct input */
    int64_t min_ns, max_ns;
    const char *field;
};

static struct input *with_duration(const struct duration *duration, int64_t ns)
{
    struct input *input = input_new();
    Google__Protobuf__Duration *pointer = &input->duration;

    pointer->seconds = ns / NS_PER_S;
    pointer->nanos = (int32_t)(ns % NS_PER_S);
    memcpy((char *)input + duration->offset, &pointer, sizeof(pointer));
    input->message.buffer = &input->buffer;
    return input;
}

Test(subscribe_request, accepts_durations_within_their_bounds_and_refuses_them_beyond)
{
    static const struct duration durations[] = {
        {offsetof(struct input, buffer.max_age), 1, 86400 * NS_PER_S, "buffer.max_age"},
        {offsetof(struct input, buffer.block_timeout), 1, 3600 * NS_PER_S, "buffer.block_timeout"},
        {offsetof(struct input, message.linger), 1, NS_PER_S, "linger"},
        {offsetof(struct input, message.heartbeat_interval), 100 * NS_PER_MS, 3600 * NS_PER_S,
         "heartbeat_interval"},
    };

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        const int64_t good[] = {0, durations[i].min_ns, durations[i].max_ns};
        const int64_t bad[] = {durations[i].max_ns + 1, durations[i].min_ns - 1};
        char value[32];

        for (size_t j = 0; j < ARRAY_LEN(good); j++) {
            struct subscribe_request request;

            accept(with_duration(&durations[i], good[j]), &request);
            cr_expect(request.params.limits.max_age_ns == good[j] ||
                      request.params.limits.block_timeout_ns == good[j] || request.linger_ns == good[j] ||
                      request.heartbeat_ns == good[j]);
            subscribe_request_fini(&request);
        }
        for (size_t j = 0; j < ARRAY_LEN(bad) && bad[j] > 0; j++) {
            snprintf(value, sizeof(value), "%lld.%09lld s", (long long)(bad[j] / NS_PER_S),
                     (long long)(bad[j] % NS_PER_S));
            refuse(with_duration(&durations[i], bad[j]), FAULT_OUT_OF_BOUNDS, durations[i].field, value);
        }
        refuse(with_duration(&durations[i], -NS_PER_S), FAULT_BAD_DURATION, durations[i].field,
               "-1.000000000 s");
    }
}

Test(subscribe_request, reads_every_policy_and_refuses_a_fallback_that_blocks)
{
    for (unsigned overflow = 0; overflow <= 5; overflow++) {
        struct input *input = input_new();
        struct subscribe_request request;

        input->message.buffer = &input->buffer;
        input->buffer.overflow = (Tributary__V1__Overflow)overflow;
        bool falls = overflow != OVERFLOW_BLOCK && overflow != OVERFLOW_LATEST_PER_KEY;
        input->buffer.fallback =
            falls ? (Tributary__V1__Overflow)overflow : TRIBUTARY__V1__OVERFLOW__OVERFLOW_DROP_NEWEST;
        accept(input, &request);
        cr_expect_eq(request.params.limits.overflow, overflow);
        cr_expect_eq(request.params.limits.fallback, !falls         ? OVERFLOW_DROP_NEWEST
                                                     : overflow > 0 ? overflow
                                                                    : OVERFLOW_DROP_OLDEST);
        subscribe_request_fini(&request);
    }
    struct input *input = input_new();

    input->message.buffer = &input->buffer;
    input->buffer.fallback = TRIBUTARY__V1__OVERFLOW__OVERFLOW_BLOCK;
    refuse(input, FAULT_OUT_OF_BOUNDS, "buffer.fallback", "\"OVERFLOW_BLOCK\"");

    input = input_new();
    input->message.buffer = &input->buffer;
    input->buffer.fallback = TRIBUTARY__V1__OVERFLOW__OVERFLOW_LATEST_PER_KEY;
    refuse(input, FAULT_OUT_OF_BOUNDS, "buffer.fallback", "\"OVERFLOW_LATEST_PER_KEY\"");
}

Test(subscribe_request, a_name_is_printable_and_at_most_256_bytes)
{
    char name[258];
    struct input *input = input_new();
    struct subscribe_request request;

    memset(name, 'n', sizeof(name));
    name[256] = '\0';
    input->message.name = name;
    accept(input, &request);
    cr_expect_eq(request.params.name.size, 256);
    subscribe_request_fini(&request);

    name[256] = 'n';
    name[257] = '\0';
    input = input_new();
    input->message.name = name;
    struct fault fault;

    cr_expect_eq(subscribe_request_read(&input->message.base, ranges, &request, &fault), FAULT_TOO_LONG);
    cr_expect_str_eq(fault.field, "name");
    free(input);
    input = input_new();
    input->message.name = (char *)"a\nb";
    refuse(input, FAULT_BAD_NAME, "name", "\"a\\nb\"");
}

Test(subscribe_request, request_bytes_are_at_most_64_kib)
{
    struct input *input = input_new();
    uint8_t *bytes = calloc(1, 65537);
    struct subscribe_request request;

    input->message.request = (ProtobufCBinaryData){65536, bytes};
    accept(input, &request);
    subscribe_request_fini(&request);
    input = input_new();
    input->message.request = (ProtobufCBinaryData){65537, bytes};
    refuse(input, FAULT_TOO_LONG, "request", "65537");
    free(bytes);
}

Test(subscribe_request, notices_may_be_turned_off)
{
    struct input *input = input_new();
    struct subscribe_request request;

    input->message.notices = TRIBUTARY__V1__NOTICES__NOTICES_ALL;
    accept(input, &request);
    cr_expect(request.states);
    subscribe_request_fini(&request);
    input = input_new();
    input->message.notices = TRIBUTARY__V1__NOTICES__NOTICES_NONE;
    accept(input, &request);
    cr_expect_not(request.states);
    subscribe_request_fini(&request);
}

Test(subscribe_request, selectors_reach_the_filter_with_all_their_fields)
{
    struct input *input = input_new();
    Tributary__V1__Selector__Pair pair = TRIBUTARY__V1__SELECTOR__PAIR__INIT;
    Tributary__V1__Selector__Pair *pairs[] = {&pair};
    Tributary__V1__Selector exclude = TRIBUTARY__V1__SELECTOR__INIT;
    Tributary__V1__Selector *excludes[] = {&exclude};
    char *keys[] = {(char *)"k1", (char *)"k*"};
    struct pair header = {text_of("h"), text_of("value")};
    struct event_view event = {.topic = text_of("news"), .key = text_of("k9"), .type = text_of("t")};
    struct buf bytes = {0};
    struct filter_part part;
    struct event_headers headers;
    struct event_view view;
    struct subscribe_request request;

    pair.name = (char *)"h";
    pair.value = (char *)"v*";
    exclude.topic = (char *)"secret";
    input->selector.producer = (char *)"web-*";
    input->selector.topic = (char *)"ne?s";
    input->selector.n_keys = 2;
    input->selector.keys = keys;
    input->selector.n_headers = 1;
    input->selector.headers = pairs;
    input->message.n_exclude = 1;
    input->message.exclude = excludes;
    accept(input, &request);

    cr_expect_eq(filter_producer(request.params.filter, text_of("db-1"), NULL, 0).answer, FILTER_NONE);
    part = filter_producer(request.params.filter, text_of("web-1"), NULL, 0);
    cr_assert_eq(part.answer, FILTER_BY_EVENT);
    put_event(&bytes, &event, &header, 1);
    view_whole((struct bytes){bytes.data, bytes.size}, &view, &headers);
    cr_expect(filter_event(request.params.filter, &part, &view));
    buf_clear(&bytes);
    put_event(&bytes, &event, NULL, 0);
    view_whole((struct bytes){bytes.data, bytes.size}, &view, &headers);
    cr_expect_not(filter_event(request.params.filter, &part, &view), "the header is missing");
    buf_fini(&bytes);
    subscribe_request_fini(&request);
}

Test(subscribe_request, refuses_bad_selectors_and_names_their_path)
{
    struct input *input = input_new();
    Tributary__V1__Selector second = TRIBUTARY__V1__SELECTOR__INIT;
    Tributary__V1__Selector *both[] = {&input->selector, &second};
    Tributary__V1__Selector *many[65];
    struct fault fault;
    struct subscribe_request request;

    input->message.n_selectors = 0;
    cr_expect_eq(subscribe_request_read(&input->message.base, ranges, &request, &fault), FAULT_EMPTY);
    cr_expect_str_eq(fault.field, "selectors");
    input->message.n_selectors = 2;
    input->message.selectors = both;
    cr_expect_eq(subscribe_request_read(&input->message.base, ranges, &request, &fault), FAULT_EMPTY);
    cr_expect_str_eq(fault.field, "selectors[1]");
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = &input->selector;
    input->message.selectors = many;
    input->message.n_selectors = 64;
    cr_expect_eq(subscribe_request_read(&input->message.base, ranges, &request, &fault), FAULT_NONE);
    subscribe_request_fini(&request);
    input->message.n_selectors = 65;
    cr_expect_eq(subscribe_request_read(&input->message.base, ranges, &request, &fault), FAULT_TOO_MANY);
    cr_expect_str_eq(fault.field, "selectors");
    free(input);
}

/* A token with one position: "web" of epoch 5 at 9. */
static void write_token(struct buf *token)
{
    struct source *web = source_named("web", 5);
    struct token_writer writer;

    token_begin(&writer, token, MAX_TOKEN_BYTES);
    token_position(&writer, web, 9);
    token_end(&writer, 0);
    source_release(web);
}

static struct input *input_resuming(const uint8_t *token, size_t size)
{
    struct input *input = input_new();

    input->message.start = &input->start;
    input->start.at_case = TRIBUTARY__V1__START__AT_RESUME;
    input->start.resume = (ProtobufCBinaryData){size, (uint8_t *)token};
    return input;
}

Test(subscribe_request, a_stream_begins_live_or_at_the_positions_of_a_token)
{
    struct input *input = input_new();
    struct buf token = {0};
    struct subscribe_request request;

    input->message.start = &input->start;
    input->start.at_case = TRIBUTARY__V1__START__AT_LIVE;
    accept(input, &request);
    cr_expect_null(request.params.resume);
    subscribe_request_fini(&request);

    write_token(&token);
    accept(input_resuming(token.data, token.size), &request);
    cr_assert_eq(request.params.resume_count, 1);
    cr_expect_eq(request.params.resume[0].sequence, 9);
    cr_expect_not(request.params.resume[0].overrides);
    cr_expect_eq(request.params.resume_left_out, 0);
    cr_expect_not(request.params.resume_others_live);
    subscribe_request_fini(&request);
    refuse(input_resuming(token.data, 2), FAULT_BAD_TOKEN, "start.resume", "\"R\\x02\"");
    buf_fini(&token);
}

/* As version 0.1.0 wrote it: without the number of a server. */
Test(subscribe_request, a_token_of_an_earlier_version_is_another_servers)
{
    static const uint64_t key[2] = {UINT64_C(0x7472696275746172), UINT64_C(0x792e746f6b656e31)};
    struct subscribe_request request;
    uint8_t old[32] = {'R', 1};
    struct buf token = {0};

    write_token(&token);
    size_t positions = token.size - 18 - 8, size = 10 + positions;
    cr_assert_leq(size + 8, sizeof(old));
    memcpy(old + 10, token.data + 18, positions);
    uint64_t sum = siphash13(key, (struct bytes){old, size});
    memcpy(old + size, &sum, sizeof(sum));
    accept(input_resuming(old, size + 8), &request);
    cr_expect_eq(request.params.resume_count, 1);
    cr_expect_eq(request.params.resume_left_out, 1, "sources may be missing");
    subscribe_request_fini(&request);
    buf_fini(&token);
}

Test(subscribe_request, a_token_without_positions_is_not_the_same_as_no_token)
{
    struct token_writer writer;
    struct buf token = {0};
    struct subscribe_request request;

    token_begin(&writer, &token, MAX_TOKEN_BYTES);
    token_end(&writer, 0);
    accept(input_resuming(token.data, token.size), &request);
    cr_expect_not_null(request.params.resume);
    cr_expect_eq(request.params.resume_count, 0);
    subscribe_request_fini(&request);
    buf_fini(&token);
}

/* The start is at the token, if any, and two positions. */
struct positions_input {
    Tributary__V1__Start__Positions positions;
    Tributary__V1__Position parts[2], *pointers[2];
};

static struct input *input_at(struct positions_input *at, const struct buf *token, const char *second)
{
    static const char *const names[] = {"web", "api"};
    struct input *input = input_new();

    tributary__v1__start__positions__init(&at->positions);
    for (size_t i = 0; i < 2; i++) {
        tributary__v1__position__init(&at->parts[i]);
        at->parts[i].source = (char *)(i == 1 ? second : names[i]);
        at->parts[i].epoch = 5;
        at->parts[i].sequence = 7 + i;
        at->pointers[i] = &at->parts[i];
    }
    at->positions.n_positions = 2;
    at->positions.positions = at->pointers;
    if (token)
        at->positions.resume_token = (ProtobufCBinaryData){token->size, token->data};
    input->message.start = &input->start;
    input->start.at_case = TRIBUTARY__V1__START__AT_POSITIONS;
    input->start.positions = &at->positions;
    return input;
}

Test(subscribe_request, positions_come_behind_those_of_their_token_and_override_them)
{
    struct positions_input at;
    struct buf token = {0};
    struct subscribe_request request;

    write_token(&token);
    accept(input_at(&at, &token, "api"), &request);
    cr_assert_eq(request.params.resume_count, 3);
    cr_expect_not(request.params.resume[0].overrides);
    cr_expect(request.params.resume[1].overrides);
    cr_expect_eq(request.params.resume[1].sequence, 7);
    cr_expect_eq(request.params.resume[2].sequence, 8);
    cr_expect_not(request.params.resume_others_live, "the token knows of the others");
    subscribe_request_fini(&request);
    buf_fini(&token);
}

Test(subscribe_request, positions_without_a_token_say_nothing_about_other_sources)
{
    struct positions_input at;
    struct subscribe_request request;

    accept(input_at(&at, NULL, "api"), &request);
    cr_expect_eq(request.params.resume_count, 2);
    cr_expect(request.params.resume_others_live);
    subscribe_request_fini(&request);
}

Test(subscribe_request, positions_are_at_most_16384)
{
    Tributary__V1__Position **pointers = calloc(16385, sizeof(*pointers));
    struct positions_input at;
    struct input *input = input_at(&at, NULL, "api");
    struct subscribe_request request;

    for (size_t i = 0; i < 16385; i++)
        pointers[i] = &at.parts[i % 2];
    at.positions.positions = pointers;
    at.positions.n_positions = 16384;
    accept(input, &request);
    cr_expect_eq(request.params.resume_count, 16384);
    subscribe_request_fini(&request);
    input = input_at(&at, NULL, "api");
    at.positions.positions = pointers;
    at.positions.n_positions = 16385;
    refuse(input, FAULT_TOO_MANY, "start.positions.positions", "16385");
    free(pointers);
}

Test(subscribe_request, a_bad_token_or_a_bad_source_of_positions_is_refused)
{
    struct buf spoiled = {.data = (uint8_t *)"R\1", .size = 2};
    struct positions_input at;

    refuse(input_at(&at, &spoiled, "api"), FAULT_BAD_TOKEN, "start.positions.resume_token", "\"R\\x01\"");
    refuse(input_at(&at, NULL, ""), FAULT_EMPTY, "start.positions.positions.source", "");
}

Test(subscribe_request, other_ranges_have_other_defaults_and_bounds)
{
    struct subscription_ranges mine = settings_defaults.subscription;
    struct subscribe_request request;
    struct input *input;

    mine.max_events = (struct setting_range){7, 1, 9};
    mine.max_bytes.default_value = 4711;
    mine.block_timeout_ns = (struct setting_range){2 * NS_PER_S, 1, 3 * NS_PER_S};
    mine.heartbeat_ns = (struct setting_range){5 * NS_PER_S, NS_PER_S, 6 * NS_PER_S};
    ranges = &mine;
    accept(input_new(), &request);
    cr_expect_eq(request.params.limits.max_events, 7);
    cr_expect_eq(request.params.limits.max_bytes, 4711);
    cr_expect_eq(request.params.limits.block_timeout_ns, 2 * NS_PER_S);
    cr_expect_eq(request.heartbeat_ns, 5 * NS_PER_S);
    subscribe_request_fini(&request);
    input = input_new();
    input->message.buffer = &input->buffer;
    input->buffer.max_events = 10;
    refuse(input, FAULT_OUT_OF_BOUNDS, "buffer.max_events", "10");
    input = input_new();
    input->message.heartbeat_interval = &input->duration;
    input->duration.seconds = 7;
    refuse(input, FAULT_OUT_OF_BOUNDS, "heartbeat_interval", "7.000000000 s");
    ranges = &settings_defaults.subscription;
}

/* Finding 7. */
Test(subscribe_request, what_is_above_the_operators_bound_is_lowered_to_it_and_said)
{
    struct settings settings = settings_defaults;
    struct input *input = input_new();
    struct subscribe_request request;
    struct buf block = {0};
    Tributary__V1__Settings *written;

    input->message.buffer = &input->buffer;
    input->buffer.block_timeout = &input->duration;
    input->duration.seconds = 3600;
    accept(input, &request);
    cr_expect_eq(request.params.limits.block_timeout_ns, 3600 * NS_PER_S);
    subscribe_request_lower(&request, &settings);
    cr_expect_eq(request.params.limits.block_timeout_ns, NS_PER_S);
    settings.max_block_timeout_ns = 50 * NS_PER_MS;
    subscribe_request_lower(&request, &settings);
    settings_write(&request, 0, &block);
    written = tributary__v1__settings__unpack(NULL, block.size, block.data);
    cr_assert_not_null(written);
    cr_expect_eq(written->block_timeout_nanos, 50 * NS_PER_MS);
    tributary__v1__settings__free_unpacked(written, NULL);
    buf_fini(&block);
    subscribe_request_fini(&request);
}

Test(subscribe_request, what_is_within_the_operators_bound_stays)
{
    struct subscribe_request request;

    accept(input_new(), &request);
    subscribe_request_lower(&request, &settings_defaults);
    cr_expect_eq(request.params.limits.block_timeout_ns, 100 * NS_PER_MS);
    cr_expect_eq(request.params.limits.max_bytes, 4 << 20);
    subscribe_request_fini(&request);
}

Test(subscribe_request, settings_contain_the_values_in_force)
{
    struct subscribe_request request;
    struct buf block = {0};
    Tributary__V1__Settings *settings;

    accept(input_new(), &request);
    settings_write(&request, 7, &block);
    settings = tributary__v1__settings__unpack(NULL, block.size, block.data);
    cr_assert_not_null(settings);
    cr_expect_eq(settings->max_events, 1024);
    cr_expect_eq(settings->max_bytes, 4 << 20);
    cr_expect_eq(settings->max_age_nanos, 0);
    cr_expect_eq(settings->overflow, TRIBUTARY__V1__OVERFLOW__OVERFLOW_UNSPECIFIED, "by producer");
    cr_expect_eq(settings->revision, 7);
    cr_expect_eq(settings->block_timeout_nanos, 100000000);
    cr_expect_eq(settings->fallback, TRIBUTARY__V1__OVERFLOW__OVERFLOW_DROP_OLDEST);
    cr_expect_eq(settings->linger_nanos, 500000);
    cr_expect_eq(settings->max_batch_events, 4096);
    cr_expect_eq(settings->max_batch_bytes, 256 << 10);
    cr_expect_eq(settings->heartbeat_interval_nanos, UINT64_C(10000000000));
    tributary__v1__settings__free_unpacked(settings, NULL);
    buf_fini(&block);
    subscribe_request_fini(&request);
}

/* ---- where stored topics begin ---- */

static struct input *input_from(Tributary__V1__Start__AtCase at)
{
    struct input *input = input_new();

    input->message.start = &input->start;
    input->start.at_case = at;
    return input;
}

static void check_stored(struct input *input, enum stored_start start, uint64_t value)
{
    struct subscribe_request request;

    accept(input, &request);
    cr_expect_eq(request.params.stored_start, start);
    cr_expect_eq(request.params.stored_value, value);
    cr_expect_eq(request.params.resume_count, 0);
    subscribe_request_fini(&request);
}

Test(subscribe_request, stored_topics_begin_where_the_start_says)
{
    static Tributary__V1__Start__Earliest earliest = TRIBUTARY__V1__START__EARLIEST__INIT;
    struct input *input = input_from(TRIBUTARY__V1__START__AT_EARLIEST);

    check_stored(input_new(), STORED_AS_OTHERS, 0);
    input->start.earliest = &earliest;
    check_stored(input, STORED_EARLIEST, 0);
    input = input_from(TRIBUTARY__V1__START__AT_SEQUENCE);
    input->start.sequence = 1;
    check_stored(input, STORED_SEQUENCE, 1);
    input = input_from(TRIBUTARY__V1__START__AT_SEQUENCE);
    input->start.sequence = UINT64_MAX;
    check_stored(input, STORED_SEQUENCE, UINT64_MAX);
    input = input_from(TRIBUTARY__V1__START__AT_TIME_UNIX_NANO);
    check_stored(input, STORED_TIME, 0);
    input = input_from(TRIBUTARY__V1__START__AT_TIME_UNIX_NANO);
    input->start.time_unix_nano = INT64_MAX;
    check_stored(input, STORED_TIME, INT64_MAX);
}

Test(subscribe_request, a_start_beyond_its_bounds_is_refused)
{
    struct input *input = input_from(TRIBUTARY__V1__START__AT_TIME_UNIX_NANO);

    refuse(input_from(TRIBUTARY__V1__START__AT_SEQUENCE), FAULT_OUT_OF_BOUNDS, "start.sequence", "0");
    input->start.time_unix_nano = (uint64_t)INT64_MAX + 1;
    refuse(input, FAULT_OUT_OF_BOUNDS, "start.time_unix_nano", "9223372036854775808");
}

Test(subscribe_request, topics_without_a_position_begin_as_the_positions_say)
{
    static const struct {
        Tributary__V1__Start__Positions__Unnamed unnamed;
        bool has_token;
        enum stored_start start;
        bool others_live;
    } rows[] = {
        {TRIBUTARY__V1__START__POSITIONS__UNNAMED__UNNAMED_UNSPECIFIED, true, STORED_AS_OTHERS, false},
        {TRIBUTARY__V1__START__POSITIONS__UNNAMED__UNNAMED_UNSPECIFIED, false, STORED_AS_OTHERS, true},
        {TRIBUTARY__V1__START__POSITIONS__UNNAMED__UNNAMED_LIVE, true, STORED_AS_OTHERS, true},
        {TRIBUTARY__V1__START__POSITIONS__UNNAMED__UNNAMED_LIVE, false, STORED_AS_OTHERS, true},
        {TRIBUTARY__V1__START__POSITIONS__UNNAMED__UNNAMED_EARLIEST, true, STORED_EARLIEST, false},
        {TRIBUTARY__V1__START__POSITIONS__UNNAMED__UNNAMED_EARLIEST, false, STORED_EARLIEST, true},
    };
    struct buf token = {0};

    write_token(&token);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct positions_input at;
        struct input *input = input_at(&at, rows[i].has_token ? &token : NULL, "@orders");
        struct subscribe_request request;

        at.positions.unnamed = rows[i].unnamed;
        accept(input, &request);
        cr_expect_eq(request.params.stored_start, rows[i].start, "row %zu", i);
        cr_expect_eq(request.params.resume_others_live, rows[i].others_live, "row %zu", i);
        subscribe_request_fini(&request);
    }
    buf_fini(&token);
}

Test(subscribe_request, ends_when_it_has_caught_up_only_where_there_are_topics)
{
    struct input *input = input_new();
    struct subscribe_request request;
    struct fault fault = {0};

    input->message.end_when = TRIBUTARY__V1__END_WHEN__END_WHEN_CAUGHT_UP;
    accept(input, &request);
    cr_expect(request.params.end_when_caught_up);
    cr_expect_not(request.params.end_when_all_ended);
    cr_expect_eq(subscribe_request_check_topics(&request, true, &fault), FAULT_NONE);
    cr_expect_eq(subscribe_request_check_topics(&request, false, &fault), FAULT_OUT_OF_BOUNDS);
    cr_expect_str_eq(fault.field, "end_when");
    request.params.end_when_caught_up = false;
    cr_expect_eq(subscribe_request_check_topics(&request, false, &fault), FAULT_NONE);
    subscribe_request_fini(&request);
}
