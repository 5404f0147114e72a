/* status.c - codes, messages and reasons of a status. */
#include "client/lib/core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "grpc/slices.h"

#define ERROR_INFO_TYPE "type.googleapis.com/google.rpc.ErrorInfo"
#define MAX_DETAILS_BYTES 16384u

static const char *const code_names[] = {
    [TRIBUTARY_OK] = "OK",
    [TRIBUTARY_CANCELLED] = "CANCELLED",
    [TRIBUTARY_UNKNOWN] = "UNKNOWN",
    [TRIBUTARY_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [TRIBUTARY_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [TRIBUTARY_NOT_FOUND] = "NOT_FOUND",
    [TRIBUTARY_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [TRIBUTARY_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [TRIBUTARY_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [TRIBUTARY_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [TRIBUTARY_ABORTED] = "ABORTED",
    [TRIBUTARY_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [TRIBUTARY_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [TRIBUTARY_INTERNAL] = "INTERNAL",
    [TRIBUTARY_UNAVAILABLE] = "UNAVAILABLE",
    [TRIBUTARY_DATA_LOSS] = "DATA_LOSS",
    [TRIBUTARY_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

const char *tributary_code_name(enum tributary_code code)
{
    const size_t place = (size_t)code;

    return place < ARRAY_LEN(code_names) ? code_names[place] : "UNKNOWN";
}

enum tributary_code status_set(struct tributary_status *status, enum tributary_code code, const char *message)
{
    return status_format(status, code, "%s", message);
}

enum tributary_code status_format(struct tributary_status *status, enum tributary_code code,
                                  const char *format, ...)
{
    if (status) {
        va_list args;

        va_start(args, format);
        status->code = code;
        status->reason[0] = '\0';
        vsnprintf(status->message, sizeof(status->message), format, args);
        va_end(args);
    }
    return code;
}

enum tributary_code status_set_reason(struct tributary_status *status, enum tributary_code code,
                                      const char *reason, const char *message)
{
    status_set(status, code, message);
    if (status)
        snprintf(status->reason, sizeof(status->reason), "%s", reason);
    return code;
}

enum tributary_code status_set_fault(struct tributary_status *status, const struct fault *fault)
{
    char text[sizeof(status->message)];

    fault_message(fault, text, sizeof(text));
    return status_set_reason(status, (enum tributary_code)fault_code(fault->reason),
                             fault_reason_name(fault->reason), text);
}

/* Copies the reason of the first ErrorInfo. Details that cannot be decoded are ignored. */
static void read_reason(grpc_slice details, char *reason, size_t capacity)
{
    const size_t size = GRPC_SLICE_LENGTH(details);

    if (size > MAX_DETAILS_BYTES)
        return;

    Google__Rpc__Status *decoded = google__rpc__status__unpack(NULL, size, GRPC_SLICE_START_PTR(details));

    for (size_t i = 0; decoded && i < decoded->n_details && reason[0] == '\0'; i++) {
        const Google__Protobuf__Any *any = decoded->details[i];

        if (strcmp(any->type_url, ERROR_INFO_TYPE) != 0)
            continue;

        Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(NULL, any->value.len, any->value.data);

        if (info)
            snprintf(reason, capacity, "%s", info->reason);
        google__rpc__error_info__free_unpacked(info, NULL);
    }
    google__rpc__status__free_unpacked(decoded, NULL);
}

void status_from_call(struct tributary_status *status, const struct client_call_end *end)
{
    const size_t size = MIN_OF(GRPC_SLICE_LENGTH(end->message), sizeof(status->message) - 1);

    status->code = (enum tributary_code)end->code;
    status->reason[0] = '\0';
    memcpy(status->message, GRPC_SLICE_START_PTR(end->message), size);
    status->message[size] = '\0';
    for (size_t i = 0; i < end->trailers->count; i++) {
        const grpc_metadata *trailer = &end->trailers->metadata[i];

        if (grpc_slice_str_cmp(trailer->key, "grpc-status-details-bin") == 0)
            read_reason(trailer->value, status->reason, sizeof(status->reason));
    }
}

bool status_is_retryable(const struct tributary_status *status)
{
    return status->code == TRIBUTARY_UNAVAILABLE;
}
