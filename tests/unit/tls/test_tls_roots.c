/* test_tls_roots.c - what is no certificate. test_endpoints_tls.py has certificates. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/tls/tls_roots.h"

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END "-----END CERTIFICATE-----\n"

static struct tls_roots *new_of(const char *text, char fault[PEM_FAULT_CAPACITY])
{
    return tls_roots_new(text_bytes(text), fault);
}

Test(tls_roots, damaged_texts_are_refused)
{
    char fault[PEM_FAULT_CAPACITY];

    cr_assert(!new_of("", fault) && strstr(fault, "empty"), "%s", fault);
    cr_assert(!new_of("hello", fault) && strstr(fault, "no certificate"), "%s", fault);
    cr_assert(!new_of(BEGIN, fault) && strstr(fault, "certificate 1 is damaged"), "%s", fault);
    cr_assert(!new_of(BEGIN END, fault) && strstr(fault, "certificate 1 is damaged"), "%s", fault);
    cr_assert(!new_of(BEGIN "AAAA\n" END, fault) && strstr(fault, "certificate 1 is damaged"), "%s", fault);
    cr_assert(!new_of(BEGIN "\xff\xfe\n" END, fault) && strstr(fault, "certificate 1 is damaged"), "%s",
              fault);
}

Test(tls_roots, what_is_read_later_trusts_nobody_where_it_is_damaged)
{
    char fault[PEM_FAULT_CAPACITY];
    struct tls_roots *roots = tls_roots_later(text_bytes("x" BEGIN "AAAA\n" END "rest"));
    struct tls_roots *other = tls_roots_later(text_bytes("-----BEGIN -----END "));

    cr_assert(roots && other);
    cr_assert_str_eq(tls_roots_first(roots), BEGIN "AAAA\n"
                                                   "-----END CERTIFICATE-----");
    cr_assert_str_eq(tls_roots_first(other), "");
    cr_assert(tls_roots_same(roots, roots) && !tls_roots_same(roots, other) && tls_roots_same(NULL, NULL));
    cr_assert(!tls_roots_same(roots, NULL) && !tls_roots_same(NULL, roots));
    for (int i = 0; i < 2; i++) {
        cr_assert(!tls_roots_check(roots, text_bytes(BEGIN "AAAA\n" END), "a", fault));
        cr_assert(strstr(fault, TLS_ROOTS_FAULT "is missing or damaged"), "%s", fault);
        cr_assert(!tls_roots_check(roots, text_bytes(""), "a", fault));
    }
    tls_roots_release(tls_roots_retain(other));
    tls_roots_release(other);
    tls_roots_release(roots);
}
