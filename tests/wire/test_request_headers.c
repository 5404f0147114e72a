/* test_request_headers.c - what counts as the size of a request's metadata. */
#include <criterion/criterion.h>
#include <string.h>

#include "server/wire/request_headers.h"

/* The fields that every request has, without path and authority: RFC 9113 counts 32 bytes besides
 * name and value. */
#define OF_EVERY_REQUEST (7 + 4 + 32 + 7 + 4 + 32 + 5 + 32 + 10 + 32 + 2 + 8 + 32 + 12 + 16 + 32)

static uint64_t bytes_of(const char *path, const char *host, grpc_metadata *fields, size_t count)
{
    const grpc_call_details details = {.method = grpc_slice_from_static_string(path),
                                       .host = grpc_slice_from_static_string(host)};
    const grpc_metadata_array metadata = {.count = count, .capacity = count, .metadata = fields};

    return request_headers_bytes(&details, &metadata);
}

Test(request_headers, count_name_value_and_32_bytes_for_each_field)
{
    grpc_metadata fields[] = {
        {.key = grpc_slice_from_static_string("name"), .value = grpc_slice_from_static_string("value")},
        {.key = grpc_slice_from_static_string("other"), .value = grpc_slice_from_static_string("")}};

    cr_assert_eq(bytes_of("", "", NULL, 0), OF_EVERY_REQUEST);
    cr_assert_eq(bytes_of("/a/b", "host", NULL, 0), OF_EVERY_REQUEST + 4 + 4);
    cr_assert_eq(bytes_of("/a/b", "host", fields, 1), OF_EVERY_REQUEST + 8 + 4 + 5 + 32);
    cr_assert_eq(bytes_of("/a/b", "host", fields, 2), OF_EVERY_REQUEST + 8 + 4 + 5 + 32 + 5 + 32);
}

Test(request_headers, count_a_binary_value_in_base64)
{
    static const struct {
        const char *value;
        size_t bytes;
    } values[] = {{"", 0}, {"a", 2}, {"ab", 3}, {"abc", 4}, {"abcd", 6}};

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        grpc_metadata field = {.key = grpc_slice_from_static_string("x-bin"),
                               .value = grpc_slice_from_static_string(values[i].value)};
        cr_expect_eq(bytes_of("", "", &field, 1), OF_EVERY_REQUEST + 5 + values[i].bytes + 32, "%s",
                     values[i].value);
        field.key = grpc_slice_from_static_string("bin");
        cr_expect_eq(bytes_of("", "", &field, 1), OF_EVERY_REQUEST + 3 + strlen(values[i].value) + 32);
    }
}
