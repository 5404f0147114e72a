/* test_tls_spec.c - the text of a TLS setting. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/tls/tls_spec.h"

Test(tls_spec, keys_come_in_any_order_and_may_be_left_out)
{
    struct tls_spec spec = {.name = NULL};
    char fault[TLS_SPEC_FAULT_CAPACITY];

    cr_assert(tls_spec_read("a.B-9_:key=/k=1,server-name=x.y,ca=c,cert=a b", &spec, fault), "%s", fault);
    cr_assert_str_eq(spec.name, "a.B-9_");
    cr_assert_str_eq(spec.key_file, "/k=1");
    cr_assert_str_eq(spec.server_name, "x.y");
    cr_assert_str_eq(spec.roots_file, "c");
    cr_assert_str_eq(spec.chain_file, "a b");
    tls_spec_fini(&spec);
    cr_assert(tls_spec_read("a", &spec, fault), "%s", fault);
    cr_assert(!spec.roots_file && !spec.chain_file && !spec.key_file && !spec.server_name);
    tls_spec_fini(&spec);
}

Test(tls_spec, a_comma_of_a_file_name_is_written_twice)
{
    struct tls_spec spec = {.name = NULL};
    char fault[TLS_SPEC_FAULT_CAPACITY];

    cr_assert(tls_spec_read("a:ca=,,x,,,cert=y,,,,z,,,key=k,,", &spec, fault), "%s", fault);
    cr_assert_str_eq(spec.roots_file, ",x,");
    cr_assert_str_eq(spec.chain_file, "y,,z,");
    cr_assert_str_eq(spec.key_file, "k,");
    tls_spec_fini(&spec);
}

Test(tls_spec, what_is_wrong_is_said)
{
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"", "a name has"},
        {":ca=x", "a name has"},
        {"a/b:ca=x", "a name has"},
        {"system", "cannot be changed"},
        {"system:ca=x", "cannot be changed"},
        {"a:", "'' is none of"},
        {"a:ca=x,", "'' is none of"},
        {"a:ca=x,,,", "'' is none of"},
        {"a:,,ca=x", "',ca' is none of"},
        {"a:ca=x,,cert=y,key=k", "together"},
        {"a:CA=x", "'CA' is none of"},
        {"a:ca", "'ca' needs a value"},
        {"a:ca=", "'ca' needs a value"},
        {"a:ca=x,ca=x", "'ca' must be given once"},
        {"a:cert=x", "together"},
        {"a:key=x", "together"},
        {"a:server-name=a:1", "server-name is"},
    };
    struct tls_spec spec = {.name = NULL};
    char fault[TLS_SPEC_FAULT_CAPACITY], text[400] = "";

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        cr_assert(!tls_spec_read(wrong[i].text, &spec, fault), "%s", wrong[i].text);
        cr_assert(strstr(fault, wrong[i].words), "%s: %s", wrong[i].text, fault);
    }
    memset(text, 'x', MAX_TLS_NAME_BYTES + 1);
    cr_assert(!tls_spec_read(text, &spec, fault));
    text[MAX_TLS_NAME_BYTES] = '\0';
    cr_assert(tls_spec_read(text, &spec, fault), "%s", fault);
    tls_spec_fini(&spec);
    spec.name = NULL;
    memset(text, 'x', 300);
    memcpy(text, "a:server-name=", 14);
    cr_assert(!tls_spec_read(text, &spec, fault));
    cr_assert(strstr(fault, "1 to 253"), "%s", fault);
    cr_assert(!spec.name, "nothing was written");
}
