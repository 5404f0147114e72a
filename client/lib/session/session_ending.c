/* session_ending.c - what the end of a registration means. */
#include "client/lib/session/session_ending.h"

#include <string.h>

#include "client/lib/core/status.h"

enum session_closing session_closing_of(const char *reason)
{
    if (strcmp(reason, "REPLACED") == 0)
        return CLOSING_REPLACED;
    return strcmp(reason, "REMOVED") == 0 ? CLOSING_REMOVED : CLOSING_DRAINING;
}

enum tributary_code session_emit_code(enum session_closing closing)
{
    switch (closing) {
    case CLOSING_REPLACED:
        return TRIBUTARY_ABORTED;
    case CLOSING_REMOVED:
        return TRIBUTARY_FAILED_PRECONDITION;
    case CLOSING_NOT:
    case CLOSING_DRAINING:
        return TRIBUTARY_OK;
    }
    return TRIBUTARY_OK;
}

/* Sets code, reason and message, unless the server gave this reason itself: the call may have ended
 * before the server's status arrived. */
static void set_status(struct tributary_status *status, enum tributary_code code, const char *reason,
                       const char *message)
{
    if (strcmp(status->reason, reason) != 0)
        status_set_reason(status, code, reason, message);
}

bool session_should_retry(struct tributary_status *status, enum session_closing closing, bool finishing)
{
    switch (closing) {
    case CLOSING_REPLACED:
        set_status(status, TRIBUTARY_ABORTED, "REPLACED", "another session took this name");
        return false;
    case CLOSING_REMOVED:
        set_status(status, TRIBUTARY_FAILED_PRECONDITION, "REMOVED", "an operator removed this producer");
        return false;
    case CLOSING_DRAINING:
        if (finishing)
            return false;
        set_status(status, TRIBUTARY_UNAVAILABLE, "DRAINING", "the server is draining");
        return true;
    case CLOSING_NOT:
        break;
    }
    if (finishing)
        return false;
    if (status->code == TRIBUTARY_OK)
        status_set(status, TRIBUTARY_UNAVAILABLE, "the server ended the registration");
    return status_is_retryable(status);
}
