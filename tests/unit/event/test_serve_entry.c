/* test_serve_entry.c - what an endpoint serves to callers of --fan-in. */
#include "event/serve_entry.h"

#include <criterion/criterion.h>
#include <string.h>

static struct serve_entry entry_of(const char *text)
{
    struct serve_entry entry;
    const char *wrong = serve_entry_read(text_bytes(text), &entry);

    cr_assert_null(wrong, "%s: %s", text, wrong);
    return entry;
}

static bool is(struct bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

Test(serve_entry, a_method_or_a_service)
{
    const struct serve_entry method = entry_of("/a.B/C"), service = entry_of("/a.B/*");

    cr_assert(is(method.service, "/a.B/") && is(method.method, "C"));
    cr_assert(!method.many_requests && method.answer == SERVE_ALL);
    cr_assert(is(service.service, "/a.B/") && is(service.method, ""));
}

Test(serve_entry, options_in_any_order)
{
    const struct serve_entry entry = entry_of("/a.B/*,answer=first-ok,requests=many");

    cr_assert(entry.many_requests && entry.answer == SERVE_FIRST_OK);
    cr_assert_eq(entry_of("/a.B/C,answer=refuse").answer, SERVE_REFUSE);
    cr_assert(!entry_of("/a.B/C,requests=one,answer=all").many_requests);
    cr_assert_eq(entry_of("/a.B/C").end, SERVE_END_UNSAID);
    cr_assert_eq(entry_of("/a.B/C,end=all-ok").end, SERVE_END_ALL_OK);
    cr_assert_eq(entry_of("/a.B/C,end=partial-ok,requests=many").end, SERVE_END_PARTIAL_OK);
    cr_assert_eq(entry_of("/a.B/C,end=fail-fast").end, SERVE_END_FAIL_FAST);
    cr_assert(entry_of("/a.B/C,rejoin=yes,end=partial-ok").rejoins);
    cr_assert(!entry_of("/a.B/C,rejoin=no").rejoins && !entry_of("/a.B/C").rejoins);
}

Test(serve_entry, nothing_else_is_one)
{
    static const char *const wrong[] = {"",
                                        "/",
                                        "//",
                                        "/a.B",
                                        "/a.B/",
                                        "a.B/C",
                                        "/a.B/C/D",
                                        "/*/C",
                                        "/*",
                                        "/a.B/C*",
                                        "/a.B/**",
                                        "/a*/*",
                                        "/a.B/C D",
                                        "/a.B/C,",
                                        "/a.B/C,,",
                                        "/a.B/C,one",
                                        "/a.B/C,a=b",
                                        "/a.B/C,answer",
                                        "/a.B/C,answer=",
                                        "/a.B/C,end=",
                                        "/a.B/C,end",
                                        "/a.B/C,end=ok",
                                        "/a.B/C,a=all-ok",
                                        "/a.B/C,requests=2",
                                        "/a.B/C,rejoin",
                                        "/a.B/C,rejoin=",
                                        "/a.B/C,rejoin=1",
                                        "/a.B/C,rejoins=yes",
                                        "/a.B/\xc3\xa4",
                                        "/a.B/C\n",
                                        ",answer=all",
                                        "//C"};
    struct serve_entry entry;
    char text[322];

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        cr_assert(serve_entry_read(text_bytes(wrong[i]), &entry), "'%s'", wrong[i]);
    memset(text, 'a', sizeof(text));
    text[0] = text[2] = '/';
    cr_assert_null(serve_entry_read((struct bytes){(const uint8_t *)text, 256}, &entry));
    cr_assert(serve_entry_read((struct bytes){(const uint8_t *)text, 257}, &entry));
    cr_assert(serve_entry_read((struct bytes){(const uint8_t *)text, 321}, &entry));
}

Test(serve_entry, the_method_comes_before_the_service_and_the_first_of_two_counts)
{
    const struct serve_entry entries[] = {entry_of("/a.B/*"), entry_of("/a.B/*,answer=refuse"),
                                          entry_of("/a.B/C,answer=first-ok"), entry_of("/a.B/C")};
    const size_t count = ARRAY_LEN(entries);

    cr_assert_eq(serve_entries_find(entries, count, text_bytes("/a.B/C")), &entries[2]);
    cr_assert_eq(serve_entries_find(entries, count, text_bytes("/a.B/D")), &entries[0]);
    cr_assert_eq(serve_entries_find(entries, count, text_bytes("/a.B/CC")), &entries[0]);
    static const char *const others[] = {"/a.B/", "/a.B", "/a.C/C", "/a.BB/C", "", "/"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        cr_assert_null(serve_entries_find(entries, count, text_bytes(others[i])), "%s", others[i]);
    cr_assert_null(serve_entries_find(NULL, 0, text_bytes("/a.B/C")));
}
