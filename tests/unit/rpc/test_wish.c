/* test_wish.c - every setting of a SubscribeRequest: its default, both sides of its bounds, and
 * what a refusal says. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/events.h"
#include "server/rpc/rpc_internal.h"
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
    struct subscribe_request checked = {.linger_ns = 77};
    struct fault fault = {0};
    enum fault_reason got = subscribe_request_read(&request->message.base, &checked, &fault);

    cr_expect_eq(got, reason, "%s: %s instead of %s", field, fault_reason_name(got),
                 fault_reason_name(reason));
    cr_expect_str_eq(fault.field, field);
    cr_expect_str_eq(fault.value, value, "%s: %s", field, fault.value);
    cr_expect_eq(checked.linger_ns, 77, "a refusal leaves the wish alone");
    free(request);
}

static void taken(struct request *request, struct subscribe_request *checked)
{
    struct fault fault = {0};

    cr_expect_eq(subscribe_request_read(&request->message.base, checked, &fault), FAULT_NONE, "%s: %s",
                 fault.field, fault_reason_name(fault.reason));
    free(request);
}

Test(checked, what_is_not_said_has_the_documented_default)
{
    struct subscribe_request checked;

    taken(request_new(), &checked);
    cr_expect_not_null(checked.hub.filter);
    cr_expect_eq(checked.hub.limits.max_events, 1024);
    cr_expect_eq(checked.hub.limits.max_bytes, 4 << 20);
    cr_expect_eq(checked.hub.limits.max_age_ns, 0);
    cr_expect_eq(checked.hub.limits.overflow, OVERFLOW_BY_FEED);
    cr_expect_eq(checked.hub.limits.fallback, OVERFLOW_DROP_OLDEST);
    cr_expect_eq(checked.hub.limits.block_timeout_ns, 100 * NS_PER_MS);
    cr_expect_eq(checked.linger_ns, 500 * NS_PER_US);
    cr_expect_eq(checked.batch_events, 4096);
    cr_expect_eq(checked.batch_bytes, 256 << 10);
    cr_expect_eq(checked.heartbeat_ns, 10 * NS_PER_S);
    cr_expect(checked.states);
    cr_expect_null(checked.hub.resume);
    cr_expect_eq(checked.hub.name.size, 0);
    subscribe_request_fini(&checked);
}

/* Numbers: where they are, their greatest, and what is refused. */
struct number {
    size_t offset; /* within struct request */
    size_t size;
    uint64_t max;
    const char *field;
};

static void number_set(struct request *request, const struct number *number, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;

    memcpy((char *)request + number->offset, number->size == 4 ? (void *)&narrow : (void *)&value,
           number->size);
    request->message.buffer = &request->buffer;
}

Test(checked, numbers_are_taken_up_to_their_bound_and_refused_beyond_it)
{
    static const struct number numbers[] = {
        {offsetof(struct request, buffer.max_events), 4, 1048576, "buffer.max_events"},
        {offsetof(struct request, buffer.max_bytes), 8, 268435456, "buffer.max_bytes"},
        {offsetof(struct request, message.max_batch_events), 4, 65536, "max_batch_events"},
        {offsetof(struct request, message.max_batch_bytes), 4, 1048576, "max_batch_bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct request *request = request_new();
        struct subscribe_request checked;
        char value[32];

        number_set(request, &numbers[i], numbers[i].max);
        taken(request, &checked);
        cr_expect(checked.hub.limits.max_events == numbers[i].max ||
                  checked.hub.limits.max_bytes == numbers[i].max || checked.batch_events == numbers[i].max ||
                  checked.batch_bytes == numbers[i].max);
        subscribe_request_fini(&checked);
        request = request_new();
        number_set(request, &numbers[i], 1);
        taken(request, &checked);
        subscribe_request_fini(&checked);
        request = request_new();
        number_set(request, &numbers[i], numbers[i].max + 1);
        snprintf(value, sizeof value, "%llu", (unsigned long long)numbers[i].max + 1);
        refused(request, FAULT_OUT_OF_BOUNDS, numbers[i].field, value);
    }
}

struct duration {
    size_t offset; /* of the pointer, within struct request */
    int64_t min_ns, max_ns;
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

Test(checked, durations_are_taken_within_their_bounds_and_refused_beyond_them)
{
    static const struct duration durations[] = {
        {offsetof(struct request, buffer.max_age), 1, 86400 * NS_PER_S, "buffer.max_age"},
        {offsetof(struct request, buffer.block_timeout), 1, 3600 * NS_PER_S, "buffer.block_timeout"},
        {offsetof(struct request, message.linger), 1, NS_PER_S, "linger"},
        {offsetof(struct request, message.heartbeat_interval), 100 * NS_PER_MS, 3600 * NS_PER_S,
         "heartbeat_interval"},
    };

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        const int64_t good[] = {0, durations[i].min_ns, durations[i].max_ns};
        const int64_t bad[] = {durations[i].max_ns + 1, durations[i].min_ns - 1};
        char value[32];

        for (size_t j = 0; j < ARRAY_LEN(good); j++) {
            struct subscribe_request checked;

            taken(with_duration(&durations[i], good[j]), &checked);
            cr_expect(checked.hub.limits.max_age_ns == good[j] ||
                      checked.hub.limits.block_timeout_ns == good[j] || checked.linger_ns == good[j] ||
                      checked.heartbeat_ns == good[j]);
            subscribe_request_fini(&checked);
        }
        for (size_t j = 0; j < ARRAY_LEN(bad) && bad[j] > 0; j++) {
            snprintf(value, sizeof value, "%lld.%09lld s", (long long)(bad[j] / NS_PER_S),
                     (long long)(bad[j] % NS_PER_S));
            refused(with_duration(&durations[i], bad[j]), FAULT_OUT_OF_BOUNDS, durations[i].field, value);
        }
        refused(with_duration(&durations[i], -NS_PER_S), FAULT_BAD_DURATION, durations[i].field,
                "-1.000000000 s");
    }
}

Test(checked, every_policy_is_read_and_a_fallback_may_not_block)
{
    for (unsigned overflow = 0; overflow <= 5; overflow++) {
        struct request *request = request_new();
        struct subscribe_request checked;

        request->message.buffer = &request->buffer;
        request->buffer.overflow = (Tributary__V1__Overflow)overflow;
        bool falls = overflow != OVERFLOW_BLOCK && overflow != OVERFLOW_LATEST_PER_KEY;
        request->buffer.fallback =
            falls ? (Tributary__V1__Overflow)overflow : TRIBUTARY__V1__OVERFLOW__OVERFLOW_DROP_NEWEST;
        taken(request, &checked);
        cr_expect_eq(checked.hub.limits.overflow, overflow);
        cr_expect_eq(checked.hub.limits.fallback, !falls         ? OVERFLOW_DROP_NEWEST
                                                  : overflow > 0 ? overflow
                                                                 : OVERFLOW_DROP_OLDEST);
        subscribe_request_fini(&checked);
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

Test(checked, a_name_is_printable_and_at_most_256_bytes)
{
    char name[258];
    struct request *request = request_new();
    struct subscribe_request checked;

    memset(name, 'n', sizeof name);
    name[256] = '\0';
    request->message.name = name;
    taken(request, &checked);
    cr_expect_eq(checked.hub.name.size, 256);
    subscribe_request_fini(&checked);

    name[256] = 'n';
    name[257] = '\0';
    request = request_new();
    request->message.name = name;
    struct fault fault;

    cr_expect_eq(subscribe_request_read(&request->message.base, &checked, &fault), FAULT_TOO_LONG);
    cr_expect_str_eq(fault.field, "name");
    free(request);
    request = request_new();
    request->message.name = (char *)"a\nb";
    refused(request, FAULT_BAD_NAME, "name", "\"a\\nb\"");
}

Test(checked, request_bytes_are_at_most_64_kib)
{
    struct request *request = request_new();
    uint8_t *bytes = calloc(1, 65537);
    struct subscribe_request checked;

    request->message.request = (ProtobufCBinaryData){65536, bytes};
    taken(request, &checked);
    subscribe_request_fini(&checked);
    request = request_new();
    request->message.request = (ProtobufCBinaryData){65537, bytes};
    refused(request, FAULT_TOO_LONG, "request", "65537");
    free(bytes);
}

Test(checked, notices_may_be_turned_off)
{
    struct request *request = request_new();
    struct subscribe_request checked;

    request->message.notices = TRIBUTARY__V1__NOTICES__NOTICES_ALL;
    taken(request, &checked);
    cr_expect(checked.states);
    subscribe_request_fini(&checked);
    request = request_new();
    request->message.notices = TRIBUTARY__V1__NOTICES__NOTICES_NONE;
    taken(request, &checked);
    cr_expect_not(checked.states);
    subscribe_request_fini(&checked);
}

Test(checked, selectors_reach_the_filter_with_all_their_fields)
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
    struct subscribe_request checked;

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
    taken(request, &checked);

    cr_expect_eq(filter_producer(checked.hub.filter, text_of("db-1"), NULL, 0).answer, FILTER_NONE);
    part = filter_producer(checked.hub.filter, text_of("web-1"), NULL, 0);
    cr_assert_eq(part.answer, FILTER_BY_EVENT);
    put_event(&bytes, &event, &header, 1);
    event_view((struct bytes){bytes.data, bytes.size}, &view);
    cr_expect(filter_event(checked.hub.filter, &part, &view));
    buf_clear(&bytes);
    put_event(&bytes, &event, NULL, 0);
    event_view((struct bytes){bytes.data, bytes.size}, &view);
    cr_expect_not(filter_event(checked.hub.filter, &part, &view), "the header is missing");
    buf_fini(&bytes);
    subscribe_request_fini(&checked);
}

Test(checked, bad_selectors_are_refused_by_their_path)
{
    struct request *request = request_new();
    Tributary__V1__Selector second = TRIBUTARY__V1__SELECTOR__INIT;
    Tributary__V1__Selector *both[] = {&request->selector, &second};
    Tributary__V1__Selector *many[65];
    struct fault fault;
    struct subscribe_request checked;

    request->message.n_selectors = 0;
    cr_expect_eq(subscribe_request_read(&request->message.base, &checked, &fault), FAULT_EMPTY);
    cr_expect_str_eq(fault.field, "selectors");
    request->message.n_selectors = 2;
    request->message.selectors = both;
    cr_expect_eq(subscribe_request_read(&request->message.base, &checked, &fault), FAULT_EMPTY);
    cr_expect_str_eq(fault.field, "selectors[1]");
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = &request->selector;
    request->message.selectors = many;
    request->message.n_selectors = 64;
    cr_expect_eq(subscribe_request_read(&request->message.base, &checked, &fault), FAULT_NONE);
    subscribe_request_fini(&checked);
    request->message.n_selectors = 65;
    cr_expect_eq(subscribe_request_read(&request->message.base, &checked, &fault), FAULT_TOO_MANY);
    cr_expect_str_eq(fault.field, "selectors");
    free(request);
}

static void readable(void *ctx)
{
    (void)ctx; /* nobody takes */
}

Test(checked, a_stream_begins_live_or_where_a_token_says)
{
    struct request *request = request_new();
    struct chan_limits limits = {.max_events = 1, .max_bytes = 1, .overflow = OVERFLOW_DROP_OLDEST};
    struct chan *chan = chan_new(&limits, &(struct chan_callbacks){.readable = readable});
    struct buf token = {0};
    struct subscribe_request checked;

    request->message.start = &request->start;
    request->start.at_case = TRIBUTARY__V1__START__AT_LIVE;
    taken(request, &checked);
    cr_expect_null(checked.hub.resume);
    subscribe_request_fini(&checked);

    token_write(chan, &token);
    request = request_new();
    request->message.start = &request->start;
    request->start.at_case = TRIBUTARY__V1__START__AT_RESUME;
    request->start.resume = (ProtobufCBinaryData){token.size, token.data};
    taken(request, &checked);
    cr_expect_not_null(checked.hub.resume, "a token without positions is not the same as no token");
    cr_expect_eq(checked.hub.resume_count, 0);
    cr_expect_eq(checked.hub.resume_left_out, 0);
    subscribe_request_fini(&checked);

    request = request_new();
    request->message.start = &request->start;
    request->start.at_case = TRIBUTARY__V1__START__AT_RESUME;
    request->start.resume = (ProtobufCBinaryData){2, token.data};
    refused(request, FAULT_BAD_TOKEN, "start.resume", "\"R\\x01\"");
    buf_fini(&token);
    chan_release(chan);
}

Test(checked, settings_say_what_is_in_force)
{
    struct subscribe_request checked;
    struct buf block = {0};
    Tributary__V1__Settings *settings;

    taken(request_new(), &checked);
    settings_write(&checked, 7, &block);
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
    subscribe_request_fini(&checked);
}
