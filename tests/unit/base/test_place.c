/* test_place.c - finding 42: the addresses that people write, for both programs. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/place.h"

static struct place place;
static char fault[PLACE_FAULT_CAPACITY];

Test(place, every_form_is_read)
{
    static const struct {
        const char *text;
        enum place_kind kind;
        const char *host;
        uint16_t port;
    } samples[] = {{"127.0.0.1:7448", PLACE_IPV4, "127.0.0.1", 7448},
                   {"127.0.0.1:65535", PLACE_IPV4, "127.0.0.1", 65535},
                   {"127.0.0.1", PLACE_IPV4, "127.0.0.1", PLACE_DEFAULT_PORT},
                   {"host", PLACE_NAME, "host", PLACE_DEFAULT_PORT},
                   {"my_host-1.example.org:1", PLACE_NAME, "my_host-1.example.org", 1},
                   {"1and1.example:1", PLACE_NAME, "1and1.example", 1},
                   {"[::1]:7448", PLACE_IPV6, "::1", 7448},
                   {"[::1]", PLACE_IPV6, "::1", PLACE_DEFAULT_PORT},
                   {"[::ffff:10.0.0.1]:2", PLACE_IPV6, "::ffff:10.0.0.1", 2},
                   {"[fe80::1%eth0]:2", PLACE_IPV6, "fe80::1", 2},
                   {"unix:/run/t.sock", PLACE_UNIX, "/run/t.sock", 0},
                   {"unix:here", PLACE_UNIX, "here", 0},
                   {"unix:a:b//c", PLACE_UNIX, "a:b//c", 0},
                   {"unix-abstract:t", PLACE_ABSTRACT, "t", 0},
                   {"unix", PLACE_NAME, "unix", PLACE_DEFAULT_PORT}};

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        cr_assert(place_parse(samples[i].text, PLACE_CONNECT, &place, fault), "'%s': %s", samples[i].text,
                  fault);
        cr_expect_eq(place.kind, samples[i].kind, "'%s'", samples[i].text);
        cr_expect_str_eq(place.text, samples[i].host);
        cr_expect_eq(place.port, samples[i].port, "'%s'", samples[i].text);
        cr_expect_str_eq(place.zone, strchr(samples[i].text, '%') ? "eth0" : "");
        cr_expect(place_parse(samples[i].text, PLACE_LISTEN, &place, fault), "'%s'", samples[i].text);
    }
}

Test(place, an_address_is_written_with_its_port)
{
    static const char *const samples[][2] = {{"127.0.0.1", "127.0.0.1:7227"},
                                             {"127.0.0.1:1", "127.0.0.1:1"},
                                             {"host", "host:7227"},
                                             {"[::1]", "[::1]:7227"},
                                             {"[::1]:2", "[::1]:2"},
                                             {"[fe80::1%eth0]", "[fe80::1%eth0]:7227"},
                                             {"unix:/run/t.sock", "unix:/run/t.sock"},
                                             {"unix-abstract:t", "unix-abstract:t"}};
    char text[PLACE_TEXT_CAPACITY];

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        cr_assert(place_parse(samples[i][0], PLACE_CONNECT, &place, fault));
        place_text(&place, text);
        cr_expect_str_eq(text, samples[i][1]);
    }
}

Test(place, a_refusal_says_what_is_wrong_and_the_bound)
{
    static const struct {
        const char *text, *fault;
    } samples[] = {{"", "empty"},
                   {"127.0.0.1:70000", "port 1 to 65535"},
                   {"host:99999", "port 1 to 65535"},
                   {"host:65536", "port 1 to 65535, not '65536'"},
                   {"host:-1", "port 1 to 65535"},
                   {"host:+1", "port 1 to 65535"},
                   {"host: 1", "port 1 to 65535"},
                   {"host:1x", "port 1 to 65535"},
                   {"host:http", "port 1 to 65535"},
                   {"host:000001", "port 1 to 65535"},
                   {"127.0.0.1:", "port is missing"},
                   {":7448", "host is missing"},
                   {":", "host is missing"},
                   {"7227", "write 127.0.0.1:7227"},
                   {"127.1:7227", "no IPv4 address"},
                   {"256.0.0.1:7227", "no IPv4 address"},
                   {"1.2.3.4.5", "no IPv4 address"},
                   {"::1:7448", "write [::1]:7448"},
                   {"::1", "write [::1]:7227"},
                   {"2001:db8::1", "write [2001:db8::1]:7227"},
                   {"a:b:c", "more than one ':'"},
                   {"[::1", "']' is missing"},
                   {"[::1]x:1", "behind ']'"},
                   {"[::1]]:1", "behind ']'"},
                   {"[127.0.0.1]:1", "no IPv6 address"},
                   {"[localhost]:1", "no IPv6 address"},
                   {"[]:1", "no IPv6 address"},
                   {"[fe80::1%]:1", "zone"},
                   {"[fe80::1%0123456789abcdef]:1", "1 to 15 bytes"},
                   {"[fe80::1%a b]:1", "no interface"},
                   {"a b:1", "no host"},
                   {"caf\xc3\xa9:1", "no host"},
                   {"host/path:1", "no host"},
                   {"http://host:1", "no URL"},
                   {"dns:///host:1", "no URL"},
                   {"unix:", "1 to 107 bytes, and this one has 0"},
                   {"unix-abstract:", "1 to 107 bytes"}};

    place.port = 77;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        cr_expect_not(place_parse(samples[i].text, PLACE_CONNECT, &place, fault), "'%s'", samples[i].text);
        cr_expect(strstr(fault, samples[i].fault), "'%s': %s", samples[i].text, fault);
        cr_expect_not(place_parse(samples[i].text, PLACE_LISTEN, &place, fault), "'%s'", samples[i].text);
    }
    cr_expect_eq(place.port, 77, "it is unchanged");
}

Test(place, port_0_is_for_listening)
{
    cr_assert(place_parse("127.0.0.1:0", PLACE_LISTEN, &place, fault));
    cr_assert_eq(place.port, 0);
    cr_assert_not(place_parse("127.0.0.1:0", PLACE_CONNECT, &place, fault));
    cr_assert(strstr(fault, "port 1 to 65535"), "%s", fault);
    cr_assert_not(place_parse("127.0.0.1:70000", PLACE_LISTEN, &place, fault));
    cr_assert(strstr(fault, "port 1 to 65535, or 0"), "%s", fault);
}

Test(place, a_text_at_its_bound_is_taken_and_one_byte_more_is_refused)
{
    static const struct {
        const char *before;
        size_t max;
        const char *fault;
    } samples[] = {{"unix:", 107, "and this one has 108"},
                   {"unix-abstract:", 107, "and this one has 108"},
                   {"", 253, "and this one has 254"}};
    char text[512];

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const size_t size = strlen(samples[i].before);

        memcpy(text, samples[i].before, size);
        memset(text + size, 'x', samples[i].max + 1);
        text[size + samples[i].max + 1] = '\0';
        cr_expect_not(place_parse(text, PLACE_CONNECT, &place, fault));
        cr_expect(strstr(fault, samples[i].fault), "%s", fault);
        text[size + samples[i].max] = '\0';
        cr_expect(place_parse(text, PLACE_CONNECT, &place, fault), "%s", fault);
        cr_expect_eq(strlen(place.text), samples[i].max);
    }
}

Test(place, knows_which_ones_are_local)
{
    static const char *const local[] = {
        "127.0.0.1", "127.255.255.255:65535",   "localhost", "LocalHost:1",
        "[::1]",     "[::ffff:127.0.0.1]:7227", "unix:here", "unix-abstract:tributary"};
    static const char *const elsewhere[] = {"0.0.0.0",
                                            "[::]",
                                            "128.0.0.1",
                                            "126.255.255.255",
                                            "10.0.0.1",
                                            "[::2]",
                                            "[::ffff:10.0.0.1]",
                                            "[::ffff:0.0.0.0]",
                                            "[fe80::1%lo]",
                                            "example.org",
                                            "localhost.example.org",
                                            "127.0.0.1.example.org"};

    for (size_t i = 0; i < ARRAY_LEN(local); i++) {
        cr_assert(place_parse(local[i], PLACE_LISTEN, &place, fault), "'%s': %s", local[i], fault);
        cr_expect(place_is_local(&place), "'%s'", local[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
        cr_assert(place_parse(elsewhere[i], PLACE_LISTEN, &place, fault), "'%s': %s", elsewhere[i], fault);
        cr_expect_not(place_is_local(&place), "'%s'", elsewhere[i]);
    }
}

Test(place, help_has_every_form)
{
    size_t count = 0;

    for (; place_forms[count].form; count++)
        cr_expect_gt(strlen(place_forms[count].meaning), 0);
    cr_expect_eq(count, 4);
}
