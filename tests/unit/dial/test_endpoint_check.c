/* test_endpoint_check.c - what an endpoint may be: addresses, methods, metadata, times. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "server/dial/endpoint_check.h"

static const struct {
    const char *address;
    enum place_kind kind;
    const char *text;
    uint16_t port;
} good[] = {
    {"example.org:80", PLACE_NAME, "example.org", 80},
    {"dns:example.org:80", PLACE_NAME, "example.org", 80},
    {"dns:///example.org:80", PLACE_NAME, "example.org", 80},
    {"dns:127.0.0.1:80", PLACE_IPV4, "127.0.0.1", 80},
    {"ipv4:127.0.0.1:65535", PLACE_IPV4, "127.0.0.1", 65535},
    {"127.0.0.1:1", PLACE_IPV4, "127.0.0.1", 1},
    {"[::1]:7", PLACE_IPV6, "::1", 7},
    {"ipv6:[::1]:7", PLACE_IPV6, "::1", 7},
    {"unix:/run/x", PLACE_UNIX, "/run/x", 0},
    {"unix:///run/x", PLACE_UNIX, "/run/x", 0},
    {"unix:relative", PLACE_UNIX, "relative", 0},
    {"unix-abstract:name", PLACE_ABSTRACT, "name", 0},
};

static const char *const bad[] = {
    "",      "host",        "host:",        "host:0",      "host:65536",     "1.2.3:80",
    "[::1]", "::1:80",      "ipv4:[::1]:1", "ipv4:host:1", "ipv6:1.2.3.4:5", "ipv6:host:1",
    "dns:",  "dns:unix:/x", "unix:",        "foo:host:1",  "127.0.0.1"};

Test(endpoint_check, addresses)
{
    struct place place;
    struct fault fault;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        cr_assert_eq(endpoint_place(good[i].address, &place, &fault), FAULT_NONE, "%s: %s", good[i].address,
                     fault.bound);
        cr_assert_eq(place.kind, good[i].kind, "%s", good[i].address);
        cr_assert_str_eq(place.text, good[i].text);
        cr_assert_eq(place.port, good[i].port);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        enum fault_reason reason = endpoint_place(bad[i], &place, &fault);

        cr_assert_eq(reason, bad[i][0] ? FAULT_BAD_ADDRESS : FAULT_EMPTY, "%s", bad[i]);
        cr_assert_str_eq(fault.field, "endpoint.address");
    }
}

Test(endpoint_check, a_long_path_of_a_socket_is_refused)
{
    char address[300] = "unix:///";
    struct place place;
    struct fault fault;

    memset(address + 8, 'x', 250);
    cr_assert_eq(endpoint_place(address, &place, &fault), FAULT_BAD_ADDRESS);
}

static struct bytes of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct endpoint_params sound(void)
{
    return (struct endpoint_params){.name = of("name"),
                                    .address = "host:1",
                                    .method = "/a.B/C",
                                    .authority = "",
                                    .key_field = "",
                                    .time_field = "",
                                    .mode = SESSION_SHARED,
                                    .restart = RESTART_ALWAYS,
                                    .backoff_ns = NS_PER_S,
                                    .max_backoff_ns = NS_PER_S,
                                    .connect_timeout_ns = NS_PER_S};
}

static void refuses(const struct endpoint_params *params, enum fault_reason reason, const char *field)
{
    struct fault fault;

    cr_assert_eq(endpoint_check(params, &fault), reason, "%s", field);
    cr_assert_str_eq(fault.field, field);
}

Test(endpoint_check, methods)
{
    static const char *const methods[] = {"",    "a.B/C",    "/a.B",     "/a.B/",
                                          "//C", "/a.B/C/D", "/a.B/C D", "/a/\n"};
    struct endpoint_params params = sound();
    struct fault fault;

    cr_assert_eq(endpoint_check(&params, &fault), FAULT_NONE);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        params.method = methods[i];
        refuses(&params, FAULT_BAD_METHOD, "endpoint.method");
    }
}

Test(endpoint_check, metadata_that_a_call_may_not_carry)
{
    static const char *const keys[] = {"",           ":path",        "Upper",      "te",
                                       "host",       "grpc-timeout", "a b",        "x-bin",
                                       "user-agent", "content-type", "connection", "k\xc3\xa4"};
    struct endpoint_params params = sound();
    struct pair pair = {of("key"), of("a value")};
    struct fault fault;

    params.metadata = &pair;
    params.metadata_count = 1;
    cr_assert_eq(endpoint_check(&params, &fault), FAULT_NONE);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        pair.name = of(keys[i]);
        refuses(&params, FAULT_BAD_METADATA, "endpoint.metadata");
    }
    pair = (struct pair){of("key"), of("line\nbreak")};
    refuses(&params, FAULT_BAD_METADATA, "endpoint.metadata");
}

Test(endpoint_check, times_at_their_bounds)
{
    struct endpoint_params params = sound();
    struct fault fault;

    params.backoff_ns = 10 * NS_PER_MS;
    params.connect_timeout_ns = 3600 * NS_PER_S;
    params.idle_timeout_ns = 24 * 3600 * NS_PER_S;
    cr_assert_eq(endpoint_check(&params, &fault), FAULT_NONE);
    params.backoff_ns--;
    refuses(&params, FAULT_OUT_OF_BOUNDS, "endpoint.backoff");
    params = sound();
    params.idle_timeout_ns = 24 * 3600 * NS_PER_S + 1;
    refuses(&params, FAULT_OUT_OF_BOUNDS, "endpoint.idle_timeout");
}

Test(endpoint_check, serve_is_for_per_consumer_and_then_a_method_is_optional)
{
    const struct bytes serve[] = {of("/a.B/C"), of("/a.B/*,answer=first-ok")};
    struct endpoint_params params = sound();
    struct fault fault;

    params.serve = serve;
    params.serve_count = 2;
    refuses(&params, FAULT_UNSUPPORTED, "endpoint.activation");
    params.mode = SESSION_PER_CONSUMER;
    cr_assert_eq(endpoint_check(&params, &fault), FAULT_NONE);
    params.method = "";
    cr_assert_eq(endpoint_check(&params, &fault), FAULT_NONE);
    params.method = "a";
    refuses(&params, FAULT_BAD_METHOD, "endpoint.method");
}

Test(endpoint_check, the_bounds_of_serve)
{
    static struct bytes serve[65];
    static char texts[65][321];
    struct endpoint_params params = sound();
    struct fault fault;

    params.mode = SESSION_PER_CONSUMER;
    params.serve = serve;
    for (size_t i = 0; i < 65; i++) {
        snprintf(texts[i], sizeof(texts[i]), "/a.B/%0123zu", i);
        serve[i] = of(texts[i]);
    }
    params.serve_count = 64;
    cr_assert_eq(endpoint_check(&params, &fault), FAULT_NONE);
    params.serve_count = 65;
    refuses(&params, FAULT_TOO_MANY, "endpoint.serve");
    snprintf(texts[0], sizeof(texts[0]), "/a.B/%0200d", 1);
    serve[0] = of(texts[0]);
    params.serve_count = 64;
    refuses(&params, FAULT_TOO_LONG, "endpoint.serve");
    serve[0] = of("/a.B/C,answer=some");
    params.serve_count = 1;
    refuses(&params, FAULT_BAD_METHOD, "endpoint.serve");
}

Test(endpoint_check, the_lists_of_metadata_of_serve)
{
    static const char *const wrong[] = {"",      "*",     "Upper",  "te",  "authorization", "a*b",
                                        ":path", "grpc-", "grpc-*", "a b", "user-agent",    "tributary-end"};
    const struct bytes serve = of("/a.B/C"), names[] = {of("x-trace"), of("x-*"), of("trace-bin")};
    struct endpoint_params params = sound();
    struct fault fault;

    params.mode = SESSION_PER_CONSUMER;
    params.serve_request_metadata = names;
    params.serve_request_metadata_count = ARRAY_LEN(names);
    refuses(&params, FAULT_EMPTY, "endpoint.serve");
    params.serve = &serve;
    params.serve_count = 1;
    cr_assert_eq(endpoint_check(&params, &fault), FAULT_NONE);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const struct bytes name = of(wrong[i]);

        params.serve_answer_metadata = &name;
        params.serve_answer_metadata_count = 1;
        refuses(&params, FAULT_BAD_METADATA, "endpoint.serve_answer_metadata");
    }
}
