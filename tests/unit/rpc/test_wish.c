/* test_wish.c - every setting of a SubscribeRequest: its default, both sides of its bounds, and what a refusal says. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/events.h"
#include "server/rpc/ask.h"
#include "tributary/v1/subscriber.pb-c.h"

/* A request with one selector for everything, and room for its parts. */
struct request {
    Tributary__V1__SubscribeRequest message;
    Tributary__V1__Selector selector;
    Tributary__V1__Selector *selectors[1];
    Tributary__V1__Buffer buffer;
    Tributary__V1__Start start;
    Google__Protobuf__Duration duration;
};

static struct request *request_new(void)
{
    struct request *request = calloc(1, sizeof *request);

    tributary__v1__subscribe_request__init(&request->message);
    tributary__v1__selector__init(&request->selector);
    tributary__v1__buffer__init(&request->buffer);
    tributary__v1__start__init(&request->start);
    google__protobuf__duration__init(&request->duration);
    request->selector.producer = (char *)"*";
    request->selectors[0] = &request->selector;
    request->message.n_selectors = 1;
    request->message.selectors = request->selectors;
    return request;
}

static void refused(struct request *request, enum fault_reason reason, const char *field, const char *value)
{
    struct wish wish = {.linger_ns = 77};
    struct fault fault = {0};
    enum fault_reason got = wish_read(&request->message.base, &wish, &fault);

    cr_expect_eq(got, reason, "%s: %s instead of %s", field, fault_reason_name(got), fault_reason_name(reason));
    cr_expect_str_eq(fault.field, field);
    cr_expect_str_eq(fault.value, value, "%s: %s", field, fault.value);
    cr_expect_eq(wish.linger_ns, 77, "a refusal leaves the wish alone");
    free(request);
}

static void taken(struct request *request, struct wish *wish)
{
    struct fault fault = {0};

    cr_expect_eq(wish_read(&request->message.base, wish, &fault), FAULT_NONE, "%s: %s", fault.field, fault_reason_name(fault.reason));
    free(request);
}

Test(wish, what_is_not_said_has_the_documented_default)
{
    struct wish wish;

    taken(request_new(), &wish);
    cr_expect_not_null(wish.hub.filter);
    cr_expect_eq(wish.hub.limits.max_events, 1024);
    cr_expect_eq(wish.hub.limits.max_bytes, 4 << 20);
    cr_expect_eq(wish.hub.limits.max_age_ns, 0);
    cr_expect_eq(wish.hub.limits.overflow, OVERFLOW_BY_FEED);
    cr_expect_eq(wish.hub.limits.fallback, OVERFLOW_DROP_OLDEST);
    cr_expect_eq(wish.hub.limits.block_timeout_ns, 100 * NS_PER_MS);
    cr_expect_eq(wish.linger_ns, 500 * NS_PER_US);
    cr_expect_eq(wish.batch_events, 4096);
    cr_expect_eq(wish.batch_bytes, 256 << 10);
    cr_expect_eq(wish.heartbeat_ns, 10 * NS_PER_S);
    cr_expect(wish.states);
    cr_expect_null(wish.hub.resume);
    cr_expect_eq(wish.hub.name.size, 0);
    wish_fini(&wish);
}

/* Numbers: where they are, their greatest, and what is refused. */
struct number {
    size_t offset; /* within struct request */
    size_t size;
    uint64_t most;
    const char *field;
};

static void number_set(struct request *request, const struct number *number, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;

    memcpy((char *)request + number->offset, number->size == 4 ? (void *)&narrow : (void *)&value, number->size);
    request->message.buffer = &request->buffer;
}

Test(wish, numbers_are_taken_up_to_their_bound_and_refused_beyond_it)
{
    static const struct number numbers[] = {
        {offsetof(struct request, buffer.max_events), 4, 1048576, "buffer.max_events"},
        {offsetof(struct request, buffer.max_bytes), 8, 268435456, "buffer.max_bytes"},
        {offsetof(struct request, message.max_batch_events), 4, 65536, "max_batch_events"},
        {offsetof(struct request, message.max_batch_bytes), 4, 1048576, "max_batch_bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct request *request = request_new();
        struct wish wish;
        char value[32];

        number_set(request, &numbers[i], numbers[i].most);
        taken(request, &wish);
        cr_expect(wish.hub.limits.max_events == numbers[i].most || wish.hub.limits.max_bytes == numbers[i].most ||
                  wish.batch_events == numbers[i].most || wish.batch_bytes == numbers[i].most);
        wish_fini(&wish);
        request = request_new();
        number_set(request, &numbers[i], 1);
        taken(request, &wish);
        wish_fini(&wish);
        request = request_new();
        number_set(request, &numbers[i], numbers[i].most + 1);
        snprintf(value, sizeof value, "%llu", (unsigned long long)numbers[i].most + 1);
        refused(request, FAULT_OUT_OF_BOUNDS, numbers[i].field, value);
    }
}

struct duration {
    size_t offset; /* of the pointer, within struct request */
    int64_t least_ns, most_ns;
    const char *field;
};

static struct request *with_duration(const struct duration *duration, int64_t ns)
{
    struct request *request = request_new();
    Google__Protobuf__Duration *pointer = &request->duration;

    pointer->seconds = ns / NS_PER_S;
    pointer->nanos = (int32_t)(ns % NS_PER_S);
    memcpy((char *)request + duration->offset, &pointer, sizeof pointer);
    request->message.buffer = &request->buffer;
    return request;
}

Test(wish, durations_are_taken_within_their_bounds_and_refused_beyond_them)
{
    static const struct duration durations[] = {
        {offsetof(struct request, buffer.max_age), 1, 86400 * NS_PER_S, "buffer.max_age"},
        {offsetof(struct request, buffer.block_timeout), 1, 3600 * NS_PER_S, "buffer.block_timeout"},
        {offsetof(struct request, message.linger), 1, NS_PER_S, "linger"},
        {offsetof(struct request, message.heartbeat_interval), 100 * NS_PER_MS, 3600 * NS_PER_S, "heartbeat_interval"},
    };

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        const int64_t good[] = {0, durations[i].least_ns, durations[i].most_ns};
        const int64_t bad[] = {durations[i].most_ns + 1, durations[i].least_ns - 1};
        char value[32];

        for (size_t j = 0; j < ARRAY_LEN(good); j++) {
            struct wish wish;

            taken(with_duration(&durations[i], good[j]), &wish);
            cr_expect(wish.hub.limits.max_age_ns == good[j] || wish.hub.limits.block_timeout_ns == good[j] || wish.linger_ns == good[j] ||
                      wish.heartbeat_ns == good[j]);
            wish_fini(&wish);
        }
        for (size_t j = 0; j < ARRAY_LEN(bad) && bad[j] > 0; j++) {
            snprintf(value, sizeof value, "%lld.%09lld s", (long long)(bad[j] / NS_PER_S), (long long)(bad[j] % NS_PER_S));
            refused(with_duration(&durations[i], bad[j]), FAULT_OUT_OF_BOUNDS, durations[i].field, value);
        }
        refused(with_duration(&durations[i], -NS_PER_S), FAULT_BAD_DURATION, durations[i].field, "-1.000000000 s");
    }
}

Test(wish, every_policy_is_read_and_a_fallback_may_not_block)
{
    for (unsigned overflow = 0; overflow <= 5; overflow++) {
        struct request *request = request_new();
        struct wish wish;

        request->message.buffer = &request->buffer;
        request->buffer.overflow = (Tributary__V1__Overflow)overflow;
        bool falls = overflow != OVERFLOW_BLOCK && overflow != OVERFLOW_LATEST_PER_KEY;
        request->buffer.fallback = falls ? (Tributary__V1__Overflow)overflow : TRIBUTARY__V1__OVERFLOW__OVERFLOW_DROP_NEWEST;
        taken(request, &wish);
        cr_expect_eq(wish.hub.limits.overflow, overflow);
        cr_expect_eq(wish.hub.limits.fallback, !falls ? OVERFLOW_DROP_NEWEST : overflow > 0 ? overflow : OVERFLOW_DROP_OLDEST);
        wish_fini(&wish);
    }
    struct request *request = request_new();

    request->message.buffer = &request->buffer;
    request->buffer.fallback = TRIBUTARY__V1__OVERFLOW__OVERFLOW_BLOCK;
    refused(request, FAULT_OUT_OF_BOUNDS, "buffer.fallback", "\"OVERFLOW_BLOCK\"");

    request = request_new();
    request->message.buffer = &request->buffer;
    request->buffer.fallback = TRIBUTARY__V1__OVERFLOW__OVERFLOW_LATEST_PER_KEY;
    refused(request, FAULT_OUT_OF_BOUNDS, "buffer.fallback", "\"OVERFLOW_LATEST_PER_KEY\"");
}

Test(wish, a_name_is_printable_and_at_most_256_bytes)
{
    char name[258];
    struct request *request = request_new();
    struct wish wish;

    memset(name, 'n', sizeof name);
    name[256] = '\0';
    request->message.name = name;
    taken(request, &wish);
    cr_expect_eq(wish.hub.name.size, 256);
    wish_fini(&wish);

    name[256] = 'n';
    name[257] = '\0';
    request = request_new();
    request->message.name = name;
    struct fault fault;

    cr_expect_eq(wish_read(&request->message.base, &wish, &fault), FAULT_TOO_LONG);
    cr_expect_str_eq(fault.field, "name");
    free(request);
    request = request_new();
    request->message.name = (char *)"a\nb";
    refused(request, FAULT_BAD_NAME, "name", "\"a\\nb\"");
}

Test(wish, request_bytes_are_at_most_64_kib)
{
    struct request *request = request_new();
    uint8_t *bytes = calloc(1, 65537);
    struct wish wish;

    request->message.request = (ProtobufCBinaryData){65536, bytes};
    taken(request, &wish);
    wish_fini(&wish);
    request = request_new();
    request->message.request = (ProtobufCBinaryData){65537, bytes};
    refused(request, FAULT_TOO_LONG, "request", "65537");
    free(bytes);
}

Test(wish, notices_may_be_turned_off)
{
    struct request *request = request_new();
    struct wish wish;

    request->message.notices = TRIBUTARY__V1__NOTICES__NOTICES_ALL;
    taken(request, &wish);
    cr_expect(wish.states);
    wish_fini(&wish);
    request = request_new();
    request->message.notices = TRIBUTARY__V1__NOTICES__NOTICES_NONE;
    taken(request, &wish);
    cr_expect_not(wish.states);
    wish_fini(&wish);
}

Test(wish, selectors_reach_the_filter_with_all_their_fields)
{
    struct request *request = request_new();
    Tributary__V1__Selector__Pair pair = TRIBUTARY__V1__SELECTOR__PAIR__INIT;
    Tributary__V1__Selector__Pair *pairs[] = {&pair};
    Tributary__V1__Selector exclude = TRIBUTARY__V1__SELECTOR__INIT;
    Tributary__V1__Selector *excludes[] = {&exclude};
    char *keys[] = {(char *)"k1", (char *)"k*"};
    struct pair header = {text_of("h"), text_of("value")};
    struct event_view event = {.topic = text_of("news"), .key = text_of("k9"), .type = text_of("t")};
    struct buf bytes = {0};
    struct filter_part part;
    struct event_view view;
    struct wish wish;

    pair.name = (char *)"h";
    pair.value = (char *)"v*";
    exclude.topic = (char *)"secret";
    request->selector.producer = (char *)"web-*";
    request->selector.topic = (char *)"ne?s";
    request->selector.n_keys = 2;
    request->selector.keys = keys;
    request->selector.n_headers = 1;
    request->selector.headers = pairs;
    request->message.n_exclude = 1;
    request->message.exclude = excludes;
    taken(request, &wish);

    cr_expect_eq(filter_producer(wish.hub.filter, text_of("db-1"), NULL, 0).answer, FILTER_NONE);
    part = filter_producer(wish.hub.filter, text_of("web-1"), NULL, 0);
    cr_assert_eq(part.answer, FILTER_ASK);
    put_event(&bytes, &event, &header, 1);
    event_view((struct bytes){bytes.at, bytes.size}, &view);
    cr_expect(filter_event(wish.hub.filter, &part, &view));
    buf_clear(&bytes);
    put_event(&bytes, &event, NULL, 0);
    event_view((struct bytes){bytes.at, bytes.size}, &view);
    cr_expect_not(filter_event(wish.hub.filter, &part, &view), "the header is missing");
    buf_fini(&bytes);
    wish_fini(&wish);
}

Test(wish, bad_selectors_are_refused_by_their_path)
{
    struct request *request = request_new();
    Tributary__V1__Selector second = TRIBUTARY__V1__SELECTOR__INIT;
    Tributary__V1__Selector *both[] = {&request->selector, &second};
    Tributary__V1__Selector *many[65];
    struct fault fault;
    struct wish wish;

    request->message.n_selectors = 0;
    cr_expect_eq(wish_read(&request->message.base, &wish, &fault), FAULT_EMPTY);
    cr_expect_str_eq(fault.field, "selectors");
    request->message.n_selectors = 2;
    request->message.selectors = both;
    cr_expect_eq(wish_read(&request->message.base, &wish, &fault), FAULT_EMPTY);
    cr_expect_str_eq(fault.field, "selectors[1]");
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = &request->selector;
    request->message.selectors = many;
    request->message.n_selectors = 64;
    cr_expect_eq(wish_read(&request->message.base, &wish, &fault), FAULT_NONE);
    wish_fini(&wish);
    request->message.n_selectors = 65;
    cr_expect_eq(wish_read(&request->message.base, &wish, &fault), FAULT_TOO_MANY);
    cr_expect_str_eq(fault.field, "selectors");
    free(request);
}

static void readable(void *ctx)
{
    (void)ctx; /* nobody takes */
}

Test(wish, a_stream_begins_live_or_where_a_token_says)
{
    struct request *request = request_new();
    struct chan_limits limits = {.max_events = 1, .max_bytes = 1, .overflow = OVERFLOW_DROP_OLDEST};
    struct chan *chan = chan_new(&limits, &(struct chan_watch){.readable = readable});
    struct buf token = {0};
    struct wish wish;

    request->message.start = &request->start;
    request->start.at_case = TRIBUTARY__V1__START__AT_LIVE;
    taken(request, &wish);
    cr_expect_null(wish.hub.resume);
    wish_fini(&wish);

    token_write(chan, &token);
    request = request_new();
    request->message.start = &request->start;
    request->start.at_case = TRIBUTARY__V1__START__AT_RESUME;
    request->start.resume = (ProtobufCBinaryData){token.size, token.at};
    taken(request, &wish);
    cr_expect_not_null(wish.hub.resume, "a token without positions is not the same as no token");
    cr_expect_eq(wish.hub.resume_count, 0);
    cr_expect_eq(wish.hub.resume_left_out, 0);
    wish_fini(&wish);

    request = request_new();
    request->message.start = &request->start;
    request->start.at_case = TRIBUTARY__V1__START__AT_RESUME;
    request->start.resume = (ProtobufCBinaryData){2, token.at};
    refused(request, FAULT_BAD_TOKEN, "start.resume", "\"R\\x01\"");
    buf_fini(&token);
    chan_release(chan);
}

Test(wish, settings_say_what_is_in_force)
{
    struct wish wish;
    struct buf block = {0};
    Tributary__V1__Settings *settings;

    taken(request_new(), &wish);
    settings_write(&wish, 7, &block);
    settings = tributary__v1__settings__unpack(NULL, block.size, block.at);
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
    wish_fini(&wish);
}
