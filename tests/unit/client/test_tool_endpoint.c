/* test_tool_endpoint.c - what `producers add` makes of its command line, before it sends it. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/tool/cli.h"
#include "client/tool/endpoint_params.h"
#include "client/tool/exits.h"

struct settings {
    struct common common;
    struct endpoint_params params;
};

#define OFFSET(member) offsetof(struct settings, params.member)
static const struct option options[] = {
    {0, "request", OPTION_SERIES, "TEXT", OFFSET(requests), ""},
    {0, "request-file", OPTION_SERIES, "FILE", OFFSET(requests), ""},
    {0, "request-hex", OPTION_SERIES, "HEX", OFFSET(requests), ""},
    {0, "activation", OPTION_CHOICE, ACTIVATION_WORDS, OFFSET(activation), ""},
    {0, "restart", OPTION_CHOICE, RESTART_WORDS, OFFSET(restart), ""},
    {0, "metadata", OPTION_LIST, "NAME=VALUE", OFFSET(metadata), ""},
    {0, "label", OPTION_LIST, "NAME=VALUE", OFFSET(labels), ""},
    {0, "backoff", OPTION_DURATION, "DURATION", OFFSET(backoff_ns), ""},
    {0, "max-backoff", OPTION_DURATION, "DURATION", OFFSET(max_backoff_ns), ""},
    {0, "authority", OPTION_TEXT, "NAME", OFFSET(authority), ""},
    {0, "tls", OPTION_TEXT, "SETTING", OFFSET(tls), ""},
};
static const struct verb verb = {.name = "add",
                                 .arguments = "NAME ADDRESS [METHOD]",
                                 .max_arguments = 3,
                                 .summary = "s",
                                 .text = "",
                                 .options = options,
                                 .option_count = ARRAY_LEN(options)};

/* One command line, and what was read from it. */
struct line {
    struct settings settings;
    struct text_list arguments;
    struct endpoint_texts texts;
    int result;
};

static void read_line(struct line *line, size_t count, const char *const *words)
{
    *line = (struct line){.settings.params = ENDPOINT_PARAMS_INIT};
    cr_assert(cli_parse(&verb, (int)count, (char **)(uintptr_t)words, &line->settings, &line->arguments,
                        &line->result));
    line->result = endpoint_params_read(&verb, &line->settings.params, &line->arguments, &line->texts);
}

static void end_line(struct line *line)
{
    endpoint_texts_fini(&line->texts);
    cli_free(&verb, &line->settings, &line->arguments);
}

#define READ(line, ...)                                                                                      \
    read_line(line, ARRAY_LEN(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})
#define EXPECT_REFUSED(...)                                                                                  \
    do {                                                                                                     \
        struct line refused;                                                                                 \
        READ(&refused, __VA_ARGS__);                                                                         \
        cr_assert_eq(refused.result, EXITS_USAGE);                                                           \
        end_line(&refused);                                                                                  \
    } while (0)

static void expect_bytes(struct tributary_bytes bytes, const char *expected, size_t size)
{
    cr_assert_eq(bytes.size, size);
    cr_assert(size == 0 || memcmp(bytes.data, expected, size) == 0);
}

Test(tool_endpoint, requests_keep_their_order_and_their_bytes)
{
    char path[] = "/tmp/tributary-test-XXXXXX";
    const int fd = mkstemp(path);
    struct line line;

    cr_assert_eq(write(fd, "\0f\n", 3), 3);
    close(fd);
    READ(&line, "n", "a:1", "--request-hex", "00 ffA0", "--request", "x\n", "--request-file", path,
         "--request=", "--request-hex", "", "--request", "last");
    unlink(path);
    cr_assert_eq(line.result, EXITS_OK);
    cr_assert_eq(line.texts.endpoint.request_count, 6);
    expect_bytes(line.texts.endpoint.requests[0], "\0\xff\xa0", 3);
    expect_bytes(line.texts.endpoint.requests[1], "x\n", 2);
    expect_bytes(line.texts.endpoint.requests[2], "\0f\n", 3);
    expect_bytes(line.texts.endpoint.requests[3], "", 0);
    expect_bytes(line.texts.endpoint.requests[4], "", 0);
    expect_bytes(line.texts.endpoint.requests[5], "last", 4);
    end_line(&line);
}

Test(tool_endpoint, hex_is_whole_bytes)
{
    struct buf buf = {0};

    cr_assert(hex_read(&buf, " 0a 1B\n2c\t"));
    cr_assert_eq(buf.size, 3);
    cr_assert(memcmp(buf.data, "\x0a\x1b\x2c", 3) == 0);
    cr_assert_not(hex_read(&buf, "0"));
    cr_assert_not(hex_read(&buf, "0a0"));
    cr_assert_not(hex_read(&buf, "0 a"));
    cr_assert_not(hex_read(&buf, "0g"));
    cr_assert_not(hex_read(&buf, "0x0a"));
    buf_fini(&buf);
}

Test(tool_endpoint, too_many_or_too_long_requests_are_refused, .init = cr_redirect_stderr)
{
    const char *words[2 + 2 * (MAX_ENDPOINT_REQUESTS + 1)] = {"n", "a:1"};
    char path[] = "/tmp/tributary-test-XXXXXX";
    const int fd = mkstemp(path);
    struct line line;

    for (size_t i = 2; i < ARRAY_LEN(words); i += 2) {
        words[i] = "--request";
        words[i + 1] = "x";
    }
    read_line(&line, ARRAY_LEN(words) - 2, words);
    cr_assert_eq(line.result, EXITS_OK);
    end_line(&line);
    read_line(&line, ARRAY_LEN(words), words);
    cr_assert_eq(line.result, EXITS_USAGE);
    end_line(&line);

    cr_assert_eq(ftruncate(fd, MAX_REQUESTS_BYTES), 0);
    close(fd);
    READ(&line, "n", "a:1", "--request-file", path);
    cr_assert_eq(line.result, EXITS_OK);
    cr_assert_eq(line.texts.endpoint.requests[0].size, MAX_REQUESTS_BYTES);
    end_line(&line);
    EXPECT_REFUSED("n", "a:1", "--request", "x", "--request-file", path);
    unlink(path);
    EXPECT_REFUSED("n", "a:1", "--request-file", "-", "--request-file", "-");
    EXPECT_REFUSED("n", "a:1", "--request-hex", "0");
    READ(&line, "n", "a:1", "--request-file", path);
    cr_assert_eq(line.result, EXITS_ERROR, "it is not there any more");
    end_line(&line);
}

Test(tool_endpoint, what_was_not_given_is_the_default_of_the_server)
{
    struct line line;

    READ(&line, "n", "a:1");
    cr_assert_eq(line.result, EXITS_OK);
    const struct tributary_endpoint *endpoint = &line.texts.endpoint;
    cr_assert_str_eq(endpoint->name, "n");
    cr_assert_str_eq(endpoint->address, "a:1");
    cr_assert(!endpoint->method && !endpoint->authority && endpoint->request_count == 0);
    cr_assert(endpoint->half_close == 0 && endpoint->activation == 0 && endpoint->restart == 0);
    cr_assert(endpoint->decode == 0 && endpoint->backoff_ns == 0 && endpoint->idle_timeout_ns == 0);
    end_line(&line);
    READ(&line, "n", "a:1", "a.B/C", "--activation", "shared", "--restart", "never", "--label", "a=b=c",
         "--metadata", "x-y=", "--backoff", "31s", "--max-backoff", "31s");
    cr_assert_eq(line.result, EXITS_OK);
    cr_assert_str_eq(endpoint->method, "/a.B/C");
    cr_assert_eq(endpoint->activation, TRIBUTARY_ENDPOINT_SHARED);
    cr_assert_eq(endpoint->restart, TRIBUTARY_RESTART_NEVER);
    cr_assert_str_eq(endpoint->labels[0].name, "a");
    cr_assert_str_eq(endpoint->labels[0].value, "b=c");
    cr_assert_str_eq(endpoint->metadata[0].name, "x-y");
    cr_assert_str_eq(endpoint->metadata[0].value, "");
    end_line(&line);
}

Test(tool_endpoint, addresses_are_those_that_the_server_dials)
{
    static const char *const good[] = {"a:1",        "dns:a.b:65535",  "dns:///a:1",   "dns:127.0.0.1:1",
                                       "[::1]:1",    "ipv4:1.2.3.4:5", "ipv6:[::1]:5", "unix:/a",
                                       "unix:///a/b"};
    static const char *const bad[] = {"",           "a",     "a:0",          "a:65536",  "[::1]",
                                      "unix:",      "::1:1", "ipv4:a:1",     "ipv6:a:1", "dns:unix:/a",
                                      "http://a:1", "a b:1", "ipv4:[::1]:1", "dns:a"};
    char fault[PLACE_FAULT_CAPACITY];

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        cr_assert(endpoint_address_is_valid(good[i], fault), "%s: %s", good[i], fault);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_not(endpoint_address_is_valid(bad[i], fault), "%s", bad[i]);
}

Test(tool_endpoint, what_the_server_would_refuse_is_refused_before, .init = cr_redirect_stderr)
{
    char name[258] = "";

    memset(name, 'n', 257);
    EXPECT_REFUSED("", "a:1");
    EXPECT_REFUSED(name, "a:1");
    EXPECT_REFUSED("@a", "a:1");
    EXPECT_REFUSED("a\tb", "a:1");
    EXPECT_REFUSED("a\xff", "a:1");
    EXPECT_REFUSED("n", "a");
    EXPECT_REFUSED("n", "a:1", "method");
    EXPECT_REFUSED("n", "a:1", "/a/");
    EXPECT_REFUSED("n", "a:1", "//b");
    EXPECT_REFUSED("n", "a:1", "/a/b/c");
    EXPECT_REFUSED("n", "a:1", "/a/b c");
    EXPECT_REFUSED("n", "a:1", "--label", "a");
    EXPECT_REFUSED("n", "a:1", "--label", "=a");
    EXPECT_REFUSED("n", "a:1", "--label", "a=1", "--label", "a=2");
    EXPECT_REFUSED("n", "a:1", "--metadata", "A=1");
    EXPECT_REFUSED("n", "a:1", "--metadata", ":path=1");
    EXPECT_REFUSED("n", "a:1", "--metadata", "te=1");
    EXPECT_REFUSED("n", "a:1", "--metadata", "grpc-timeout=1");
    EXPECT_REFUSED("n", "a:1", "--metadata", "a-bin=AAAA");
    EXPECT_REFUSED("n", "a:1", "--metadata", "a=\n");
    EXPECT_REFUSED("n", "a:1", "--authority", "");
    EXPECT_REFUSED("n", "a:1", "--authority", "a b");
    EXPECT_REFUSED("n", "a:1", "--tls", "");
    EXPECT_REFUSED("n", "a:1", "--tls", "a b");
    EXPECT_REFUSED("n", "a:1", "--backoff", "31s");
    EXPECT_REFUSED("n", "a:1", "--backoff", "3s", "--max-backoff", "2s");
}

Test(tool_endpoint, an_error_does_not_show_the_value_of_metadata, .init = cr_redirect_stderr)
{
    char text[512] = "";

    EXPECT_REFUSED("n", "a:1", "--metadata", "Token=secret");
    EXPECT_REFUSED("n", "a:1", "--metadata", "=secret");
    fflush(stderr);
    FILE *printed = cr_get_redirected_stderr();
    text[fread(text, 1, sizeof(text) - 1, printed)] = '\0';
    cr_assert_not_null(strstr(text, "--metadata 'Token'"));
    cr_assert(!strstr(text, "secret"));
}
