/* test_params_copy.c - a copy of parameters has everything, and shares nothing with them. */
#include "server/dial/params_copy.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/shared_bytes.h"

static void expect_bytes(struct bytes bytes, const char *text)
{
    cr_assert(bytes_same(bytes, text_bytes(text)), "%.*s is not %s", (int)bytes.size,
              (const char *)bytes.data, text);
}

Test(params_copy, has_everything_after_the_original_is_gone)
{
    char *texts[] = {strdup("name"),     strdup("host:1"), strdup("/a/b"),  strdup("who"),
                     strdup("/x/y.yml"), strdup("key"),    strdup("value"), strdup("")};
    const struct pair metadata[] = {{text_bytes(texts[5]), text_bytes(texts[6])}};
    const struct pair labels[] = {{text_bytes(texts[6]), text_bytes(texts[5])},
                                  {text_bytes(texts[5]), text_bytes(texts[7])}};
    const struct bytes requests[] = {text_bytes(texts[1]), {NULL, 0}};
    const struct bytes serve[] = {text_bytes(texts[2]), text_bytes(texts[5])};
    const struct endpoint_params from = {.name = text_bytes(texts[0]),
                                         .address = texts[1],
                                         .method = texts[2],
                                         .authority = texts[3],
                                         .origin_text = texts[4],
                                         .tls = texts[3],
                                         .requests = requests,
                                         .request_count = 2,
                                         .metadata = metadata,
                                         .metadata_count = 1,
                                         .labels = labels,
                                         .label_count = 2,
                                         .serve = serve,
                                         .serve_count = 2,
                                         .serve_request_metadata = serve + 1,
                                         .serve_request_metadata_count = 1,
                                         .serve_answer_metadata = serve,
                                         .serve_answer_metadata_count = 1,
                                         .idle_timeout_ns = 7,
                                         .definition = text_bytes(texts[3])};
    struct endpoint_params *copy = params_copy(&from);

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    cr_assert(copy);
    expect_bytes(copy->name, "name");
    cr_assert_str_eq(copy->address, "host:1");
    cr_assert_str_eq(copy->method, "/a/b");
    cr_assert_str_eq(copy->authority, "who");
    cr_assert_str_eq(copy->origin_text, "/x/y.yml");
    cr_assert_str_eq(copy->tls, "who");
    expect_bytes(copy->metadata[0].name, "key");
    expect_bytes(copy->labels[0].name, "value");
    expect_bytes(copy->labels[1].value, "");
    expect_bytes(shared_bytes_view(copy->shared_requests[0]), "host:1");
    cr_assert_eq(shared_bytes_view(copy->shared_requests[1]).size, 0);
    expect_bytes(shared_bytes_view(copy->shared_definition), "who");
    expect_bytes(copy->serve[0], "/a/b");
    expect_bytes(copy->serve[1], "key");
    expect_bytes(copy->serve_request_metadata[0], "key");
    expect_bytes(copy->serve_answer_metadata[0], "/a/b");
    cr_assert_eq(copy->idle_timeout_ns, 7);
    cr_assert_eq(copy->request_count, 2);
    params_copy_free(copy);
}
