/* test_session_words.c - when a session comes back, and what it says. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/lib/session/session_encode.h"
#include "client/lib/core/status.h"
#include "tributary/v1/publisher.pb-c.h"

struct ending {
    enum tributary_code code;
    const char *reason;
    enum session_closing closing;
    bool finishing;
    bool again;
    enum tributary_code told;
    const char *told_reason;
};

Test(session_words, only_what_passes_leads_to_a_new_registration)
{
    static const struct ending endings[] = {
        {TRIBUTARY_UNAVAILABLE, "", CLOSING_NOT, false, true, TRIBUTARY_UNAVAILABLE, ""},
        {TRIBUTARY_UNAVAILABLE, "DRAINING", CLOSING_NOT, false, true, TRIBUTARY_UNAVAILABLE, "DRAINING"},
        {TRIBUTARY_OK, "", CLOSING_NOT, false, true, TRIBUTARY_UNAVAILABLE, ""},
        {TRIBUTARY_ABORTED, "REPLACED", CLOSING_NOT, false, false, TRIBUTARY_ABORTED, "REPLACED"},
        {TRIBUTARY_FAILED_PRECONDITION, "REMOVED", CLOSING_NOT, false, false, TRIBUTARY_FAILED_PRECONDITION,
         "REMOVED"},
        {TRIBUTARY_ALREADY_EXISTS, "NAME_TAKEN", CLOSING_NOT, false, false, TRIBUTARY_ALREADY_EXISTS,
         "NAME_TAKEN"},
        {TRIBUTARY_INVALID_ARGUMENT, "BAD_NAME", CLOSING_NOT, false, false, TRIBUTARY_INVALID_ARGUMENT,
         "BAD_NAME"},
        {TRIBUTARY_RESOURCE_EXHAUSTED, "", CLOSING_NOT, false, false, TRIBUTARY_RESOURCE_EXHAUSTED, ""},
        {TRIBUTARY_INTERNAL, "", CLOSING_NOT, false, false, TRIBUTARY_INTERNAL, ""},
        /* The server said why before, and its last word did not come, or was another one. */
        {TRIBUTARY_OK, "", CLOSING_REPLACED, false, false, TRIBUTARY_ABORTED, "REPLACED"},
        {TRIBUTARY_UNAVAILABLE, "", CLOSING_REPLACED, false, false, TRIBUTARY_ABORTED, "REPLACED"},
        {TRIBUTARY_OK, "", CLOSING_REMOVED, false, false, TRIBUTARY_FAILED_PRECONDITION, "REMOVED"},
        {TRIBUTARY_UNAVAILABLE, "", CLOSING_REMOVED, false, false, TRIBUTARY_FAILED_PRECONDITION, "REMOVED"},
        {TRIBUTARY_OK, "", CLOSING_DRAINING, false, true, TRIBUTARY_UNAVAILABLE, "DRAINING"},
        {TRIBUTARY_DEADLINE_EXCEEDED, "", CLOSING_DRAINING, false, true, TRIBUTARY_UNAVAILABLE, "DRAINING"},
        /* We wanted the end. */
        {TRIBUTARY_OK, "", CLOSING_NOT, true, false, TRIBUTARY_OK, ""},
        {TRIBUTARY_UNAVAILABLE, "", CLOSING_NOT, true, false, TRIBUTARY_UNAVAILABLE, ""},
        {TRIBUTARY_OK, "", CLOSING_DRAINING, true, false, TRIBUTARY_OK, ""},
        {TRIBUTARY_OK, "", CLOSING_REPLACED, true, false, TRIBUTARY_ABORTED, "REPLACED"},
    };

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        const struct ending *ending = &endings[i];
        struct tributary_status status;

        status_set(&status, ending->code, "as it came");
        snprintf(status.reason, sizeof(status.reason), "%s", ending->reason);
        cr_assert_eq(session_comes_back(&status, ending->closing, ending->finishing), ending->again,
                     "row %zu", i);
        cr_assert_eq(status.code, ending->told, "row %zu", i);
        cr_assert_str_eq(status.reason, ending->told_reason, "row %zu", i);
        cr_assert(status.message[0] != '\0');
    }
}

Test(session_words, the_reason_of_a_closing_decides_whether_emitting_goes_on)
{
    cr_assert_eq(session_closing_of("REPLACED"), CLOSING_REPLACED);
    cr_assert_eq(session_closing_of("REMOVED"), CLOSING_REMOVED);
    cr_assert_eq(session_closing_of("DRAINING"), CLOSING_DRAINING);
    cr_assert_eq(session_closing_of("of a newer server"), CLOSING_DRAINING);
    cr_assert_eq(session_seal(CLOSING_NOT), TRIBUTARY_OK);
    cr_assert_eq(session_seal(CLOSING_DRAINING), TRIBUTARY_OK);
    cr_assert_eq(session_seal(CLOSING_REPLACED), TRIBUTARY_ABORTED);
    cr_assert_eq(session_seal(CLOSING_REMOVED), TRIBUTARY_FAILED_PRECONDITION);
}

static Tributary__V1__RegisterRequest *read_back(struct buf *request)
{
    Tributary__V1__RegisterRequest *read =
        tributary__v1__register_request__unpack(NULL, request->size, request->data);

    cr_assert_not_null(read);
    buf_fini(request);
    return read;
}

Test(session_words, hello_says_everything)
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

Test(session_words, an_end_is_cut_between_characters)
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
