/* test_metadata_names.c - which keys of metadata pass. */
#include "server/dial/metadata_names.h"

#include <criterion/criterion.h>

static bool passes(const char *key, const char *value)
{
    return metadata_may_pass(text_bytes(key), text_bytes(value));
}

Test(metadata_names, what_gRPC_makes_or_is_ours_never_passes)
{
    static const char *const keys[] = {
        ":path",         "te",         "host-",  "grpc-timeout",  "grpc-status",  "user-agent",
        "authorization", "connection", "cookie", "tributary-end", "content-type", "tributary-process"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        cr_assert_eq(passes(keys[i], "x"), i == 2, "%s", keys[i]);
}

/* gRPC core refuses to send them, and the daemon would end. */
Test(metadata_names, what_is_not_legal_never_passes)
{
    cr_assert(passes("x-y", "a b"));
    cr_assert(!passes("x-y", "\xc3\xa4"));
    cr_assert(!passes("x-y", "a\nb"));
    cr_assert(!passes("x y", "a"));
    cr_assert(!passes("X", "a"));
    cr_assert(!passes("", "a"));
    cr_assert(passes("x-bin", "\xc3\xa4\n"));
}

Test(metadata_names, a_star_stands_for_what_begins_so)
{
    const struct bytes names[] = {text_bytes("x-trace"), text_bytes("b3*")};
    static const char *const in[] = {"x-trace", "b3", "b3-flags"}, *const out[] = {"x-trac", "x-trace-2", "b",
                                                                                   ""};

    for (size_t i = 0; i < ARRAY_LEN(in); i++)
        cr_assert(metadata_names_have(names, 2, text_bytes(in[i])), "%s", in[i]);
    for (size_t i = 0; i < ARRAY_LEN(out); i++)
        cr_assert(!metadata_names_have(names, 2, text_bytes(out[i])), "%s", out[i]);
}
