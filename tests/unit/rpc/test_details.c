/* test_details.c - the google.rpc.Status of every fault: what it contains, and that it stays small
 * whatever the fault contains. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "server/rpc/details.h"

static Google__Rpc__Status *details_of(const struct fault *fault, size_t *size_out)
{
    struct buf details = {0};
    Google__Rpc__Status *status;

    fault_details(fault, &details);
    cr_assert_not(details.broken);
    status = google__rpc__status__unpack(NULL, details.size, details.data);
    cr_assert_not_null(status);
    *size_out = details.size;
    buf_fini(&details);
    return status;
}

/* Unpacks the detail of this type. NULL: there is none. */
static ProtobufCMessage *detail(const Google__Rpc__Status *status, const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < status->n_details; i++) {
        const Google__Protobuf__Any *any = status->details[i];

        cr_assert_eq(strncmp(any->type_url, "type.googleapis.com/google.rpc.", 31), 0);
        if (strcmp(any->type_url + 20, type->name) == 0)
            return protobuf_c_message_unpack(type, NULL, any->value.len, any->value.data);
    }
    return NULL;
}

static const char *metadata(const Google__Rpc__ErrorInfo *info, const char *key)
{
    for (size_t i = 0; i < info->n_metadata; i++) {
        if (strcmp(info->metadata[i]->key, key) == 0)
            return info->metadata[i]->value;
    }
    return "";
}

static void free_message(void *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

Test(details, every_reason_has_error_info_and_the_details_of_its_code)
{
    for (unsigned reason = 1; reason < FAULT_COUNT; reason++) {
        struct fault fault;
        Google__Rpc__Status *status;
        Google__Rpc__ErrorInfo *info;
        void *bad, *quota, *resource, *retry;
        size_t size;
        enum fault_code code = fault_code(reason);

        fault_number(&fault, reason, "field.path", 17, "at most 16");
        status = details_of(&fault, &size);
        cr_expect_eq((enum fault_code)status->code, code);
        info = (Google__Rpc__ErrorInfo *)(void *)detail(status, &google__rpc__error_info__descriptor);
        cr_assert_not_null(info);
        cr_expect_str_eq(info->reason, fault_reason_name(reason));
        cr_expect_str_eq(info->domain, "tributary");
        cr_expect_str_eq(metadata(info, "field"), "field.path");
        cr_expect_str_eq(metadata(info, "value"), "17");
        cr_expect_str_eq(metadata(info, "bound"), "at most 16");
        bad = detail(status, &google__rpc__bad_request__descriptor);
        quota = detail(status, &google__rpc__quota_failure__descriptor);
        resource = detail(status, &google__rpc__resource_info__descriptor);
        retry = detail(status, &google__rpc__retry_info__descriptor);
        cr_expect_eq(!!bad, code == CODE_INVALID_ARGUMENT);
        cr_expect_eq(!!quota, code == CODE_RESOURCE_EXHAUSTED);
        cr_expect_eq(!!resource, code == CODE_NOT_FOUND);
        cr_expect_eq(!!retry, reason == FAULT_DRAINING);
        free_message(info);
        free_message(bad);
        free_message(quota);
        free_message(resource);
        free_message(retry);
        google__rpc__status__free_unpacked(status, NULL);
    }
}

Test(details, the_status_message_is_that_of_the_fault)
{
    struct fault fault;
    Google__Rpc__Status *status;
    Google__Rpc__BadRequest *bad;
    char message[640];
    size_t size;

    fault_bytes(&fault, FAULT_TOO_LONG, "events[3].topic", (struct bytes){(const uint8_t *)"abc", 3},
                "at most 2 bytes");
    fault_message(&fault, message, sizeof(message));
    status = details_of(&fault, &size);
    cr_expect_str_eq(status->message, message);
    bad = (Google__Rpc__BadRequest *)(void *)detail(status, &google__rpc__bad_request__descriptor);
    cr_assert_eq(bad->n_field_violations, 1);
    cr_expect_str_eq(bad->field_violations[0]->field, "events[3].topic");
    cr_expect_str_eq(bad->field_violations[0]->description,
                     "a value is too long: at most 2 bytes (got \"abc\")");
    free_message(bad);
    google__rpc__status__free_unpacked(status, NULL);
}

Test(details, what_a_fault_does_not_contain_is_left_out)
{
    struct fault fault;
    Google__Rpc__Status *status;
    Google__Rpc__ErrorInfo *info;
    size_t size;

    fault_set(&fault, FAULT_NO_MESSAGE, "", "");
    status = details_of(&fault, &size);
    cr_assert_eq(status->n_details, 1, "no field, so no BadRequest");
    info = (Google__Rpc__ErrorInfo *)(void *)detail(status, &google__rpc__error_info__descriptor);
    cr_expect_eq(info->n_metadata, 0);
    free_message(info);
    google__rpc__status__free_unpacked(status, NULL);
}

Test(details, a_resource_is_named_without_its_quotes)
{
    struct fault fault;
    Google__Rpc__Status *status;
    Google__Rpc__ResourceInfo *info;
    size_t size;

    fault_bytes(&fault, FAULT_PRODUCER_NOT_FOUND, "name", (struct bytes){(const uint8_t *)"web-1", 5}, "");
    status = details_of(&fault, &size);
    info = (Google__Rpc__ResourceInfo *)(void *)detail(status, &google__rpc__resource_info__descriptor);
    cr_expect_str_eq(info->resource_type, "producer");
    cr_expect_str_eq(info->resource_name, "web-1");
    free_message(info);
    google__rpc__status__free_unpacked(status, NULL);
}

Test(details, retry_info_contains_the_delay)
{
    struct fault fault;
    Google__Rpc__Status *status;
    Google__Rpc__RetryInfo *info;
    size_t size;

    fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
    fault.retry_ns = 2 * NS_PER_S + 5;
    status = details_of(&fault, &size);
    info = (Google__Rpc__RetryInfo *)(void *)detail(status, &google__rpc__retry_info__descriptor);
    cr_assert_not_null(info);
    cr_expect_eq(info->retry_delay->seconds, 2);
    cr_expect_eq(info->retry_delay->nanos, 5);
    free_message(info);
    google__rpc__status__free_unpacked(status, NULL);
}

Test(details, hostile_values_stay_within_2_kib)
{
    uint8_t hostile[4096];
    char field[4096];

    memset(hostile, 0xff, sizeof(hostile)); /* each byte is quoted as four characters */
    memset(field, 'f', sizeof(field));
    field[sizeof(field) - 1] = '\0';
    for (unsigned reason = 1; reason < FAULT_COUNT; reason++) {
        struct fault fault;
        Google__Rpc__Status *status;
        void *info;
        size_t size;

        fault_bytes(&fault, reason, field, (struct bytes){hostile, sizeof(hostile)}, field);
        fault.retry_ns = INT64_MAX;
        status = details_of(&fault, &size);
        cr_expect_leq(size, 2048);
        info = detail(status, &google__rpc__error_info__descriptor);
        cr_expect_not_null(info, "ErrorInfo is never left out");
        free_message(info);
        google__rpc__status__free_unpacked(status, NULL);
    }
}
