/* details.c - a fault as google.rpc.Status, for programs; people read the status message. */
#include "server/rpc/details.h"

#include <string.h>

#include "base/clock.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "server/rpc/decode.h"

/* Many peers limit all trailers together to 8 KiB. */
#define MAX_DETAILS_BYTES 2048u
#define MAX_PARTS 4u
#define TYPE_PREFIX "type.googleapis.com/"

/* The details of one fault, the most important first. */
struct parts {
    Google__Protobuf__Any any[MAX_PARTS];
    struct buf bytes[MAX_PARTS];
    char urls[MAX_PARTS][64];
    size_t count;
};

static void add(struct parts *parts, const ProtobufCMessage *message)
{
    size_t i = parts->count;
    size_t prefix = strlen(TYPE_PREFIX);

    CHECK(i < MAX_PARTS && prefix + strlen(message->descriptor->name) < sizeof(parts->urls[i]));
    encode(message, &parts->bytes[i]);
    if (parts->bytes[i].broken)
        return; /* send the fault without this detail */
    memcpy(parts->urls[i], TYPE_PREFIX, prefix);
    strcpy(parts->urls[i] + prefix, message->descriptor->name);
    google__protobuf__any__init(&parts->any[i]);
    parts->any[i].type_url = parts->urls[i];
    parts->any[i].value = (ProtobufCBinaryData){parts->bytes[i].size, parts->bytes[i].data};
    parts->count++;
}

static void add_error_info(struct parts *parts, const struct fault *fault)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry entries[3];
    Google__Rpc__ErrorInfo__MetadataEntry *metadata[3];
    const char *const keys[] = {"field", "value", "bound"};
    const char *const values[] = {fault->field, fault->value, fault->bound};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        Google__Rpc__ErrorInfo__MetadataEntry *entry = &entries[info.n_metadata];

        if (!values[i][0])
            continue;
        google__rpc__error_info__metadata_entry__init(entry);
        entry->key = (char *)keys[i];
        entry->value = (char *)values[i];
        metadata[info.n_metadata++] = entry;
    }
    info.reason = (char *)fault_reason_name(fault->reason);
    info.domain = (char *)"tributary";
    info.metadata = metadata;
    add(parts, &info.base);
}

static void add_bad_request(struct parts *parts, const struct fault *fault)
{
    Google__Rpc__BadRequest request = GOOGLE__RPC__BAD_REQUEST__INIT;
    Google__Rpc__BadRequest__FieldViolation violation = GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    Google__Rpc__BadRequest__FieldViolation *violations[] = {&violation};
    struct fault without_field = *fault;
    char description[512];

    without_field.field[0] = '\0'; /* the violation names the field beside the description */
    fault_message(&without_field, description, sizeof(description));
    violation.field = (char *)fault->field;
    violation.description = description;
    request.n_field_violations = 1;
    request.field_violations = violations;
    add(parts, &request.base);
}

static const char *quota_subject(enum fault_reason reason)
{
    static const char *const subjects[FAULT_COUNT] = {
        [FAULT_TOO_MANY_PRODUCERS] = "producers",
        [FAULT_TOO_MANY_SUBSCRIPTIONS] = "subscriptions",
        [FAULT_TOO_MANY_WATCHES] = "watches",
        [FAULT_TOO_MANY_TOPICS] = "topics",
        [FAULT_TOO_MANY_WORKERS] = "workers",
        [FAULT_PEER_WORKERS] = "workers of the peer",
        [FAULT_PEER_PRODUCERS] = "producers of the peer",
        [FAULT_PEER_SUBSCRIPTIONS] = "subscriptions of the peer",
        [FAULT_TOTAL_FILTER_COST] = "filters",
        [FAULT_PEER_FILTER_COST] = "filters of the peer",
        [FAULT_MEMORY_BUDGET] = "memory",
        [FAULT_TOO_SLOW] = "channel",
        [FAULT_NOT_READING] = "transport",
        [FAULT_METADATA_TOO_LARGE] = "metadata",
    };

    return subjects[reason] ? subjects[reason] : "server";
}

static void add_quota_failure(struct parts *parts, const struct fault *fault)
{
    Google__Rpc__QuotaFailure failure = GOOGLE__RPC__QUOTA_FAILURE__INIT;
    Google__Rpc__QuotaFailure__Violation violation = GOOGLE__RPC__QUOTA_FAILURE__VIOLATION__INIT;
    Google__Rpc__QuotaFailure__Violation *violations[] = {&violation};
    char description[640];

    fault_message(fault, description, sizeof(description));
    violation.subject = (char *)quota_subject(fault->reason);
    violation.description = description;
    failure.n_violations = 1;
    failure.violations = violations;
    add(parts, &failure.base);
}

static const char *resource_type(enum fault_reason reason)
{
    static const char *const types[FAULT_COUNT] = {
        [FAULT_PRODUCER_NOT_FOUND] = "producer",
        [FAULT_SUBSCRIPTION_NOT_FOUND] = "subscription",
        [FAULT_TOPIC_NOT_FOUND] = "topic",
        [FAULT_SERVICE_NOT_FOUND] = "service",
    };

    return types[reason] ? types[reason] : "";
}

static void add_resource_info(struct parts *parts, const struct fault *fault)
{
    Google__Rpc__ResourceInfo info = GOOGLE__RPC__RESOURCE_INFO__INIT;
    char name[sizeof(fault->value)];
    char *first = name;
    char *last;

    /* The value is quoted for people. The name is what stands between the quotes. */
    memcpy(name, fault->value, sizeof(name));
    if (name[0] == '"' && (last = strrchr(name, '"')) > name) {
        *last = '\0';
        first++;
    }
    info.resource_type = (char *)resource_type(fault->reason);
    info.resource_name = first;
    info.description = (char *)fault_text(fault->reason);
    add(parts, &info.base);
}

static void add_retry_info(struct parts *parts, int64_t retry_ns)
{
    Google__Rpc__RetryInfo info = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;

    delay.seconds = retry_ns / NS_PER_S;
    delay.nanos = (int32_t)(retry_ns % NS_PER_S);
    info.retry_delay = &delay;
    add(parts, &info.base);
}

void fault_details(const struct fault *fault, struct buf *details)
{
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    Google__Protobuf__Any *any[MAX_PARTS];
    struct parts parts = {0};
    enum fault_code code = fault_code(fault->reason);
    int64_t retry_ns = fault->reason == FAULT_DRAINING && fault->retry_ns <= 0 ? NS_PER_S : fault->retry_ns;
    char message[640];

    fault_message(fault, message, sizeof(message));
    add_error_info(&parts, fault);
    if (retry_ns > 0)
        add_retry_info(&parts, retry_ns);
    if (code == CODE_INVALID_ARGUMENT && fault->field[0])
        add_bad_request(&parts, fault);
    if (code == CODE_RESOURCE_EXHAUSTED)
        add_quota_failure(&parts, fault);
    if (code == CODE_NOT_FOUND)
        add_resource_info(&parts, fault);

    for (size_t i = 0; i < parts.count; i++)
        any[i] = &parts.any[i];
    status.code = (int32_t)code;
    status.message = message;
    status.n_details = parts.count;
    status.details = any;
    while (status.n_details > 1 && protobuf_c_message_get_packed_size(&status.base) > MAX_DETAILS_BYTES)
        status.n_details--;
    encode(&status.base, details);
    for (size_t i = 0; i < MAX_PARTS; i++)
        buf_fini(&parts.bytes[i]);
}
