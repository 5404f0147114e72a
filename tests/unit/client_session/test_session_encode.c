/* test_session_encode.c - what a session sends is what protobuf-c reads. */
#include <criterion/criterion.h>
#include <string.h>

#include "client/lib/session/session_encode.h"
#include "tributary/v1/publisher.pb-c.h"

static Tributary__V1__RegisterRequest *read_back(struct buf *request)
{
    Tributary__V1__RegisterRequest *read =
        tributary__v1__register_request__unpack(NULL, request->size, request->data);

    cr_assert_not_null(read);
    buf_fini(request);
    return read;
}

Test(session_encode, hello_has_every_option)
{
    const struct tributary_header labels[] = {{tributary_text("zone"), tributary_text("eu")},
                                              {tributary_text("tier"), {NULL, 0}}};
    const char *const topics[] = {"orders", "stock"};
    const struct tributary_session_options options = {
        .name = "web",
        .labels = labels,
        .label_count = 2,
        .topics = topics,
        .topic_count = 2,
        .mode = TRIBUTARY_MODE_PER_CONSUMER,
        .on_duplicate = TRIBUTARY_ON_DUPLICATE_REJECT,
        .handover = TRIBUTARY_HANDOVER_START_FIRST,
    };
    struct buf request = {0};

    session_write_hello(&options, &request);

    Tributary__V1__RegisterRequest *read = read_back(&request);

    cr_assert_str_eq(read->hello->name, "web");
    cr_assert_eq(read->hello->n_labels, 2);
    cr_assert_str_eq(read->hello->labels[0]->key, "zone");
    cr_assert_str_eq(read->hello->labels[0]->value, "eu");
    cr_assert_str_eq(read->hello->labels[1]->value, "");
    cr_assert_eq(read->hello->n_topics, 2);
    cr_assert_str_eq(read->hello->topics[1], "stock");
    cr_assert_eq(read->hello->mode, TRIBUTARY__V1__HELLO__MODE__PER_CONSUMER);
    cr_assert_eq(read->hello->on_duplicate, TRIBUTARY__V1__HELLO__ON_DUPLICATE__REJECT);
    cr_assert_eq(read->hello->handover, TRIBUTARY__V1__HELLO__HANDOVER__START_FIRST);
    tributary__v1__register_request__free_unpacked(read, NULL);
}

Test(session_encode, the_message_of_an_end_is_shortened_between_characters)
{
    char long_text[1100];
    struct buf request = {0};

    memset(long_text, 'x', sizeof(long_text));
    memcpy(long_text + 1023, "\xc3\xa4", 2); /* over the bound by one byte */
    long_text[sizeof(long_text) - 1] = '\0';
    session_write_end(&request, 300, TRIBUTARY_UNKNOWN, long_text);

    Tributary__V1__RegisterRequest *read = read_back(&request);

    cr_assert_eq(read->end->activation, 300);
    cr_assert_eq(read->end->code, 2);
    cr_assert_eq(strlen(read->end->message), 1023);
    cr_assert_eq(read->n_events, 0);
    tributary__v1__register_request__free_unpacked(read, NULL);
    long_text[1024] = '\0';
    long_text[1023] = 'x';
    request = (struct buf){0};
    session_write_end(&request, 1, TRIBUTARY_OK, long_text);
    read = read_back(&request);
    cr_assert_eq(strlen(read->end->message), 1024);
    tributary__v1__register_request__free_unpacked(read, NULL);
}
