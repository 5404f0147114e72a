/* test_client_target.c - finding 42: gRPC core is given a target that means what a person wrote. */
#include <criterion/criterion.h>
#include <string.h>

#include "grpc/target.h"
#include "tributary/tributary.h"

Test(client_target, is_a_uri_of_the_address)
{
    static const char *const samples[][2] = {
        {"127.0.0.1", "127.0.0.1:7227"},
        {"[::1]:80", "[::1]:80"},
        {"[fe80::1%eth0]:80", "[fe80::1%eth0]:80"},
        {"host:80", "dns:///host:80"},
        {"dns:80", "dns:///dns:80"}, /* a name, not the scheme */
        {"unix:/run/a-b_c.sock", "unix:/run/a-b_c.sock"},
        {"unix:///run/x", "unix:/run/x"},
        {"unix:here", "unix:here"},
        {"unix:/a b%20?#", "unix:/a%20b%2520%3F%23"},
        {"unix:/\xe2\x82\xac", "unix:/%E2%82%AC"},
        {"unix-abstract:a b", "unix-abstract:a%20b"},
    };
    char fault[PLACE_FAULT_CAPACITY];
    char target[TARGET_CAPACITY];
    struct place place;

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        cr_assert(place_parse(samples[i][0], PLACE_CONNECT, &place, fault), "%s", samples[i][0]);
        target_write(&place, target);
        cr_expect_str_eq(target, samples[i][1]);
    }
}

Test(client_target, the_longest_path_fits)
{
    char text[256] = "unix-abstract:";
    char fault[PLACE_FAULT_CAPACITY];
    char target[TARGET_CAPACITY];
    struct place place;

    memset(text + strlen(text), 0x25, PLACE_MAX_UNIX_BYTES);
    cr_assert(place_parse(text, PLACE_CONNECT, &place, fault));
    target_write(&place, target);
    cr_assert_eq(strlen(target), strlen("unix-abstract:") + 3 * PLACE_MAX_UNIX_BYTES);
}

Test(client_target, what_is_no_address_is_refused_by_name)
{
    static const char *const wrong[] = {"", "host:0", "host:99999", "::1:7227", ":1"};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const struct tributary_options options = {.target = wrong[i]};
        struct tributary *client = NULL;
        struct tributary_status status;

        cr_expect_eq(tributary_connect(&options, &client, &status), TRIBUTARY_INVALID_ARGUMENT);
        cr_expect_null(client);
        cr_expect(strstr(status.message, wrong[i]), "%s", status.message);
    }
}
