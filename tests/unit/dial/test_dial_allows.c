/* test_dial_allows.c - for which places a pattern of --dial-allow holds. */
#include <criterion/criterion.h>

#include "server/dial/dial.h"
#include "server/dial/endpoint_check.h"

static bool allows(const char *pattern, const char *address)
{
    struct place place;
    struct fault fault;

    cr_assert_eq(endpoint_place(address, &place, &fault), FAULT_NONE, "%s", address);
    return dial_allows(pattern, &place);
}

Test(dial_allows, a_pattern_without_a_scheme_holds_for_hosts_however_they_are_written)
{
    static const char *const addresses[] = {"a.x:443", "dns:a.x:443", "dns:///a.x:443"};

    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        cr_assert(allows("*.x:443", addresses[i]), "%s", addresses[i]);
        cr_assert(allows("*", addresses[i]), "%s", addresses[i]);
        cr_assert(!allows("*.x:44", addresses[i]), "%s", addresses[i]);
    }
    cr_assert(allows("10.0.0.*", "10.0.0.1:1") && allows("10.0.0.*", "ipv4:10.0.0.1:1"));
    cr_assert(allows("[::1]:*", "[::1]:1") && allows("[::1]:*", "ipv6:[::1]:1"));
}

Test(dial_allows, unix_sockets_need_a_pattern_of_their_own)
{
    cr_assert(!allows("*.x:443", "unix:/run/a.x:443"));
    cr_assert(!allows("*", "unix:/run/a"));
    cr_assert(!allows("*", "unix-abstract:a"));
    cr_assert(!allows("?nix:*", "unix:/run/a"));
    cr_assert(allows("unix:/run/*", "unix:/run/a") && !allows("unix:/run/*", "unix:/tmp/a"));
    cr_assert(allows("unix-abstract:*", "unix-abstract:a") && !allows("unix:*", "unix-abstract:a"));
    cr_assert(!allows("unix:*", "a.x:443"));
}

Test(dial_allows, a_scheme_holds_for_its_kind_only)
{
    cr_assert(allows("dns:*:443", "a.x:443") && !allows("dns:*:443", "10.0.0.1:443"));
    cr_assert(allows("ipv4:*:443", "10.0.0.1:443") && !allows("ipv4:*:443", "a.x:443"));
    cr_assert(allows("ipv6:*", "[::1]:1") && !allows("ipv6:*", "10.0.0.1:1"));
}
