/* failure.c - see failure.h. */
#include "client/lib/batch/failure.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"

#define SHOWN_KEY_BYTES 64u

static struct tributary_status *copy(const struct tributary_status *status, enum tributary_code code,
                                     const char *reason)
{
    struct tributary_status *failure = malloc(sizeof(*failure));

    if (!failure)
        return NULL;
    *failure = *status;
    failure->code = code;
    if (failure->reason[0] == '\0')
        snprintf(failure->reason, sizeof(failure->reason), "%s", reason);
    return failure;
}

struct tributary_status *failure_of_operation(const struct tributary_status *status, enum tributary_code code)
{
    return copy(status, code, "OPERATION_FAILED");
}

static struct tributary_status *of_resource(const struct tributary_status *status, enum tributary_code code,
                                            struct bytes key, const char *reason, const char *doing)
{
    struct tributary_status *failure = copy(status, code, reason);
    char shown[4 * SHOWN_KEY_BYTES + 6];
    const char *cause = status->message[0] != '\0' ? status->message : tributary_code_name(code);

    size_t size = 0;

    if (!failure)
        return NULL;
    quote_bytes(key, SHOWN_KEY_BYTES, shown, sizeof(shown));
    size = (size_t)snprintf(failure->message, sizeof(failure->message),
                            "%s the resource of key %s failed: ", doing, shown);
    for (; *cause != '\0' && size < sizeof(failure->message) - 1; size++) /* a long cause is shortened */
        failure->message[size] = *cause++;
    failure->message[size] = '\0';
    return failure;
}

struct tributary_status *failure_of_load(const struct tributary_status *status, enum tributary_code code,
                                         struct bytes key)
{
    return of_resource(status, code, key, "LOAD_FAILED", "loading");
}

struct tributary_status *failure_of_save(const struct tributary_status *status, enum tributary_code code,
                                         struct bytes key)
{
    return of_resource(status, code, key, "SAVE_FAILED", "saving");
}
