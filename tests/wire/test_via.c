/* test_via.c - which processes a call has come through (X9). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "grpc/own_mark.h"
#include "grpc/slices.h"
#include "server/wire/via.h"

#define MAX_PAIRS 40u

struct headers {
    grpc_metadata pairs[MAX_PAIRS];
    grpc_metadata_array array;
};

static void add(struct headers *headers, const char *key, const char *value)
{
    cr_assert_lt(headers->array.count, MAX_PAIRS);
    headers->array.metadata = headers->pairs;
    headers->pairs[headers->array.count++] = (grpc_metadata){.key = grpc_slice_from_copied_string(key),
                                                             .value = grpc_slice_from_copied_string(value)};
}

static void add_mark(struct headers *headers, unsigned number)
{
    char mark[MARK_BYTES + 1];

    snprintf(mark, sizeof(mark), "%032x", number);
    add(headers, OWN_MARK_KEY, mark);
}

static void add_own(struct headers *headers)
{
    headers->array.metadata = headers->pairs;
    headers->pairs[headers->array.count++] = own_mark();
}

static void headers_fini(struct headers *headers)
{
    for (size_t i = 0; i < headers->array.count; i++) {
        grpc_slice_unref(headers->pairs[i].key);
        grpc_slice_unref(headers->pairs[i].value);
    }
}

Test(via, X9_of_a_call_without_marks_there_is_none)
{
    struct headers headers = {0};
    struct shared_bytes *via = NULL;
    struct fault fault;

    cr_assert_eq(via_read(&headers.array, &via, &fault), FAULT_NONE);
    cr_assert_not(via);
    add(&headers, "other", "0123456789abcdef0123456789abcdef");
    cr_assert_eq(via_read(&headers.array, &via, &fault), FAULT_NONE);
    cr_assert_not(via);
    headers_fini(&headers);
}

Test(via, X9_marks_are_kept_in_their_order_and_what_is_none_is_left_out)
{
    static const char *const odd[] = {"",
                                      "x",
                                      "0123456789ABCDEF0123456789abcdef",
                                      "g123456789abcdef0123456789abcdef",
                                      "0123456789abcdef0123456789abcde",
                                      "0123456789abcdef0123456789abcdef0"};
    struct headers headers = {0};
    struct shared_bytes *via = NULL;
    struct fault fault;

    add_mark(&headers, 7);
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        add(&headers, OWN_MARK_KEY, odd[i]);
    add_mark(&headers, 3);
    cr_assert_eq(via_read(&headers.array, &via, &fault), FAULT_NONE);
    cr_assert(bytes_same(shared_bytes_view(via), text_bytes("00000000000000000000000000000007"
                                                            "00000000000000000000000000000003")));
    shared_bytes_release(via);
    headers_fini(&headers);
}

Test(via, X9_a_call_that_has_come_back_is_refused_and_says_how)
{
    static const char *const bounds[] = {"", "the call has come back through 1 other server",
                                         "the call has come back through 2 other servers"};
    struct shared_bytes *via = NULL;
    struct fault fault;

    for (unsigned others = 0; others < ARRAY_LEN(bounds); others++) {
        struct headers headers = {0};

        for (unsigned i = 0; i < others; i++)
            add_mark(&headers, i);
        add_own(&headers);
        add_mark(&headers, 9);
        cr_assert_eq(via_read(&headers.array, &via, &fault), FAULT_DIALS_ITSELF);
        cr_assert_str_eq(fault.bound, bounds[others]);
        cr_assert_not(via);
        headers_fini(&headers);
    }
}

Test(via, X9_there_is_a_bound)
{
    struct headers headers = {0};
    struct shared_bytes *via = NULL;
    struct fault fault;

    for (unsigned i = 0; i < MAX_VIA; i++)
        add_mark(&headers, i);
    cr_assert_eq(via_read(&headers.array, &via, &fault), FAULT_NONE);
    cr_assert_eq(shared_bytes_view(via).size, MAX_VIA * MARK_BYTES);
    shared_bytes_release(via);
    via = NULL;
    add_mark(&headers, MAX_VIA);
    cr_assert_eq(via_read(&headers.array, &via, &fault), FAULT_TOO_MANY_HOPS);
    cr_assert_str_eq(fault.field, OWN_MARK_KEY);
    cr_assert_not(via);
    add_own(&headers);
    cr_assert_eq(via_read(&headers.array, &via, &fault), FAULT_DIALS_ITSELF, "also behind too many");
    headers_fini(&headers);
}
